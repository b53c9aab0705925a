"""`forget` at a real broker: what is ours goes, what is not stays."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from soteirad.config import Config, load_config
from soteirad.errors import BrokerError, StorageError
from soteirad.hub.journal import Journal
from soteirad.mqtt import connection as connection_module
from soteirad.mqtt.homeassistant import announcements
from soteirad.mqtt.topics import Topics
from soteirad.mqtt.visit import Visit
from soteirad.tools import forget as forget_module
from soteirad.tools.forget import forget_all
from tests.brokers import Mosquitto, Subscriber, free_port, retained_at
from tests.command import typed
from tests.daemon import soteirad


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker is on this machine: what it has comes in an instant."""
    monkeypatch.setattr(forget_module, "QUIET_S", 0.3)


@pytest.fixture
def others(broker: Mosquitto) -> Iterator[Subscriber]:
    """Somebody else at the broker, who publishes and sees nothing."""
    subscriber = Subscriber(broker, topic="nothing", client_id="others")
    subscriber.start()
    yield subscriber
    subscriber.stop()


def write(folder: Path, port: int, prefix: str = "house", discovery: str = "device", camera: str = "porch") -> Path:
    document: dict[str, Any] = {
        "mqtt": {"host": "127.0.0.1", "port": port, "topic_prefix": prefix},
        "storage": {"path": str(folder / "state")},
        "homeassistant": {"discovery": discovery},
        "cameras": {camera: {"source": "rtsp://h/s"}},
    }
    path = folder / "soteira.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def announce(others: Subscriber, config: Config) -> set[str]:
    """Publish what a daemon with this configuration tells Home Assistant; returns the topics."""
    told = announcements(config, Topics(config.mqtt.topic_prefix), "1.0")
    for announcement in told:
        others.publish(announcement.topic, announcement.text(), retain=True)
    return {announcement.topic for announcement in told}


def left_at(broker: Mosquitto) -> set[str]:
    """The topics on which something lies retained."""
    return set(retained_at(broker))


OURS = ["house/status", "house/info", "house/porch/state", "house/porch/snapshot", "house/gone/answer/parcel",
        "house/porch/set/detect"]  # fmt: skip
FOREIGN = ["house", "houses/status", "house_2/status", "house_2/porch/state", "zigbee2mqtt/bridge/state", "a/house/b"]


def test_what_lies_under_the_prefix_is_taken_back_and_nothing_else(
    tmp_path: Path, broker: Mosquitto, others: Subscriber
) -> None:
    for topic in (*OURS, *FOREIGN):
        others.publish(topic, b"offline", retain=True)
    assert forget_all(write(tmp_path, broker.port)) == sorted(OURS)
    assert left_at(broker) == set(FOREIGN)
    assert forget_all(write(tmp_path, broker.port)) == []
    assert not (tmp_path / "state").exists(), "looking for a journal makes none"


@pytest.mark.parametrize("discovery", ["device", "single"])
@pytest.mark.parametrize("now", ["device", "single", "off"])
def test_announcements_of_both_forms_are_taken_back_whatever_is_announced_now(
    tmp_path: Path, broker: Mosquitto, others: Subscriber, discovery: str, now: str
) -> None:
    told = announce(others, load_config(write(tmp_path, broker.port, discovery=discovery)))
    assert told and set(forget_all(write(tmp_path, broker.port, discovery=now, camera="other"))) == told
    assert left_at(broker) == set()


@pytest.mark.parametrize("discovery", ["device", "single"])
def test_another_box_whose_prefix_begins_with_ours_keeps_its_announcements(
    tmp_path: Path, broker: Mosquitto, others: Subscriber, discovery: str
) -> None:
    told = announce(others, load_config(write(tmp_path, broker.port, "house_2", discovery)))
    ours = announce(others, load_config(write(tmp_path, broker.port, "house", discovery)))
    others.publish("house_2/status", b"online", retain=True)
    assert set(forget_all(write(tmp_path, broker.port))) == ours
    assert left_at(broker) == {*told, "house_2/status"}


STRANGE: list[Any] = [
    None, 7, "text", [], {}, {"device": 1}, {"device": {"identifiers": ["house_porch"]}},
    {"origin": {"name": "Soteira"}},
    {"device": {"identifiers": ["house_porch"]}, "origin": {"name": "Another"}, "state_topic": "house/status"},
    {"origin": "Soteira", "state_topic": "house/status"}, {"origin": ["Soteira"], "state_topic": "house/status"},
    {"origin": {"name": "Soteira"}, "components": 3}, {"origin": {"name": "Soteira"}, "components": {"a": [1]}},
    {"origin": {"name": "Soteira"}, "availability": 5}, {"origin": {"name": "Soteira"}, "availability": [5, None]},
]  # fmt: skip


def test_what_others_announce_stays_however_strange_it_is(
    tmp_path: Path, broker: Mosquitto, others: Subscriber
) -> None:
    payloads = [json.dumps(strange).encode() for strange in STRANGE]
    payloads += [b"\xff\xfe{", b"[" * 100_000, b"{" * 3, b"x" * 1_100_000, b"NaN"]
    for number, payload in enumerate(payloads):
        others.publish(f"homeassistant/sensor/x{number}/config", payload, retain=True)
    assert forget_all(write(tmp_path, broker.port)) == []
    assert len(left_at(broker)) == len(payloads)


def test_while_the_daemon_is_online_nothing_is_touched(
    tmp_path: Path, broker: Mosquitto, others: Subscriber
) -> None:
    others.publish("house/status", b"online", retain=True)
    others.publish("house/porch/state", b"{}", retain=True)
    with pytest.raises(BrokerError, match=r"topic prefix house is online .* stop it first"):
        forget_all(write(tmp_path, broker.port))
    assert left_at(broker) == {"house/status", "house/porch/state"}
    assert len(forget_all(write(tmp_path, broker.port), force=True)) == 2, "there is no daemon: its last will was lost"
    assert left_at(broker) == set()


def test_what_the_journal_knows_of_is_taken_back_too_and_forgotten(
    tmp_path: Path, broker: Mosquitto, others: Subscriber
) -> None:
    path = write(tmp_path, broker.port)
    (tmp_path / "state").mkdir()
    journal = Journal(load_config(path).storage.journal)
    journal.open()
    journal.note_retained({"former/porch/state": {}, "ha/device/former_porch/config": {"x": "sensor"}})
    for topic in ("former/porch/state", "ha/device/former_porch/config", "former/other/state", "house/status"):
        others.publish(topic, b"1", retain=True)
    assert forget_all(path) == ["former/porch/state", "ha/device/former_porch/config", "house/status"]
    assert left_at(broker) == {"former/other/state"}
    assert journal.retained() == {}
    journal.close()


def test_nobody_notices_that_it_was_there(tmp_path: Path, broker: Mosquitto, listener: Subscriber) -> None:
    forget_all(write(tmp_path, broker.port))
    listener.publish("end", b"")
    assert [m.topic for m in listener.wait_for(lambda seen: any(m.topic == "end" for m in seen))] == ["end"]


def test_ours_are_found_among_a_thousand_others(tmp_path: Path, broker: Mosquitto, others: Subscriber) -> None:
    for number in range(1000):
        others._client.publish(f"homeassistant/sensor/x{number}/config", b'{"a": 1}', retain=True)
    for number in range(300):
        others._client.publish(f"house/cam{number}/state", b"{}", retain=True)
    others.publish("house/last", b"1", retain=True)
    assert len(forget_all(write(tmp_path, broker.port))) == 301


def test_a_look_that_could_not_see_everything_is_no_success(
    tmp_path: Path, broker: Mosquitto, others: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "MOST_WAITING", 0)
    others.publish("house/porch/state", b"{}", retain=True)
    with pytest.raises(BrokerError, match="more at once"):
        forget_all(write(tmp_path, broker.port))


def test_a_connection_that_ends_before_everything_is_taken_back_is_no_success(
    tmp_path: Path, broker: Mosquitto, others: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, broker.port)
    (tmp_path / "state").mkdir()
    journal = Journal(load_config(path).storage.journal)
    journal.open()
    journal.note_retained({"house/porch/state": {}})
    others.publish("house/porch/state", b"{}", retain=True)
    listen = Visit.listen

    def listen_and_lose(visit: Visit, *arguments: Any) -> None:
        listen(visit, *arguments)
        broker.stop()

    monkeypatch.setattr(Visit, "listen", listen_and_lose)
    with pytest.raises(BrokerError, match=f"127.0.0.1:{broker.port}"):
        forget_all(path)
    assert journal.retained() == {"house/porch/state": {}}, "it lies there still"
    journal.close()


def test_what_the_broker_does_not_let_us_take_back_is_no_success(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text("topic readwrite house/status\ntopic read house/#\n")
    with Mosquitto(tmp_path / "broker", extra=[f"acl_file {rules}"]) as broker:
        path = write(tmp_path, broker.port)
        document = yaml.safe_load(path.read_text())
        document["mqtt"]["version"] = "5"
        path.write_text(yaml.safe_dump(document))
        (tmp_path / "state").mkdir()
        journal = Journal(load_config(path).storage.journal)
        journal.open()
        journal.note_retained({"house/porch/state": {}})
        with pytest.raises(BrokerError, match="does not let us take all back"):
            forget_all(path)
        assert journal.retained() == {"house/porch/state": {}}, "it may lie there still"
        journal.close()


def test_without_a_broker_there_is_one_line_that_names_it(tmp_path: Path) -> None:
    port = free_port()
    result = soteirad("forget", "-c", write(tmp_path, port))
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert f"127.0.0.1:{port}" in line and "Traceback" not in line


def test_the_command_prints_what_it_took_back(tmp_path: Path, broker: Mosquitto, others: Subscriber) -> None:
    others.publish("house/porch/state", b"{}", retain=True)
    result = soteirad("forget", "-c", write(tmp_path, broker.port))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "house/porch/state\n1 topics were taken back\n"
    result = typed("forget", "-c", write(tmp_path, broker.port), "--json")
    assert json.loads(result.stdout) == {"topics": []}


def test_a_state_folder_of_another_user_is_told_with_the_remedy(broker: Mosquitto) -> None:
    with tempfile.TemporaryDirectory(prefix="soteira-forget-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        path = write(folder, broker.port)
        (folder / "state").mkdir(mode=0o700)
        Journal(folder / "state" / "journal.sqlite3").open()
        (folder / "state").chmod(0o000)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            with pytest.raises(StorageError, match="may not be read"):
                forget_all(path)
        finally:
            if root:
                os.seteuid(0)
            (folder / "state").chmod(0o700)
