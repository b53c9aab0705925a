"""The disk under the state folder fills up, or becomes read-only, while the daemon runs."""

from __future__ import annotations

import csv
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from soteirad.archive import Archive, Row, Wanted
from tests.brokers import Mosquitto, Received, Subscriber
from tests.daemon import Daemon, events, kinds, write_config
from tests.disks import small_disk, small_ext4
from tests.house import StartDaemon

Measured = Callable[[str], None]
AGAIN = ["left person camera_restart", "entered person"]
MB = 1 << 20


def visit_again(daemon: Daemon, listener: Subscriber, clip: Path) -> list[dict[str, Any]]:
    """Kill the camera's process: its visit is closed, and its successor plays the clip from the start."""
    before = events(listener.messages())
    os.kill(daemon.camera_pid(clip), signal.SIGKILL)

    def came(seen: list[Received]) -> bool:
        return kinds(events(seen)) == [*kinds(before), *AGAIN]

    return events(listener.wait_for(came, timeout=60.0))


def journaled(state: Path) -> list[Row]:
    with Archive(state / "journal.sqlite3") as archive:
        return archive.find(Wanted())[::-1]


def logged(state: Path) -> list[str]:
    found = []
    for path in sorted((state / "log").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found += [row["id"] for row in csv.DictReader(file)]
    return found


def pictures(state: Path) -> int:
    return len([*(state / "snapshots").rglob("*.jpg")])


@pytest.mark.fault(
    "the disk fills up",
    "pictures and the event log stop first, then events are published without the journal; one line each; all of it is "
    "made up for when there is room, nothing is lost and nothing told twice",
)
def test_on_a_disk_that_fills_up_pictures_stop_first_and_no_event_is_lost_or_told_twice(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, entry_clip: Path,
    measured: Measured,
) -> None:  # fmt: skip
    with small_disk(tmp_path / "disk", 40) as disk:
        clip, state = Path(shutil.copy(entry_clip, tmp_path / "porch.mp4")), disk.folder / "state"
        disk.fill(leave=2 * MB)
        daemon = start_daemon(write_config(tmp_path, broker.port, {"porch": {"source": str(clip)}},
                                           storage={"path": str(state)}))  # fmt: skip
        listener.wait_for(lambda seen: kinds(events(seen)) == ["entered person"])
        assert [row.event.event_type for row in journaled(state)] == ["entered"]

        disk.fill(leave=0)
        seen = visit_again(daemon, listener, clip)
        assert len(journaled(state)) == 1 and len(seen) == 3
        assert (pictures(state), logged(state)) == (0, [])

        disk.relieve()
        daemon.wait_log("the journal takes events again")
        daemon.wait_log("there is room again")
        daemon.wait_until(lambda: len(logged(state)) == 3, "the event log has what it lacked")
        seen = visit_again(daemon, listener, clip)
        ids = [event["id"] for event in seen]
        daemon.wait_until(lambda: pictures(state) == 1, "pictures are kept again")
        daemon.wait_until(lambda: all(row.published_at for row in journaled(state)), "all is published")
        daemon.wait_until(lambda: len(logged(state)) == 5, "all is logged")
        assert len({*ids}) == 5 == len(events(listener.messages())), "none twice"
        assert [row.event.id for row in journaled(state)] == logged(state) == ids
        log = daemon.log()
        for line in ("the disk is nearly full", "takes no events", "takes events again", "there is room again"):
            assert log.count(line) == 1, line
        measured(", ".join(kinds(seen)))
        daemon.stop()


@pytest.mark.fault("the disk becomes read-only", "events are published all the same; one line, and a good end")
def test_on_a_disk_that_becomes_read_only_events_are_published_on_and_the_daemon_ends_as_told(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, entry_clip: Path,
    measured: Measured,
) -> None:  # fmt: skip
    with small_ext4(tmp_path / "disk", 40) as disk:
        daemon = start_daemon(write_config(tmp_path, broker.port, {"porch": {"source": str(entry_clip)}},
                                           storage={"path": str(disk.folder / "state")}))  # fmt: skip
        daemon.wait_log("porch: online")
        disk.break_down()
        seen = events(listener.wait_for(lambda seen: kinds(events(seen))[:1] == ["entered person"], timeout=60.0))
        daemon.wait_log("the journal takes no events")
        measured(", ".join(kinds(seen)))
        daemon.stop()
        log = daemon.log()
        assert log.count("takes no events") == log.count("has become read-only") == log.count("cannot be spooled") == 1
        found = [event["id"] for event in events(listener.messages())]
        assert len({*found}) == len(found), "none twice"
