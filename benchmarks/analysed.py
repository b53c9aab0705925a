"""A camera process's own threads on a live stream, in this process: when frames came, were analysed and looked at.

    python -m benchmarks.analysed ADDRESS SECONDS

Prints JSON at the end: `received` and `analysed` (monotonic seconds, of each frame that was analysed), `looks` (begin
and end) and how many frames were `dropped`. Every frame is a reason for a look, so that gate 3 is as busy as it gets.
"""

from __future__ import annotations

import json
import queue
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import cv2

from soteirad.assembly import choose_engine, model_card
from soteirad.camera import LiveRunner
from soteirad.capture.frame import Frame
from soteirad.config.schema import camera_from
from soteirad.event import new_id
from soteirad.pipeline import Analysis
from soteirad.runner import CameraJob
from soteirad.watch import CameraWatch, LookResult, Outcome

SETTLE_S = 3.0
"""The stream's beginning comes in a burst."""


class Noting(CameraWatch):
    """A watch that looks at every frame, and notes when it did what."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments, every_frame=True)
        self.times: list[tuple[float, float]] = []
        self.looks: list[tuple[float, float]] = []

    def analyse(self, frame: Frame) -> tuple[Analysis, list[Outcome]]:
        """Run gates 1 and 2, and note when that was done."""
        done = super().analyse(frame)
        self.times.append((frame.received, time.monotonic()))
        return done

    def detect(self, analysis: Analysis) -> LookResult:
        """Look, and note from when to when."""
        began = time.monotonic()
        result = super().detect(analysis)
        self.looks.append((began, time.monotonic()))
        return result


class NoHub:
    """An uplink that takes everything, and brings no wishes."""

    def __init__(self) -> None:
        self.wishes: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def take(self, _message: object) -> None:
        """Forget it."""

    send = confirm = picture = take


def main() -> None:
    """Watch for so long, and print what was noted."""
    address, seconds = sys.argv[1], float(sys.argv[2])
    cv2.setNumThreads(1)
    camera = camera_from({"source": address, "fps": 10, "objects": {"track": ["person"]}})
    choice = choose_engine(camera, model_card(camera))
    watch = Noting("cam1", camera, lambda captured, *_: new_id(captured), choice)
    watch.load()
    stop = threading.Event()
    with tempfile.TemporaryDirectory() as spool:
        job = CameraJob("cam1", camera, choice, Path(spool), True, "warning")
        runner = LiveRunner(job, watch, NoHub(), stop)  # type: ignore[arg-type]
        threading.Timer(seconds + SETTLE_S, stop.set).start()
        runner.run()
    since = watch.times[0][1] + SETTLE_S
    kept = [(received, analysed) for received, analysed in watch.times if analysed >= since]
    received, analysed = zip(*kept, strict=True)
    looks = [look for look in watch.looks if look[0] >= since]
    dropped = runner.source_facts()["dropped"]
    print(json.dumps({"received": received, "analysed": analysed, "looks": looks, "dropped": dropped}))


if __name__ == "__main__":
    main()
