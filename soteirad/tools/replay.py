"""Replay: a clip through the same pipeline as a camera, without MQTT, with the same events each time."""

from __future__ import annotations

import csv
import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, Any

import cv2

from soteirad.asking import Asker
from soteirad.assembly import choose_engine, model_card, source_settings
from soteirad.capture.source import open_source
from soteirad.columns import cells
from soteirad.config import CameraConfig
from soteirad.diagnostics import summary
from soteirad.errors import ModelError, SourceEnded
from soteirad.event import Event, replay_id
from soteirad.messages import Ask
from soteirad.watch import CameraWatch, Outcome

CSV_FIELDS = ("media_time", "event_type", "label", "track_id", "confidence", "x1", "y1", "x2", "y2", "dwell",
              "trigger", "reason", "zones", "id")  # fmt: skip


@dataclass(frozen=True)
class Replay:
    """The events of a clip, in order, and the counts of how far its frames came."""

    events: list[Event]
    summary: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """Return what `replay --json` prints."""
        return {"events": [e.payload() for e in self.events], "summary": self.summary}


def replay(name: str, camera: CameraConfig, every_frame: bool = False,
           on_event: Callable[[Event], None] = lambda _: None,
           on_ask: Callable[[Ask], None] | None = None) -> Replay:  # fmt: skip
    """Play the camera's file source to its end. Raises SourceError or ModelError.

    `on_ask` is given what the camera's questions would ask; without it they are left alone.

    Ids derive from the clip's content and the media time, and event times count from the clip's own zero (1970), so
    that the same clip and settings give the same events.
    """
    cv2.setNumThreads(1)
    source = open_source(camera.source, source_settings(camera))
    source.open()
    clip = _content_hash(Path(camera.source))
    # Event times are media times, however fast the clip is played.
    unpaced = camera.model_copy(update={"speed": "max"})
    watch = CameraWatch(name, unpaced, lambda _, media, what: replay_id(clip, media, what),
                        choose_engine(unpaced, model_card(unpaced)), False, every_frame)  # fmt: skip
    watch.load()
    events: list[Event] = []
    numbers = count()
    asker = Asker(camera.questions if on_ask is not None else (), watch.zones,
                  lambda media: replay_id(clip, media, f"ask:{next(numbers)}"))  # fmt: skip

    def take(outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            events.append(outcome.event)
            on_event(outcome.event)
            ask(asker.happened(outcome.event, outcome.frame))

    def ask(asks: Iterable[Ask]) -> None:
        for due in asks:
            if on_ask is not None:
                on_ask(due)

    began, cpu = time.perf_counter(), time.process_time()
    try:
        while True:
            frame = source.read()
            frame.captured = frame.time
            take(watch.step(frame))
            if watch.last_frame is frame:  # it was analysed
                ask(asker.see(frame, watch.present))
    except SourceEnded:
        take(watch.end("source_ended"))
        ask(asker.end())
    finally:
        source.close()
        watch.close()
    if watch.pipeline.counters.looks_lost:
        raise ModelError(f"{watch.pipeline.counters.looks_lost} looks got no answer from the model's server: start it, "
                         f"or replay with another backend")  # fmt: skip
    took = {"seconds": round(time.perf_counter() - began, 2), "cpu_seconds": round(time.process_time() - cpu, 2)}
    return Replay(events, {**summary(watch), "detector": watch.detector_state(), **took})


def write_csv(events: Iterable[Event], file: IO[str]) -> None:
    """Write events as CSV with the header `CSV_FIELDS`."""
    writer = csv.writer(file)
    writer.writerow(CSV_FIELDS)
    for e in events:
        writer.writerow(cells(e, CSV_FIELDS))


def _content_hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
