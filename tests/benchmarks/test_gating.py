"""Entries kept by gating: counted where they were reported, and along the paths of a run that looks at every frame."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.clips import Clip
from benchmarks.gating import kept
from benchmarks.play import Played, followed, replayed
from soteirad.event import Event
from tests.truth import entries

Row = tuple[float, float, float, float, float]


def entered(time: float, x: int, track: int = 1, label: str = "car") -> Event:
    return Event(f"{time}", "entered", "c", "t", label=label, track_id=track, box=(x, 0, x + 10, 10), media_time=time)


def drive(*times: float, speed: float = 20.0) -> tuple[Row, ...]:
    return tuple((t, speed * t, 0.0, speed * t + 10, 10.0) for t in times)


def run(*events: Event, **paths: tuple[Row, ...]) -> Played:
    return Played(1.0, events=events, paths={int(name.removeprefix("track")): path for name, path in paths.items()})


SECOND = [n / 10 for n in range(11)]


def test_an_object_that_is_reported_later_and_elsewhere_is_kept_on_its_path_only() -> None:
    at_entry, along = kept(run(entered(0.5, 10)), run(entered(0.0, 0), track1=drive(*SECOND)))
    assert (at_entry.matched, along.matched) == (0, 1)
    assert (along.true, along.reported) == (1, 1)


def test_on_the_path_it_must_be_the_same_label_within_a_second_and_where_the_object_was_then() -> None:
    every = run(entered(0.0, 0), track1=drive(*SECOND, 1.1, 1.2))
    for other in (entered(0.5, 10, label="person"), entered(0.5, 0), entered(1.1, 22)):
        assert kept(run(other), every)[1].matched == 0


def test_a_path_says_nothing_of_times_at_which_the_object_was_not_found() -> None:
    gone = run(entered(0.1, 2), track1=drive(0.0, 0.1, 0.2))
    assert kept(run(entered(0.4, 4)), gone)[1].matched == 1
    assert kept(run(entered(0.5, 4)), gone)[1].matched == 0
    lost_for_a_while = run(entered(0.0, 0), track1=drive(0.0, 1.0))
    assert kept(run(entered(0.5, 10)), lost_for_a_while)[1].matched == 0


def test_a_path_is_known_before_its_entry_is_sure() -> None:
    every = run(entered(0.6, 12), track1=drive(*SECOND))
    assert kept(run(entered(0.1, 2)), every)[1].matched == 1


def test_one_object_is_kept_once() -> None:
    along = kept(run(entered(0.1, 2, 1), entered(0.5, 10, 2)), run(entered(0.0, 0), track1=drive(*SECOND)))[1]
    assert (along.matched, along.reported, along.precision) == (1, 2, 0.5)


def test_a_followed_clip_has_the_events_of_its_replay_and_each_entry_lies_on_its_path(visit_clip: Path) -> None:
    clip = Clip("visit", visit_clip, ("person", "cat"))
    every, plain = followed(clip), replayed(clip, every_frame=True)
    told = [(e.id, e.event_type, e.box) for e in plain.events]
    assert told
    assert [(e.id, e.event_type, e.box) for e in every.events] == told
    assert (every.looks, every.analysed) == (plain.looks, plain.analysed)
    for event in entries(every.events):
        assert event.track_id is not None and event.box is not None and event.media_time is not None
        (row,) = [r for r in every.paths[event.track_id] if r[0] == pytest.approx(event.media_time, abs=1e-3)]
        assert event.box == pytest.approx(row[1:], abs=1.0)
    assert kept(plain, every)[1].recall == 1.0
