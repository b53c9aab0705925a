"""A trial: one engine, loaded, checked and timed in a process of its own.

A library that crashes or hangs on this machine takes only the trial with it, and its memory goes when the trial ends.
The parent talks to it in lines of JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import soteirad
from soteirad.detect.backend import create_backend, first_line
from soteirad.detect.card import ModelCard
from soteirad.detect.engine import Engine
from soteirad.errors import ModelError, Stopped

LOAD_TIMEOUT_S = 180.0
"""Converting for Core ML and compiling for TensorRT take minutes on their first run."""
RUN_TIMEOUT_S = 60.0
STOP_CHECK_S = 0.25
PACKAGES = Path(soteirad.__file__).resolve().parent.parent
CHILD = (
    "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    "sys.path[:] = [p for p in sys.path if p] + sys.argv[1:]; "
    "from soteirad.detect.trial import main; main()"
)
"""Python by itself would look for modules in the current folder first, which anybody may have filled. A hang-up of the
terminal, which reaches the whole group, would look like a crash of the engine."""
FRAME = (1280, 720)
"""Size of the camera frame that preprocessing begins with."""


@dataclass(frozen=True)
class Times:
    """Milliseconds of each run: scaling and filling, the network, decoding and NMS."""

    pre: tuple[float, ...]
    model: tuple[float, ...]
    post: tuple[float, ...]

    @property
    def total(self) -> tuple[float, ...]:
        """Milliseconds from frame to detections."""
        return tuple(map(sum, zip(self.pre, self.model, self.post, strict=True)))


class Trial:
    """The parent's end. `start` loads and checks; `time` may then be called any number of times."""

    def __init__(self, card: ModelCard, engine: Engine, stop: Callable[[], bool] = lambda: False) -> None:
        self.card = card
        self.engine = engine
        self.passing = False
        """Whether the problem may be gone another time: it took too long, or was killed or told to end."""
        self._stop = stop
        self.problem: str | None = None
        self.verdict: str | None = None
        self.memory_mb = 0.0
        self.executed: dict[str, int] = {}
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Load the engine and run the golden check; `problem` says what is wrong, if anything is."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(PACKAGES)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env=environment,
        )  # fmt: skip
        card = {**self.card.model_dump(mode="json"), "folder": str(self.card.folder)}
        job = {"card": card, "engine": asdict(self.engine)}
        try:
            answer = self._ask(job, LOAD_TIMEOUT_S)
        except Stopped:
            self.stop()
            raise
        except ModelError as error:
            answer = {"problem": str(error)}
        self.problem, self.verdict = answer.get("problem"), answer.get("verdict")
        self.executed = answer.get("executed", {})
        if self.problem:
            self.stop()

    def time(self, runs: int) -> Times:
        """Run the whole detector on a frame `runs` times. Raises ModelError when the trial dies of it."""
        answer = self._ask({"runs": runs}, RUN_TIMEOUT_S)
        self.memory_mb = answer["memory_mb"]
        return Times(tuple(answer["pre"]), tuple(answer["model"]), tuple(answer["post"]))

    def stop(self) -> None:
        """End the process."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # a child that crashed leaves what was not read
                    pipe.close()

    def _ask(self, question: dict[str, Any], timeout: float) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise ModelError(f"the trial of {self.engine} is not running")
        try:
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
        except OSError:
            raise self._died(process) from None
        deadline = time.monotonic() + timeout
        while not select.select([process.stdout], [], [], STOP_CHECK_S)[0]:
            if self._stop():
                raise Stopped("told to stop while engines were tried")
            if time.monotonic() >= deadline:
                self.passing = True
                self.stop()
                raise ModelError(f"it did not answer within {timeout:.0f} s")
        line = process.stdout.readline()
        if not line:
            raise self._died(process)
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            self.stop()
            raise ModelError(f"its answer is none: {line.strip()[:80]!r}")
        return answer

    def _died(self, process: subprocess.Popen[str]) -> ModelError:
        try:
            code = process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.stop()
            return ModelError("it stopped answering")
        self.stop()
        if self._stop():  # systemd's signal to end reaches all processes of a service
            raise Stopped("told to stop while engines were tried")
        self.passing = code in (-signal.SIGKILL, -signal.SIGTERM)
        return ModelError(f"it crashed ({signal.Signals(-code).name if code < 0 else f'exit code {code}'})")


def run_together(trials: Sequence[Trial], rounds: int, runs: int,
                 on_round: Callable[[int], None] = lambda _: None) -> list[list[Times]]:  # fmt: skip
    """Run trials in turns; returns the times of each trial's rounds, without the first, which warms up.

    A trial that dies gets a `problem`, and no more rounds.
    """
    taken: list[list[Times]] = [[] for _ in trials]
    for i in range(rounds + 1):
        on_round(i)
        for trial, times in zip(trials, taken, strict=True):
            if trial.problem is None:
                try:
                    times.append(trial.time(runs))
                except ModelError as error:
                    trial.problem = str(error)
    return [times[1:] for times in taken]


def main() -> None:
    """Serve one trial on standard input and output, for as long as the parent lives."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    # Libraries print what they like to standard output: answers get a channel of their own.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    job = json.loads(sys.stdin.readline())
    card = ModelCard.model_validate(job["card"])
    try:
        subject = _Subject(card, Engine(**job["engine"]))
        answer = subject.check()
    except ModelError as error:
        answer = {"problem": str(error)}
    except Exception as error:
        answer = {"problem": f"{type(error).__name__}: {first_line(error)}"}
    print(json.dumps(answer), file=channel, flush=True)
    if "problem" in answer:
        return
    for line in sys.stdin:
        print(json.dumps(subject.time(json.loads(line)["runs"])), file=channel, flush=True)


def _end_with(parent: int) -> None:
    """End this process when its parent is gone: a library that computes does not read standard input."""
    while os.getppid() == parent:
        time.sleep(STOP_CHECK_S)
    os._exit(1)


class _Subject:
    """The child's detector."""

    def __init__(self, card: ModelCard, engine: Engine) -> None:
        import cv2

        from soteirad.detect.golden import golden_detector

        cv2.setNumThreads(1)
        self._card = card
        self._backend = create_backend(card, engine)
        self.detector = golden_detector(card, self._backend)
        self.detector.load()
        self._frame: Any = None

    def check(self) -> dict[str, Any]:
        from soteirad.detect.golden import bounds_for, check, load_images, read_answers

        executed = self._backend.executed_precisions()
        if self._card.golden is None:
            return {"verdict": None, "executed": executed}
        answers, bounds = read_answers(self._card), bounds_for(self._card, self._backend.format)
        verdict = check(self.detector, answers, load_images(self._card, answers), bounds)
        if verdict.passed:
            return {"verdict": str(verdict), "executed": executed}
        return {"problem": f"the golden check failed ({verdict}): {'; '.join(verdict.problems[:3])}"}

    def time(self, runs: int) -> dict[str, Any]:
        from soteirad.diagnostics import memory_mb

        pre, model, post = zip(*(self._once() for _ in range(runs)), strict=True)
        return {"pre": pre, "model": model, "post": post, "memory_mb": memory_mb()}

    def _once(self) -> tuple[float, float, float]:
        frame = self._frame = self._frame or _frame()
        began = time.perf_counter()
        picture = frame.bgr(*self.detector.picture_size(frame.width, frame.height))
        content, image = self.detector.place(picture)
        tensor = self._backend.prepare(image)
        prepared = time.perf_counter()
        outputs = self._backend.run(tensor)
        ran = time.perf_counter()
        self.detector.read(content, outputs)
        ended = time.perf_counter()
        return (prepared - began) * 1000, (ran - prepared) * 1000, (ended - ran) * 1000


def _frame() -> Any:
    """Return a golden picture as a decoded camera frame."""
    import av
    import cv2
    import numpy as np

    from soteirad.capture.frame import Frame
    from soteirad.detect.golden import golden_folder, read_image, shipped_images

    picture = cv2.resize(read_image(golden_folder() / shipped_images()[0]), FRAME)
    video = av.VideoFrame.from_ndarray(np.asarray(picture, np.uint8), format="bgr24").reformat(format="yuv420p")
    return Frame(0, 0.0, 0.0, 0.0, 0.0, video)

