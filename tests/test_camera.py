"""The live camera's threads: a fault in one of them ends the process, so that the hub can start it again."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from soteirad.camera import CameraJob, DetectorThread, LiveRunner
from soteirad.config.schema import camera_from
from soteirad.detect.choice import Choice
from soteirad.detect.detector import REFERENCE
from soteirad.errors import HangError
from soteirad.mailbox import Crashed, Mailbox
from soteirad.watch import CameraWatch


class BrokenWatch:
    """A watch whose detector fails in a way that nobody foresaw."""

    def detect(self, _analysis: object) -> None:
        raise RuntimeError("no memory")


def test_a_fault_in_the_detector_thread_reaches_the_gate_thread() -> None:
    mailbox = Mailbox()
    thread = DetectorThread(BrokenWatch(), mailbox)  # type: ignore[arg-type]
    thread.start()
    thread.submit(object())  # type: ignore[arg-type]
    mail = mailbox.take(10)
    assert isinstance(mail, Crashed) and str(mail.error) == "no memory"


CHOICE = Choice(REFERENCE, 0.0, None, ())


class NoUplink:
    """An uplink that takes everything, and brings no wishes."""

    def __init__(self) -> None:
        self.wishes: queue.SimpleQueue[object] = queue.SimpleQueue()

    def send(self, _message: object) -> None:
        pass

    def confirm(self, _event: object) -> None:
        pass


def live_runner(open_source: Callable[[], object], tmp_path: Path) -> LiveRunner:
    camera = camera_from({"source": "rtsp://127.0.0.1:1/none"})
    watch = CameraWatch("porch", camera, lambda *_: "id", CHOICE)
    runner = LiveRunner(CameraJob("porch", camera, CHOICE, tmp_path, False, "info"), watch, NoUplink(),  # type: ignore[arg-type]
                        threading.Event())  # fmt: skip
    runner.open_source = open_source  # type: ignore[method-assign,assignment]
    return runner


def test_a_fault_in_the_reader_thread_ends_the_run(tmp_path: Path) -> None:
    def fail() -> object:
        raise RuntimeError("a decoder bug")

    with pytest.raises(RuntimeError, match="a decoder bug"):
        live_runner(fail, tmp_path).run()


class Waiting:
    """A source whose driver never gives anything, and whose time limit nobody keeps."""

    def __init__(self, ended: threading.Event) -> None:
        self._ended = ended

    def open(self) -> None:
        self._ended.wait()

    def read(self) -> object:
        raise AssertionError("it was never open")

    def close(self) -> None:
        pass


def test_a_reader_that_hangs_beyond_all_time_limits_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    monkeypatch.setattr("soteirad.camera.HANG_S", -19.5)  # of which the time limits take 20 s
    try:
        with pytest.raises(HangError, match="the reader hangs"):
            live_runner(lambda: Waiting(ended), tmp_path).run()
    finally:
        ended.set()
