"""What the gates said of each frame of a clip, as CSV: to see why something was, or was not, noticed."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from soteirad.columns import cells
from soteirad.detect.detection import Detections
from soteirad.errors import SoteiraError
from soteirad.event import Event
from soteirad.pipeline import Analysis
from soteirad.watch import CameraWatch, LookResult, OnStep

FIELDS = ("media_time", "frame", "motion_ratio", "motion_blob", "motion_open", "flood", "scene_ran", "scene_distance",
          "ssim", "scene_open", "view", "look", "detector_ran", "detections", "best", "boxes")  # fmt: skip
"""The header. No column holds a time that something took, so that a clip gives the same file each time."""
EVENT_FIELDS = ("media_time", "event_type", "label", "track_id", "confidence", "x1", "y1", "x2", "y2", "dwell",
                "trigger", "reason", "zones", "id")  # fmt: skip


class SignalsFiles:
    """`<stem>.signals.csv` and `<stem>.events.csv` in a folder: written under other names until they are complete."""

    def __init__(self, folder: Path, stem: str) -> None:
        self._signals = folder / f"{stem}.signals.csv"
        self._events = folder / f"{stem}.events.csv"
        self._file: IO[str] | None = None
        self._watch: CameraWatch | None = None
        self._scene_runs = 0

    def open(self) -> None:
        """Begin the file of signals. Raises SoteiraError."""
        try:
            self._signals.parent.mkdir(parents=True, exist_ok=True)
            self._file = _part(self._signals).open("w", newline="", encoding="utf-8")
            csv.writer(self._file).writerow(FIELDS)
        except OSError as error:
            raise _failure(self._signals, error) from None

    def attach(self, watch: CameraWatch) -> OnStep:
        """Return what to give the watch's steps to."""
        self._watch, self._scene_runs = watch, 0
        return self.step

    def step(self, analysis: Analysis, result: LookResult | None) -> None:
        """Write the row of a frame. Raises SoteiraError."""
        if self._file is None or self._watch is None:
            return
        runs = self._watch.pipeline.counters.scene_runs
        ran, self._scene_runs = runs > self._scene_runs, runs
        try:
            csv.writer(self._file).writerow(_row(analysis, result, self._watch.labels, scene_ran=ran))
        except OSError as error:
            raise _failure(self._signals, error) from None

    def finish(self, events: Iterable[Event]) -> None:
        """Complete both files. Raises SoteiraError."""
        file, self._file = self._file, None
        path = self._signals
        try:
            if file is not None:
                file.close()
            path = self._events
            with _part(path).open("w", newline="", encoding="utf-8") as rows:
                write_events(events, rows)
            for path in (self._signals, self._events):
                _part(path).replace(path)
        except OSError as error:
            self.abandon()
            raise _failure(path, error) from None

    def abandon(self) -> None:
        """Leave nothing of files that were not completed."""
        file, self._file = self._file, None
        try:
            if file is not None:
                file.close()
        except OSError:
            pass
        finally:
            for path in (self._signals, self._events):
                with suppress(OSError):  # a folder that became read-only: what went wrong before is what is told
                    _part(path).unlink(missing_ok=True)


def write_events(events: Iterable[Event], file: IO[str], clip: str | None = None) -> None:
    """Write rows of events below the header `EVENT_FIELDS`; with `clip` they and the header begin with that, and there
    is no header when the file holds something already.
    """
    writer = csv.writer(file)
    first = () if clip is None else (clip,)
    if file.tell() == 0:
        writer.writerow((*(() if clip is None else ("clip",)), *EVENT_FIELDS))
    for event in events:
        writer.writerow([*first, *cells(event, EVENT_FIELDS)])


def _row(analysis: Analysis, result: LookResult | None, labels: Sequence[str], *, scene_ran: bool) -> list[Any]:
    motion, scene = analysis.motion, analysis.scene
    found = None if result is None else result.found
    row = [round(analysis.frame.time, 3), analysis.frame.index, round(motion.ratio, 6), round(motion.blob, 6),
           int(motion.open), int(motion.flood), int(scene_ran), round(scene.distance, 6), round(scene.ssim, 6),
           int(scene_ran and scene.open), analysis.view.value, analysis.look.value if analysis.look else "",
           int(found is not None)]  # fmt: skip
    return [*row, *(("", "", "") if found is None else _found(found, labels))]


def _found(found: Detections, labels: Sequence[str]) -> tuple[int, str, str]:
    """Return how many there are, the best score of each label, and all of them, best first."""
    best: dict[str, float] = {}
    boxes = []
    for box, score, index in zip(found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True):
        label = labels[index]
        best.setdefault(label, round(score, 4))
        boxes.append([label, round(score, 4), *(round(side, 4) for side in box)])
    return len(boxes), _json(dict(sorted(best.items()))), _json(boxes)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _failure(path: Path, error: OSError) -> SoteiraError:
    return SoteiraError(f"{path}: the signals cannot be written: {error.strerror}: give a folder that you may write to")
