"""A hub that hangs or dies holding events it never journaled: the camera has them, and nothing is lost or doubled."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from soteirad.spool import Spool
from tests.brokers import Mosquitto, Subscriber
from tests.clips import DEMO
from tests.daemon import Daemon, events, kinds, payloads, write_config
from tests.house import StartDaemon


@pytest.fixture
def hung(tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon) -> Daemon:
    """A daemon whose hub was stopped before anything happened; its camera has confirmed an entry since."""
    daemon = start_daemon(write_config(tmp_path, broker.port, {"porch": {"source": str(DEMO), "speed": 6}}))
    listener.wait_for(lambda seen: payloads(seen, "soteira/porch/status")[-1:] == ["online"])
    daemon.signal(signal.SIGSTOP)
    spool = Spool(tmp_path / "state" / "spool")
    daemon.wait_until(lambda: kinds(e.payload() for e in spool.read()) == ["entered person"], "the entry is spooled")
    assert events(listener.messages()) == []
    return daemon


def assert_next_start_publishes_it_once(
    folder: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, clip: Path
) -> None:
    config = write_config(folder, broker.port, {"porch": {"source": str(clip), "speed": 10}})
    assert start_daemon(config, "--until-end").wait_exit() == 0
    found = events(listener.wait_for(lambda seen: payloads(seen, "soteira/status")[-2:] == ["online", "offline"]))
    assert kinds(found) == ["entered person", "left person restart", "present person", "left person"]
    assert len({e["id"] for e in found}) == len(found)
    assert Spool(folder / "state" / "spool").read() == []


@pytest.mark.fault(
    "the hub is killed while it holds events up",
    "its cameras end by themselves; the next start publishes each event once",
)
def test_a_camera_whose_hub_is_killed_ends_by_itself_and_the_next_start_publishes_its_event_once(
    hung: Daemon, tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon,
    standing_clip: Path,
) -> None:  # fmt: skip
    hung.kill()  # which waits until the camera process is gone
    assert_next_start_publishes_it_once(tmp_path, broker, listener, start_daemon, standing_clip)


@pytest.mark.fault(
    "hub and cameras are killed at once (power cut)",
    "what was confirmed is published once by the next start",
)
def test_an_event_outlives_the_hub_and_its_camera_when_both_are_killed_at_once(
    hung: Daemon, tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon,
    standing_clip: Path,
) -> None:  # fmt: skip
    hung.signal_group(signal.SIGKILL)
    hung.wait_exit()
    hung.wait_until(lambda: not hung.group(), "all processes are killed")
    assert_next_start_publishes_it_once(tmp_path, broker, listener, start_daemon, standing_clip)


@pytest.mark.fault("the hub hangs for a while", "cameras keep their events; each is published once when it goes on")
def test_a_hub_that_only_hung_publishes_the_event_once_and_clears_the_spool(
    hung: Daemon, tmp_path: Path, listener: Subscriber
) -> None:
    hung.signal(signal.SIGCONT)
    listener.wait_for(lambda seen: len(events(seen)) >= 1)
    hung.wait_until(lambda: not list((tmp_path / "state" / "spool").glob("*.json")), "the spool is empty")
    hung.stop()
    assert kinds(events(listener.messages())) == ["entered person"]


@pytest.mark.fault(
    "a second daemon is started on the same state folder",
    "it is refused with one line, and the first goes on",
)
def test_a_second_daemon_with_the_same_state_folder_is_refused_and_the_first_goes_on(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon
) -> None:
    config = write_config(tmp_path, broker.port, {"porch": {"source": str(DEMO)}})
    first = start_daemon(config)
    listener.wait_for(lambda seen: payloads(seen, "soteira/porch/status")[-1:] == ["online"])
    second = start_daemon(config)
    assert second.wait_exit() == 75
    assert "another soteirad runs with this state folder" in second.log() and "Traceback" not in second.log()
    assert first.running and payloads(listener.messages(), "soteira/status") == ["online"]
    first.stop()
