"""The kserve backend against a real MLServer, and against a strict bare server that may be wrong in every way."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage import data

pytest.importorskip("tritonclient.grpc", reason="nothing was tested over kserve: install the extra `kserve`")

from soteirad.detect.backends.kserve import KserveBackend, Server
from soteirad.detect.card import load_card
from soteirad.detect.detector import Detector
from soteirad.errors import DetectorUnavailable, ModelError
from tests.bare_kserve import BareServer, Raw
from tests.brokers import free_port
from tests.detect.served_models import HEIGHT, NAME, WIDTH, bgr, scaled, tiny_answer, tiny_card, tiny_server
from tests.mlserver import MlServer

PATIENT = 20.0
PICTURE = np.random.default_rng(7).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
StartServer = Callable[..., BareServer]


@pytest.fixture
def start() -> Iterator[StartServer]:
    """Start bare servers, and stop them at teardown."""
    started: list[BareServer] = []

    def start(**changes: Any) -> BareServer:
        started.append(tiny_server(**changes))
        started[-1].start()
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def mlserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlServer]:
    card = load_card(NAME)
    server = MlServer(tmp_path_factory.mktemp("mlserver") / "run", card.file_path("onnx"), "porch")
    try:
        server.start()
        yield server
    finally:
        server.stop()


def backend(folder: Path, server: BareServer, timeout: float = PATIENT, **card: Any) -> KserveBackend:
    return KserveBackend(tiny_card(folder, **card), Server(server.url, "tiny", timeout=timeout))


def refusal(backend: KserveBackend, kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        backend.load()
    message = str(caught.value)
    assert message.startswith(f"{backend.server.address}, model '{backend.server.model}'")
    assert "\n" not in message
    return message


def test_the_default_model_on_a_real_server_detects_what_it_detects_locally(
    mlserver: MlServer, record_property: Callable[[str, object], None]
) -> None:
    card = load_card(NAME)
    remote = Detector(card, KserveBackend(card, Server(mlserver.url, "porch", timeout=PATIENT)), card.class_names, 0.1)
    local = Detector.create(card, card.class_names, 0.1)
    remote.load()
    local.load()
    for photograph in (data.astronaut(), data.chelsea(), data.coffee()):
        picture = scaled(local, bgr(photograph))
        ours, theirs = remote.detect(picture), local.detect(picture)
        assert len(ours) > 0
        assert ours.classes.tolist() == theirs.classes.tolist()
        assert ours.scores == pytest.approx(theirs.scores, abs=1e-5)
        assert ours.boxes == pytest.approx(theirs.boxes, abs=1e-5)
    for name, detector in (("remote", remote), ("local", local)):
        times = []
        for _ in range(10):
            began = time.perf_counter()
            detector.detect(picture)
            times.append(time.perf_counter() - began)
        record_property(f"median milliseconds {name}", round(float(np.median(times)) * 1000, 1))
        detector.close()


def test_a_real_server_that_does_not_know_the_model_or_the_version_is_named_with_it(mlserver: MlServer) -> None:
    card = load_card(NAME)
    for server in (Server(mlserver.url, "garden", timeout=PATIENT), Server(mlserver.url, "porch", "7", PATIENT)):
        assert "the server does not know this model" in refusal(KserveBackend(card, server), DetectorUnavailable)


def test_a_version_is_asked_for(start: StartServer, tmp_path: Path) -> None:
    server = start()
    KserveBackend(tiny_card(tmp_path), Server(server.url, "tiny", "1", PATIENT)).load()
    unknown = KserveBackend(tiny_card(tmp_path), Server(server.url, "tiny", "2", PATIENT))
    assert "model 'tiny' version 2: the server does not know this model" in refusal(unknown, DetectorUnavailable)


def test_nobody_at_the_address_is_said_with_what_to_do(tmp_path: Path) -> None:
    card = tiny_card(tmp_path)
    message = refusal(KserveBackend(card, Server(f"127.0.0.1:{free_port()}", "tiny")), DetectorUnavailable)
    assert "cannot be reached" in message
    assert "detector.server.url" in message


def test_a_password_in_the_url_appears_in_no_message(tmp_path: Path) -> None:
    server = Server("owner:hunter2@127.0.0.1:1", "tiny")
    assert "hunter2" not in refusal(KserveBackend(tiny_card(tmp_path), server), DetectorUnavailable)
    assert "owner" not in str(server)


def test_tls_to_a_server_without_it_is_an_unreachable_server(start: StartServer, tmp_path: Path) -> None:
    server = Server(start().url, "tiny", timeout=PATIENT, tls=True)
    assert "cannot be reached" in refusal(KserveBackend(tiny_card(tmp_path), server), DetectorUnavailable)


@pytest.mark.parametrize(
    ("state", "said"),
    [({"live": False}, "not live"), ({"ready": False}, "not ready"), ({"model_ready": False}, "not loaded")],
)
def test_a_server_that_is_not_ready_says_which_part_is_not(
    start: StartServer, tmp_path: Path, state: dict[str, bool], said: str
) -> None:
    assert said in refusal(backend(tmp_path, start(**state)), DetectorUnavailable)


def test_all_calls_of_a_load_share_one_timeout(start: StartServer, tmp_path: Path) -> None:
    server = start(delay=0.4)
    assert "did not answer within 0.9 s" in refusal(backend(tmp_path, server, timeout=0.9), DetectorUnavailable)
    assert server.calls["ModelInfer"] == 0


def test_a_listener_that_never_speaks_is_given_up_after_the_timeout(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        silent = KserveBackend(tiny_card(tmp_path), Server(f"127.0.0.1:{mute.getsockname()[1]}", "tiny", timeout=0.3))
        assert "did not answer within 0.3 s" in refusal(silent, DetectorUnavailable)


def test_a_picture_that_takes_too_long_is_given_up(start: StartServer, tmp_path: Path) -> None:
    server = start()
    slow = backend(tmp_path, server, timeout=2.0)
    slow.load()
    slow.allowance, server.delay = 0.2, 10.0
    with pytest.raises(DetectorUnavailable, match=r"did not answer within 0\.2 s"):
        slow.infer(PICTURE)


@pytest.mark.parametrize("nchw", [False, True])
@pytest.mark.parametrize("kind", ["UINT8", "INT8", "FP16", "FP32"])
def test_the_picture_arrives_in_the_servers_layout_and_type_and_the_cards_colours(
    start: StartServer, tmp_path: Path, nchw: bool, kind: str
) -> None:
    shape = [-1, 3, HEIGHT, WIDTH] if nchw else [1, HEIGHT, WIDTH, 3]
    server = start(inputs={"image": (kind, shape)}, answer=lambda _: {"found": np.zeros((1, 3, 6), np.float32)})
    mean = [128.0, 127.0, 126.0] if kind == "INT8" else [0.0, 0.0, 0.0]
    std = [2.0, 2.0, 4.0] if kind.startswith("FP") else [1.0, 1.0, 1.0]
    spec = {"width": WIDTH, "height": HEIGHT, "colour": "RGB", "resize": "stretch", "mean": mean, "std": std}
    remote = backend(tmp_path, server, input=spec)
    remote.load()
    remote.infer(PICTURE)
    wanted = (PICTURE[None, :, :, ::-1].astype(np.float32) - np.array(mean)) / np.array(std)
    wanted = np.clip(wanted, -128, 127) if kind == "INT8" else wanted
    wanted = wanted.transpose(0, 3, 1, 2) if nchw else wanted
    got = server.received[-1]["image"]
    assert got.shape == wanted.shape
    assert got.astype(np.float64) == pytest.approx(wanted, abs=0.03 if kind == "FP16" else 1e-4)


def test_a_size_input_is_given_width_and_height_of_the_models_input(start: StartServer, tmp_path: Path) -> None:
    inputs = {"image": ("UINT8", [-1, HEIGHT, WIDTH, 3]), "orig_target_sizes": ("INT64", [-1, 2])}
    server = start(inputs=inputs)
    backend(tmp_path, server).load()
    assert server.received[-1]["orig_target_sizes"].tolist() == [[WIDTH, HEIGHT]]


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"image": ("UINT8", [-1, 32, 32, 3])}, r"is \[0, 32, 32, 3\], the card says one picture of 64x48"),
        ({"image": ("UINT8", [8, HEIGHT, WIDTH, 3])}, r"is \[8, 48, 64, 3\], the card says one picture"),
        ({"image": ("UINT8", [HEIGHT, WIDTH, 3])}, "only one picture"),
        ({"image": ("BYTES", [-1, HEIGHT, WIDTH, 3])}, "is BYTES: only UINT8, INT8, FP16, FP32 are known"),
        ({"image": ("UINT8", [-1, HEIGHT, WIDTH, 3]), "threshold": ("FP32", [1])}, "only one picture"),
        ({"image": ("UINT8", [-1, HEIGHT, WIDTH, 3]), "size": ("FP32", [-1, 2])}, "'size' is FP32, only INT64"),
        ({}, "does not describe the model's inputs"),
    ],
)
def test_inputs_that_are_not_the_cards_are_refused_with_both(
    start: StartServer, tmp_path: Path, inputs: dict[str, Any], said: str
) -> None:
    server = start(inputs=inputs)
    with pytest.raises(ModelError, match=said):
        backend(tmp_path, server).load()
    assert server.calls["ModelInfer"] == 0


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (Raw("FP32", [1, 3, 6], b"\0" * 71), "FP32 [1, 3, 6], and its data does not fit that"),
        (Raw("FP32", [1, 3, 6], b"\0" * 36), "its data does not fit that"),
        (Raw("FP32", [1, -1, 6], b"\0" * 72), "a length is negative"),
        (Raw("FP32", [1 << 40, 1 << 40, 6], b"\0" * 72), "its data does not fit that"),
        (Raw("FP32", [1, 3, 6], b""), "its data does not fit that"),
        (Raw("BYTES", [1, 3, 6], b"\0" * 72), "is BYTES [1, 3, 6]: only UINT8"),
        (Raw("GARBAGE", [], b"\xff"), "is GARBAGE []: only UINT8"),
        (np.array([[[1, 2, 3, 4, np.nan, 0]]], np.float32), "found hold NaN"),
        (np.array([[[1, 2, 3, 4, np.nan, 0]]], np.float16), "found hold NaN"),
    ],
)
def test_garbage_in_the_outputs_is_refused_in_words(
    start: StartServer, tmp_path: Path, output: np.ndarray | Raw, said: str
) -> None:
    assert said in refusal(backend(tmp_path, start(answer=lambda _: {"found": output})), ModelError)


def test_more_data_than_outputs_is_refused(start: StartServer, tmp_path: Path) -> None:
    message = refusal(backend(tmp_path, start(spare_data=True)), ModelError)
    assert "has 1 outputs and data for 2" in message


def test_outputs_of_another_head_are_refused_with_their_shapes_and_the_cards_head(
    start: StartServer, tmp_path: Path
) -> None:
    server = start(answer=lambda _: {"found": np.zeros((1, 7, 8), np.float32)})
    remote = backend(tmp_path, server)
    with pytest.raises(ModelError, match=r"found \[1, 7, 8\]"):
        Detector(remote.card, remote, ["person"], 0.3).load()


def test_a_picture_that_the_server_refuses_is_a_wrong_model(start: StartServer, tmp_path: Path) -> None:
    server = start()
    remote = backend(tmp_path, server)
    remote.load()
    server.inputs = {"image": ("UINT8", [-1, 32, 32, 3])}
    with pytest.raises(ModelError, match=r"the server refuses the picture .* must be UINT8 \[-1, 32, 32, 3\]"):
        remote.infer(PICTURE)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, np.int32, np.int8, np.uint8])
def test_outputs_that_are_not_raw_are_read_alike(start: StartServer, tmp_path: Path, kind: type) -> None:
    numbers = np.arange(18).reshape(1, 3, 6).astype(kind)
    found = backend(tmp_path, start(typed=True, answer=lambda _: {"found": numbers})).load()["found"]
    assert found.dtype == kind
    assert found.tolist() == numbers.tolist()


def test_outputs_larger_than_grpcs_own_limit_arrive(start: StartServer, tmp_path: Path) -> None:
    large = np.ones((1, 8400, 300), np.float32)
    assert large.nbytes > 8 << 20
    found = backend(tmp_path, start(outputs={}, answer=lambda _: {"found": large})).load()
    assert found["found"].shape == large.shape


@pytest.mark.parametrize(
    "other",
    [
        {"found": np.zeros((1, 5, 6), np.float32)},
        {"found": np.zeros((1, 3, 6), np.float16)},
        {"lost": np.zeros((1, 3, 6), np.float32)},
        {},
    ],
)
def test_a_model_that_changes_on_the_server_is_noticed(
    start: StartServer, tmp_path: Path, other: dict[str, np.ndarray]
) -> None:
    server = start()
    remote = backend(tmp_path, server)
    remote.load()
    server.answer = lambda _: dict(other)
    with pytest.raises(ModelError, match=r"the server's model changed: its outputs were found float32 \[1, 3, 6\]"):
        remote.infer(PICTURE)


@pytest.mark.parametrize("outputs", [{}, {"found": ("FP32", [-1, -1, 6])}])
def test_a_number_of_rows_that_the_server_leaves_open_may_vary(
    start: StartServer, tmp_path: Path, outputs: dict[str, Any]
) -> None:
    server = start(outputs=outputs)
    remote = backend(tmp_path, server)
    remote.load()
    server.answer = lambda _: {"found": np.zeros((1, 0, 6), np.float32)}
    assert remote.infer(PICTURE)["found"].shape == (1, 0, 6)


def test_a_failed_load_leaves_nothing_open_and_a_later_one_works(start: StartServer, tmp_path: Path) -> None:
    server = start(answer=lambda _: {"found": np.full((1, 3, 6), np.nan, np.float32)})
    remote = backend(tmp_path, server)
    refusal(remote, ModelError)
    with pytest.raises(ModelError, match="the model is not loaded"):
        remote.infer(PICTURE)
    server.answer = tiny_answer
    remote.load()
    assert remote.infer(PICTURE)["found"].tolist() == tiny_answer({"image": PICTURE[None]})["found"].tolist()
    remote.close()
    remote.close()


def test_a_missing_tritonclient_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tritonclient", None)
    with pytest.raises(ModelError, match=r"tritonclient is not installed: .*soteirad\[kserve\]"):
        KserveBackend(tiny_card(tmp_path), Server("127.0.0.1:1", "tiny")).load()
