"""The parts of an event's way add up, and the gate thread's intervals count in frame times."""

from __future__ import annotations

import pytest

from benchmarks.live import Told, intervals


def test_the_parts_of_an_events_way_add_up_to_all_of_it() -> None:
    told = Told(sent=10.0, captured=10.1, received=10.16, latency={"detect": 20.0, "total": 45.0})
    assert told.ms == pytest.approx({"whole": 160, "to the reader": 100, "gates": 45, "to the subscriber": 15})


def test_intervals_count_in_frame_times() -> None:
    assert intervals([1.0, 1.1, 1.25]) == pytest.approx([1.0, 1.5])
