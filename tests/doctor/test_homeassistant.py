"""Home Assistant as it can be seen at a real broker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from soteirad import __version__
from soteirad.doctor.homeassistant import check
from soteirad.doctor.patient import Patient
from soteirad.mqtt.homeassistant import announcements
from soteirad.mqtt.topics import Topics
from tests.brokers import Mosquitto, Subscriber, free_port
from tests.doctor.people import one, patient, verdicts


@pytest.fixture
def speaker(broker: Mosquitto) -> Iterator[Subscriber]:
    subscriber = Subscriber(broker)
    subscriber.start()
    yield subscriber
    subscriber.stop()


def topics_of(sick: Patient) -> list[str]:
    assert sick.config is not None
    return [each.topic for each in announcements(sick.config, Topics("soteira"), __version__)]


def test_without_discovery_nobody_is_asked(tmp_path: Path) -> None:
    (found,) = check(patient(tmp_path, free_port(), homeassistant={"discovery": False}))
    assert found.verdict == "ok" and "off" in found.text


@pytest.mark.parametrize(("birth", "verdict", "told"), [
    (None, "ok", "nothing is kept there"),
    ("online", "ok", "says online"),
    ("offline", "warn", "says offline"),
    ("on", "warn", "'on' instead of online"),
])  # fmt: skip
def test_what_home_assistant_says_of_itself_is_told(
    birth: str | None, verdict: str, told: str, broker: Mosquitto, speaker: Subscriber, tmp_path: Path
) -> None:
    if birth is not None:
        speaker.publish("homeassistant/status", birth, retain=True)
    found = next(iter(check(patient(tmp_path, broker.port))))
    assert (found.what, found.verdict) == ("homeassistant/status", verdict) and told in found.text


def test_announcements_that_lie_there_are_counted(broker: Mosquitto, speaker: Subscriber, tmp_path: Path) -> None:
    sick = patient(tmp_path, broker.port)
    first, second = topics_of(sick)
    assert "may announce" in list(check(sick))[-1].text
    assert "not announced, although" in list(check(replace(sick, daemon=True)))[-1].text
    speaker.publish(first, "{}", retain=True)
    assert "only 1 of 2" in list(check(sick))[-1].text
    speaker.publish(second, "{}", retain=True)
    assert list(check(sick))[-1].text.startswith("all 2 announcements")


def test_home_assistant_is_not_disturbed(broker: Mosquitto, speaker: Subscriber, tmp_path: Path) -> None:
    assert verdicts(check(patient(tmp_path, broker.port))) == ["ok", "ok"]
    seen = speaker.wait_for(lambda messages: len(messages) > 0)
    assert all(not m.topic.endswith("/config") and not m.retain for m in seen)
    assert [m.topic for m in seen] == ["homeassistant/soteira/doctor"]


def test_a_broker_that_does_not_let_us_announce_is_told(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text("user box\ntopic readwrite soteira/#\ntopic read homeassistant/status\n")
    rules.chmod(0o600)
    with Mosquitto(tmp_path / "broker", users={"box": "secret-1"}, extra=[f"acl_file {rules}"]) as broker:
        account = {"host": broker.host, "port": broker.port, "user": "box", "password": "secret-1"}
        found = one(check(patient(tmp_path, mqtt=account)), "fail")
    assert "may not announce" in found.text and "homeassistant/#" in found.remedy


def test_a_broker_that_is_away_is_told_once_more_and_not_as_another_fault(tmp_path: Path) -> None:
    (found,) = check(patient(tmp_path, free_port()))
    assert found.verdict == "warn" and "see MQTT broker" in found.remedy
