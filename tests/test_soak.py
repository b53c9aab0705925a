"""How the soak judges: by what a recovery may take, whose visits were told, and what must not grow."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.soak.house import ENTRY_S, Story
from tests.soak.troubles import KINDS, SERVER, Fault, schedule, wait_in_force
from tests.soak.verdict import Laps, Record, count_laps, counter_gap, figures, untimely
from tests.soak.vitals import FORK_SERVER, HUB, Sample

LAP = 18.0


@pytest.mark.parametrize(
    ("down", "wait"), [(0.0, 1.25), (0.9, 1.25), (1.0, 2.5), (2.9, 2.5), (3.0, 5.0), (40.0, 37.5), (500.0, 37.5)]
)
def test_the_wait_in_force_grows_with_the_outage_up_to_half_a_minute(down: float, wait: float) -> None:
    assert wait_in_force(down) == wait


def test_the_schedule_tries_each_fault_once_first_and_repeats_with_its_seed() -> None:
    once = list(itertools.islice(schedule(random.Random(4)), 40))
    assert sorted(once[: len(KINDS)]) == sorted(KINDS)
    assert once == list(itertools.islice(schedule(random.Random(4)), 40))
    assert once[len(KINDS) :].count(SERVER) > 10


def visits(count: int, offset: float) -> list[float]:
    return [100.0 + lap * LAP + offset for lap in range(count)]


def test_visits_are_counted_in_whole_laps_only() -> None:
    entered, left = visits(10, 7.0), visits(10, 15.2)
    assert count_laps(entered, left, 100.0, LAP, 105.0, 100.0 + 9 * LAP + 8.0) == Laps(8, 0, 0)
    assert count_laps(entered[:4] + entered[5:], left, 100.0, LAP, 105.0, 270.0) == Laps(8, 1, 0)
    assert count_laps(entered, [*left, left[3] + 1.0], 100.0, LAP, 105.0, 270.0) == Laps(8, 0, 1)


def test_an_entry_while_the_person_stands_there_is_untimely() -> None:
    told = [100.0 + ENTRY_S + 0.5, 100.0 + LAP + 11.0, 205.0 + ENTRY_S]
    assert untimely(told, [100.0, 205.0], LAP) == [told[1]]
    assert untimely([50.0], [100.0], LAP) == [50.0]


def test_damaged_frames_count_as_taken() -> None:
    assert counter_gap({"decoded": 10, "corrupt": 4, "dropped": 2, "late": 1, "frames": 7}) == 0


def record(**changes: object) -> Record:
    """A soak of half an hour in which all went well."""
    ended = 100.0 + 1800.0
    entered, left = (
        {f"{kind}{at}": {"event_type": kind, "at": at, "latency_ms": {"total": 90.0}} for at in visits(101, offset)}
        for kind, offset in (("entered", 7.0), ("left", 15.2))
    )
    good = {"decoded": 10, "dropped": 2, "late": 1, "frames": 7}
    story = Story([(100.5, "offline"), (101.0, "online")], entered | left, [(200.0, good)])
    faults = [Fault(kind, "b", 200.0, 210.0, 2.0, 3.0) for kind in (*KINDS, *[SERVER] * 20)]
    everybody = (HUB, FORK_SERVER, "a", "b")
    samples = [Sample(float(at), who, 1, 100.0, 60.0, 20, 9) for at in range(100, 1900, 10) for who in everybody]
    values = {"stories": {"a": story, "b": Story([(101.0, "online")])}, "samples": samples, "faults": faults, "log": ""}
    return Record(**{"minutes": 30.0, "began": 100.0, "ended": ended, "lap_s": LAP, "control": "a",
                     "servers_began": {"a": [100.0], "b": [100.0]}} | values | changes)  # type: ignore[arg-type]  # fmt: skip


def test_a_good_soak_breaks_nothing() -> None:
    found = record()
    assert "All requirements were met." in figures(found) and found.broken == []


def test_what_is_broken_is_told_in_a_line_each() -> None:
    found = record()
    found.faults[0] = Fault(SERVER, "b", 1.0, 2.0, 9.0, 3.0, ("a",), note="off for 1.0 s")
    found.faults[1] = Fault(KINDS[1], "b", 1.0)
    found.samples += [Sample(1890.0, HUB, 1, 130.0, 60.0, 20, 9)] * 20
    found.stories["b"].diagnostics.append((1.0, {"decoded": 10, "dropped": 0, "late": 0, "frames": 7}))
    found.stories["a"].status += [(500.0, "offline"), (501.0, "online")]
    text = figures(found)
    for line in (
        "switched off and on (b): recovered after 9.0 s, allowed are 3.0 s (off for 1.0 s)",
        "switched off and on (b): the status of a changed too",
        "camera frozen (b): no recovery was seen",
        "hub: rss grew by 30.0%",
        "b: its counters do not add up, 3 frames are missing",
        "a, which nothing touched: 2 changes of status",
    ):
        assert line in text, text
    assert len(found.broken) == 6
