"""A model on a server beside the engine of the box: how long a look takes, and how many there are in a second.

Each client is a process of its own, as cameras are. Server and clients share this machine, so this tells what the way
there and back costs, and not what a larger server could do.
"""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
import pytest

from benchmarks.figure import Figure, missing
from benchmarks.runs import Bench
from benchmarks.turns import in_turns, percentile
from soteirad.assembly import choose_engine
from soteirad.config import CameraConfig
from soteirad.detect.backend import create_backend
from soteirad.detect.backends.kserve import KserveBackend, Server
from soteirad.detect.card import ModelCard, load_card
from soteirad.detect.detector import Detector
from soteirad.detect.engine import Engine
from soteirad.detect.golden import read_shipped
from tests.mlserver import MlServer, mlserver_python

MODEL, NAME = "nanodet-g-416", "porch"
KEY, WHAT = "served", "looks on a server (kserve)"
CLIENTS = (1, 2, 4)
Looks = dict[str, float]


def measure(bench: Bench) -> list[Figure]:
    """Measure the local engine, MLServer and a bare gRPC server, for 1, 2 and 4 clients each."""
    try:
        import tritonclient.grpc  # noqa: F401

        mlserver_python()
    except pytest.skip.Exception as error:
        return [missing(KEY, WHAT, str(error))]
    card = load_card(MODEL)
    choice = choose_engine(CameraConfig(source="rtsp://nobody/"), card)
    local = choice.engine if choice is not None else Engine("onnx", "fp32")
    seconds = 2.0 if bench.quick else 5.0
    with _mlserver(card) as mlserver, _bare(card) as bare:
        kinds = {}
        for count in CLIENTS[: 2 if bench.quick else 3]:
            for name, where in (("local", local), ("MLServer", mlserver), ("bare gRPC", bare)):
                kinds[f"{name}, {count}"] = lambda where=where, count=count: _look(where, count, seconds)
        taken = in_turns(kinds, 1 if bench.quick else 2, "served")
    table = {kind: {name: round(statistics.median(look[name] for look in looks), 1) for name in looks[0]}
             for kind, looks in taken.items()}  # fmt: skip
    served = table["MLServer, 1"]["p50_ms"]
    note = (f"one client, p50; the same look takes {table['local, 1']['p50_ms']} ms with {local} in the process and "
            f"{table['bare gRPC, 1']['p50_ms']} ms with onnxruntime behind a bare gRPC server; all on this machine")
    return [Figure(KEY, f"{WHAT}: a look with MLServer", served, None, "ms", note=note, detail=table)]


def _look(where: Engine | str, clients: int, seconds: float) -> Looks:
    """Let clients look at a picture again and again, and return what they measured."""
    context = multiprocessing.get_context("spawn")
    told: Any = context.Queue()
    ready = context.Barrier(clients)
    processes = [context.Process(target=_client, args=(where, seconds, ready, told)) for _ in range(clients)]
    for process in processes:
        process.start()
    taken = [told.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    every = [ms for mine in taken for ms in mine]
    return {"p50_ms": percentile(every, 50), "p95_ms": percentile(every, 95), "looks_a_second": len(every) / seconds}


def _client(where: Engine | str, seconds: float, ready: Any, told: Any) -> None:
    cv2.setNumThreads(1)
    card = load_card(MODEL)
    backend = create_backend(card, where) if isinstance(where, Engine) else KserveBackend(
        card, Server(where, NAME, timeout=30.0))  # fmt: skip
    detector = Detector(card, backend, ["person", "car"], 0.3)
    detector.load()
    picture = next(iter(read_shipped().values()))
    picture = cv2.resize(picture, detector.picture_size(picture.shape[1], picture.shape[0]))
    for _ in range(3):
        detector.detect(picture)
    ready.wait(timeout=60)
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        detector.detect(picture)
        taken.append((time.perf_counter() - began) * 1000)
    detector.close()
    told.put(taken)


@contextmanager
def _mlserver(card: ModelCard) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        server = MlServer(Path(folder) / "run", card.file_path("onnx"), NAME)
        server.start()
        try:
            yield server.url
        finally:
            server.stop()


@contextmanager
def _bare(card: ModelCard) -> Iterator[str]:
    """Serve the model with onnxruntime behind the protocol's stubs, and nothing else."""
    from tests.bare_kserve import BareServer

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(card.file_path("onnx")), options, providers=["CPUExecutionProvider"])
    kinds = {"tensor(float)": "FP32", "tensor(uint8)": "UINT8"}
    inputs, outputs = ({t.name: (kinds[t.type], [n if isinstance(n, int) else -1 for n in t.shape]) for t in tensors}
                       for tensors in (session.get_inputs(), session.get_outputs()))  # fmt: skip
    names = list(outputs)

    def answer(feeds: dict[str, np.ndarray]) -> dict[str, Any]:
        return dict(zip(names, session.run(names, feeds), strict=True))

    server = BareServer(inputs=inputs, outputs=outputs, answer=answer, name=NAME)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
