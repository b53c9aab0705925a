"""The end: within five seconds, whatever the daemon is doing, and nothing stays behind."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import Mosquitto, Subscriber
from tests.clips import DEMO
from tests.daemon import STOP_WITHIN_S, Daemon, payloads, until, write_config
from tests.house import StartDaemon


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        yield int(server.getsockname()[1])


@pytest.fixture
def daemon(tmp_path: Path, broker: Mosquitto, start_daemon: StartDaemon, silent_port: int) -> Daemon:
    """A daemon with a clip that plays, and two cameras whose answer is waited for."""
    cameras = {
        "porch": {"source": str(DEMO), "speed": 4},
        "yard": {"source": f"rtsp://127.0.0.1:{silent_port}/stream"},
        "gate": {"source": f"http://127.0.0.1:{silent_port}/stream"},
    }
    return start_daemon(write_config(tmp_path, broker.port, cameras))


def assert_all_ends(daemon: Daemon, since: float) -> None:
    assert until(lambda: not daemon.running and not daemon.group(), STOP_WITHIN_S), (daemon.group(), daemon.log())
    assert time.monotonic() - since <= STOP_WITHIN_S
    assert daemon.process.returncode == 0
    assert "does not end and is killed" not in daemon.log() and "Traceback" not in daemon.log()


@pytest.mark.parametrize(
    ("number", "whom"),
    [(signal.SIGTERM, "hub"), (signal.SIGTERM, "group"), (signal.SIGINT, "group")],
    ids=["SIGTERM to the daemon", "SIGTERM to all its processes", "Ctrl-C"],
)
def test_a_signal_ends_all_processes_within_5_seconds_and_says_offline(
    number: signal.Signals, whom: str, broker: Mosquitto, listener: Subscriber, daemon: Daemon
) -> None:
    listener.wait_for(lambda seen: any(m.topic == "soteira/porch/snapshot" for m in seen))
    assert len(daemon.group()) >= 4, "the hub and three cameras should run"
    began = time.monotonic()
    (daemon.signal if whom == "hub" else daemon.signal_group)(number)
    assert_all_ends(daemon, began)
    listener.wait_for(lambda seen: payloads(seen, "soteira/status")[-1:] == ["offline"])
    later = Subscriber(broker, client_id="later")
    later.start()
    topics = ["soteira/status", *(f"soteira/{camera}/status" for camera in ("porch", "yard", "gate"))]
    later.wait_for(lambda seen: {m.topic for m in seen} >= set(topics))
    later.stop()
    assert {t: payloads(later.messages(), t) for t in topics} == {t: ["offline"] for t in topics}


def test_a_broker_that_hangs_delays_the_end_to_no_more_than_5_seconds(
    broker: Mosquitto, listener: Subscriber, daemon: Daemon
) -> None:
    listener.wait_for(lambda seen: any(m.topic == "soteira/porch/snapshot" for m in seen))
    broker.freeze()
    began = time.monotonic()
    daemon.signal(signal.SIGTERM)
    assert_all_ends(daemon, began)
