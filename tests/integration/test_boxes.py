"""Several boxes at one broker, each with a topic prefix of its own."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.brokers import Mosquitto, Subscriber, retained_at
from tests.daemon import events, kinds, payloads, write_config
from tests.house import StartDaemon

BOXES = ("hall", "barn", "gate")


def test_three_boxes_with_prefixes_of_their_own_share_a_broker_and_one_that_dies_takes_nobody_with_it(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, visit_clip: Path
) -> None:
    daemons = {}
    for box in BOXES:
        (tmp_path / box).mkdir()
        mqtt = {"host": broker.host, "port": broker.port, "topic_prefix": box}
        cameras = {"porch": {"source": str(visit_clip), "speed": 4}}  # the same name everywhere
        daemons[box] = start_daemon(write_config(tmp_path / box, broker.port, cameras, mqtt=mqtt))
    seen = listener.wait_for(
        lambda found: all(len(payloads(found, f"{box}/porch/event")) == 2 for box in BOXES), timeout=60
    )
    told = {box: events(seen, box=box) for box in BOXES}
    assert {box: kinds(found) for box, found in told.items()} == {
        box: ["entered person", "left person"] for box in BOXES
    }
    assert len({event["id"] for found in told.values() for event in found}) == 6

    retained = retained_at(broker)
    discovered = {topic for topic in retained if topic.startswith("homeassistant/")}
    by_box = {box: {t for t in discovered if f'"{box}/'.encode() in retained[t]} for box in BOXES}
    assert all(by_box.values()) and sum(map(len, by_box.values())) == len(discovered)
    assert not [topic for topic in retained if topic.split("/")[0] not in (*BOXES, "homeassistant")]

    daemons["barn"].signal(signal.SIGKILL)
    listener.wait_for(lambda found: payloads(found, "barn/status")[-1:] == ["offline"])
    retained = retained_at(broker)
    assert {box: retained[f"{box}/status"] for box in BOXES} == {"hall": b"online", "barn": b"offline",
                                                                 "gate": b"online"}  # fmt: skip
    for box in ("hall", "gate"):
        daemons[box].stop()
