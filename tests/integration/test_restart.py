"""Starts with somebody in view: nothing enters that was there before."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import Mosquitto, Received, Subscriber
from tests.clips import DEMO
from tests.daemon import events, kinds, write_config
from tests.house import StartDaemon


def distinct(messages: list[Received]) -> list[dict[str, Any]]:
    """The events without repetitions: a hub killed before it noted an acknowledgement publishes the event again."""
    first: dict[str, dict[str, Any]] = {}
    for event in events(messages):
        first.setdefault(event["id"], event)
    return list(first.values())


def test_who_is_in_view_at_the_start_is_present_and_has_not_entered(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, standing_clip: Path
) -> None:
    config = write_config(tmp_path, broker.port, {"porch": {"source": str(standing_clip), "speed": 10}})
    assert start_daemon(config, "--until-end").wait_exit() == 0
    found = events(listener.wait_for(lambda seen: len(events(seen)) >= 2))
    assert kinds(found) == ["present person", "left person"]
    assert found[0]["media_time"] < 2.0 and found[1]["media_time"] == pytest.approx(16.7, abs=1.0)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_restart_in_mid_visit_closes_the_visit_and_finds_the_person_present_not_entered(
    end: signal.Signals, tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon,
    standing_clip: Path,
) -> None:  # fmt: skip
    first = start_daemon(write_config(tmp_path, broker.port, {"porch": {"source": str(DEMO), "speed": 8}}))
    entered = events(listener.wait_for(lambda seen: len(events(seen)) == 1))[0]
    first.kill() if end == signal.SIGKILL else first.stop()
    second = start_daemon(write_config(tmp_path, broker.port, {"porch": {"source": str(standing_clip), "speed": 10}}),
                          "--until-end")  # fmt: skip
    assert second.wait_exit() == 0
    found = distinct(listener.wait_for(lambda seen: len(distinct(seen)) >= 4))
    assert kinds(found) == ["entered person", "left person restart", "present person", "left person"]
    assert found[1]["track_id"] == entered["track_id"] and "dwell" not in found[1]
