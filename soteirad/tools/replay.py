"""Replay: a clip through the same pipeline as a camera, without MQTT, with the same events each time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import cv2

from soteirad.asking import Asker
from soteirad.assembly import choose_engine, model_card, source_settings
from soteirad.capture.clock import Clock
from soteirad.capture.source import open_source
from soteirad.config import CameraConfig
from soteirad.diagnostics import summary
from soteirad.digest import digest_of
from soteirad.errors import ModelError, SoteiraError, SourceEnded
from soteirad.event import Event, replay_id
from soteirad.messages import Ask
from soteirad.tools.signals import SignalsFiles, write_events
from soteirad.watch import CameraWatch, Outcome

TIMINGS = ("latency_ms", "stage_ms", "seconds", "cpu_seconds")
"""Keys of events and summaries that say how long something took: they differ from run to run, and nothing else does."""


@dataclass(frozen=True)
class Play:
    """A clip, and the camera's name and settings that it is played with."""

    clip: Path
    name: str
    camera: CameraConfig


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
           on_ask: Callable[[Ask], None] | None = None, signals: SignalsFiles | None = None,
           clock: Clock | None = None) -> Replay:  # fmt: skip
    """Play the camera's file source to its end. Raises SourceError or ModelError, and SoteiraError for `signals`.

    `signals`, which have to be open, are given what the gates said of each frame. `on_ask` is given what the camera's
    questions would ask; without it they are left alone. `clock` paces the clip.

    Ids derive from the clip's content and the media time, and event times count from the clip's own zero (1970), so
    that the same clip and settings give the same events.
    """
    cv2.setNumThreads(1)
    source = open_source(camera.source, source_settings(camera), clock=clock)
    source.open()
    _, clip = digest_of([Path(camera.source)])
    # Event times are media times, however fast the clip is played.
    unpaced = camera.model_copy(update={"speed": "max"})
    watch = CameraWatch(name, unpaced, lambda _, media, what: replay_id(clip, media, what),
                        choose_engine(unpaced, model_card(unpaced)), False, every_frame)  # fmt: skip
    watch.load()
    on_step = None if signals is None else signals.attach(watch)
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
            take(watch.step(frame, on_step))
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


def replay_all(plays: Sequence[Play], every_frame: bool = False, folder: Path | None = None,
               on_clip: Callable[[Play], None] = lambda _: None,
               on_event: Callable[[Event], None] = lambda _: None) -> list[Replay]:  # fmt: skip
    """Play clips one after the other, each with a start of its own, and keep each one's signals in `folder`, if given.

    Raises SoteiraError, before anything is played, for clips that are not there or whose files would have one name.
    """
    _check(plays, folder)
    done = []
    for play in plays:
        on_clip(play)
        if folder is None:
            done.append(replay(play.name, play.camera, every_frame, on_event))
            continue
        signals = SignalsFiles(folder, play.clip.stem)
        signals.open()
        try:
            done.append(replay(play.name, play.camera, every_frame, on_event, signals=signals))
            signals.finish(done[-1].events)
        finally:
            signals.abandon()
    return done


def report(plays: Sequence[Play], done: Sequence[Replay]) -> dict[str, Any]:
    """Return what `replay --json` prints: one clip's document, or one with those of all clips and their sums."""
    if len(done) == 1:
        return done[0].document()
    clips = [{"clip": str(play.clip), **one.document()} for play, one in zip(plays, done, strict=True)]
    return {"clips": clips, "summary": summed([one.summary for one in done])}


def summed(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how many `clips` summaries are of, and the sums of their counts and of the seconds that they took."""
    total: dict[str, Any] = {"clips": len(summaries)}
    for key, first in summaries[0].items():
        values = [summary[key] for summary in summaries]
        if isinstance(first, int) or key in ("seconds", "cpu_seconds"):
            total[key] = round(sum(values), 2)
        elif isinstance(first, Mapping) and all(isinstance(count, int) for one in values for count in one.values()):
            names = sorted({name for one in values for name in one})
            total[key] = {name: sum(one.get(name, 0) for one in values) for name in names}
    return total


def write_csv(path: Path, plays: Sequence[Play], done: Sequence[Replay]) -> None:
    """Write all events to a CSV file; of several clips each row begins with its clip. Raises SoteiraError."""
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            for play, one in zip(plays, done, strict=True):
                write_events(one.events, file, str(play.clip) if len(done) > 1 else None)
    except OSError as error:
        raise SoteiraError(f"{path}: the CSV file cannot be written: {error.strerror}") from None


def _check(plays: Sequence[Play], folder: Path | None) -> None:
    stems: dict[str, Path] = {}
    for play in plays:
        if len(plays) > 1 and not play.clip.is_file():
            raise SoteiraError(f"{play.clip}: there is no such file: nothing was played")
        other = stems.setdefault(play.clip.stem, play.clip)
        if folder is not None and other is not play.clip:
            raise SoteiraError(f"{other} and {play.clip}: both would be recorded as {play.clip.stem}.signals.csv: "
                               "rename one of them, or replay it by itself")  # fmt: skip
