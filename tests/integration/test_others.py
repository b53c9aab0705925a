"""What others get of the same visit: events in Frigate's format, and a request to a web address."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import Mosquitto, Subscriber, retained_at
from tests.daemon import events, payloads, write_config
from tests.house import StartDaemon
from tests.http_receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver().start()
    yield receiver
    receiver.stop()


def test_a_visit_reaches_a_recorder_and_automations_written_for_frigate(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, visit_clip: Path,
    receiver: Receiver
) -> None:  # fmt: skip
    webhook = {"url": f"{receiver.url}/{{camera}}", "when": {"events": ["entered", "left"]}}
    mqtt = {"host": broker.host, "port": broker.port, "frigate_events": {"enabled": True}}
    daemon = start_daemon(write_config(tmp_path, broker.port, {"porch": {"source": str(visit_clip), "speed": 8}},
                                       mqtt=mqtt, webhooks=[webhook]))  # fmt: skip
    seen = listener.wait_for(lambda found: len(payloads(found, "frigate/events")) == 2)
    ours = events(seen)
    assert [(r.path, json.loads(r.body)["id"]) for r in receiver.wait_for(2)] == [("/porch", e["id"]) for e in ours]
    new, end = (json.loads(payload) for payload in payloads(seen, "frigate/events"))
    assert (new["type"], end["type"]) == ("new", "end") and new["after"]["id"] == end["after"]["id"]
    assert end["after"]["end_time"] > new["after"]["start_time"] and new["after"]["box"] == ours[0]["box"]
    listener.wait_for(lambda found: payloads(found, "frigate/porch/person") == ["0", "1", "0"])
    found = retained_at(broker)
    assert found["frigate/available"] == b"online" and found["frigate/porch/motion"] in (b"ON", b"OFF")
    assert found["frigate/porch/person/snapshot"] == found["soteira/porch/snapshot"]
    daemon.stop()
    assert retained_at(broker)["frigate/available"] == b"offline"
