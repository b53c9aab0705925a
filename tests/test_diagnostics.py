"""Diagnostics: what a camera says of itself, and when."""

from __future__ import annotations

import numpy as np
import pytest

from soteirad.capture.decoder import StreamCounters
from soteirad.config.schema import camera_from
from soteirad.detect.choice import Choice
from soteirad.detect.detector import REFERENCE
from soteirad.diagnostics import Diagnoser, memory_mb, percentiles, summary
from soteirad.messages import DIAGNOSTICS_EVERY_S
from soteirad.watch import CameraWatch
from tests.capture.made import frame_of

PICTURE = np.zeros((180, 320, 3), np.uint8)
FACTS = {"online": True, "reason": "", **vars(StreamCounters(40, 39, 1)), "dropped": 2, "late": 3}


@pytest.fixture
def watch() -> CameraWatch:
    choice = Choice(REFERENCE, 0.0, None, ())
    return CameraWatch("porch", camera_from({"source": "rtsp://h/s"}), lambda *_: "id", choice)


def test_they_are_due_every_thirty_seconds(watch: CameraWatch) -> None:
    diagnoser = Diagnoser(watch)
    due = [now for now in range(100, 200) if diagnoser.step(float(now), FACTS) is not None]
    assert due == [130, 160, 190]


def test_forced_ones_come_at_once_and_the_next_ones_thirty_seconds_later(watch: CameraWatch) -> None:
    diagnoser = Diagnoser(watch)
    assert diagnoser.step(100.0, FACTS, force=True) is not None
    assert diagnoser.step(110.0, FACTS, force=True) is not None
    assert diagnoser.step(110.0 + DIAGNOSTICS_EVERY_S - 0.1, FACTS) is None
    assert diagnoser.step(110.0 + DIAGNOSTICS_EVERY_S, FACTS) is not None


def test_they_hold_what_is_known_of_the_source_and_of_every_stage(watch: CameraWatch) -> None:
    found = Diagnoser(watch).step(100.0, FACTS, force=True)
    assert found is not None
    assert {key: found.values[key] for key in FACTS} == FACTS
    assert found.values["detector"]["model"] == "nanodet-g-416"
    assert found.values["frames"] == found.values["events"] == 0 and found.values["memory_mb"] > 1
    assert not set(FACTS) & set(summary(watch)), "no figure hides another one"


def test_the_rate_is_of_the_frames_that_were_analysed_since_the_last_ones(watch: CameraWatch) -> None:
    diagnoser = Diagnoser(watch)
    diagnoser.step(100.0, FACTS)
    for index in range(60):
        frame = frame_of(PICTURE, time=index / 10)
        if watch.pipeline.wants(frame):
            watch.analyse(frame)
    first, second = diagnoser.step(130.0, FACTS), diagnoser.step(160.0, FACTS)
    assert first is not None and second is not None
    assert (first.values["fps"], first.values["analysed"]) == (2.0, 60)
    assert (second.values["fps"], second.values["analysed"]) == (0.0, 60)


def test_percentiles_are_of_the_values_and_of_none_there_are_none() -> None:
    assert percentiles([float(n) for n in range(101)]) == {"p50": 50.0, "p95": 95.0}
    assert percentiles([]) == {}
    assert 1 < memory_mb() < 100_000
