"""The status line, and how many events today has had, on a real journal."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from soteirad.config import load_config
from soteirad.event import Event, iso_time, new_id
from soteirad.hub.guard import Guard
from soteirad.hub.hub import Hub
from soteirad.hub.journal import Journal
from soteirad.hub.reload import Reload
from soteirad.hub.vitals import Condition, Today, Vitals
from soteirad.service.notify import Notifier

NOON = time.mktime((2026, 11, 21, 12, 0, 0, 0, 0, -1))
DAY_S = 86400.0


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.sqlite3", clock)
    journal.open()
    yield journal
    journal.close()


def happen(journal: Journal, at: float, count: int) -> int:
    events = [Event(id=new_id(at), event_type="source_lost", camera="porch", time=iso_time(at)) for _ in range(count)]
    return len(journal.append(events))


@pytest.mark.parametrize(
    ("condition", "events", "line"),
    [
        (Condition(3, 2), 41, "3 cameras, 2 online, 41 events today"),
        (Condition(1, 1), 1, "1 camera, 1 online, 1 event today"),
        (Condition(0, 0), 0, "0 cameras, 0 online, 0 events today"),
        (Condition(2, 2, connected=False), 0, "2 cameras, 2 online, 0 events today; not connected to the MQTT broker"),
        (Condition(2, 2, doing="reading", problem="full"), 5, "2 cameras, 2 online, 5 events today; reading; full"),
    ],
)
def test_the_line_says_how_many_and_what_else_there_is_to_know(condition: Condition, events: int, line: str) -> None:
    assert condition.line(events) == line


def test_today_begins_with_what_the_journal_has_of_this_local_day(journal: Journal, clock: Clock) -> None:
    clock.now = NOON - DAY_S
    happen(journal, clock.now, 7)
    clock.now = NOON
    happen(journal, clock.now, 3)
    journal.append([Event(new_id(NOON), "recorded", "porch", iso_time(NOON))])  # says more of an event that was counted
    today = Today(journal, Guard(), clock)
    assert today.count() == 3
    today.add(2)
    assert today.count() == 5


def test_a_new_day_begins_with_what_it_has_already(journal: Journal, clock: Clock) -> None:
    today = Today(journal, Guard(), clock)
    today.add(happen(journal, clock.now, 3))
    clock.now += DAY_S
    today.add(happen(journal, clock.now, 2))
    assert today.count() == 2


def test_a_journal_that_does_not_answer_costs_the_count_only(journal: Journal, clock: Clock, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "journal.sqlite3") as other:
        other.execute("ALTER TABLE events RENAME TO gone")
    other.close()
    guard = Guard()
    today = Today(journal, guard, clock)
    assert today.count() == 0 and guard.problem
    today.add(1)
    assert today.count() == 1


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "60000000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        yield receiver


def started() -> Notifier:
    notifier = Notifier()
    notifier.start()
    return notifier


def heard(systemd: socket.socket) -> set[str]:
    found = set()
    while True:
        try:
            found.add(systemd.recv(4096).decode().partition("=")[0])
        except BlockingIOError:
            return found


def test_a_start_that_takes_long_asks_for_time_and_feeds_the_watchdog(journal: Journal, systemd: socket.socket) -> None:
    vitals = Vitals(journal, Guard(), started())
    vitals.busy()
    assert heard(systemd) == {"EXTEND_TIMEOUT_USEC", "WATCHDOG"}


def test_a_reload_asks_for_time_and_does_not_feed_the_watchdog_for_a_thread_that_hangs(
    tmp_path: Path, systemd: socket.socket
) -> None:
    file = tmp_path / "soteira.yaml"
    file.write_text(f"storage: {{path: {tmp_path}}}\ncameras: {{porch: {{source: rtsp://h/s}}}}\n", encoding="utf-8")
    hub = Hub(lambda: load_config(file), file, notifier=started())
    hub._journal.open()
    hub._reload = Reload(lambda: load_config(file), lambda config: config.watched, {}, lambda: False, lambda: None)
    hub._tell_vitals()
    hub._vitals.progress(time.monotonic(), mqtt_hangs=True)
    hub._journal.close()
    assert heard(systemd) == {"EXTEND_TIMEOUT_USEC", "STATUS"}
