"""The broker, a real one with users and access rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from soteirad.doctor.broker import check
from soteirad.doctor.finding import Finding
from soteirad.doctor.patient import Patient
from tests.brokers import Mosquitto, Subscriber, free_port, retained_at
from tests.doctor.people import one, patient, verdicts
from tests.waiting import wait_until

RULES = """
user good
topic readwrite soteira/#
topic readwrite homeassistant/#
user writer
topic write soteira/#
topic read soteira/+/set/+
topic read homeassistant/status
user nobody
topic read elsewhere
"""
USERS = {"good": "pw-good", "writer": "pw-writer", "nobody": "pw-nobody"}


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    folder = tmp_path_factory.mktemp("broker")
    rules = folder / "rules"
    rules.write_text(RULES)
    rules.chmod(0o600)
    with Mosquitto(folder / "it", users=USERS, extra=[f"acl_file {rules}"]) as broker:
        yield broker


def at(folder: Path, broker: Mosquitto, user: str = "good", password: str = "", **mqtt: Any) -> Patient:
    account = {"user": user, "password": password or USERS[user]}
    return patient(folder, mqtt={"host": broker.host, "port": broker.port, **account, **mqtt})


def checked(folder: Path, broker: Mosquitto, **mqtt: Any) -> list[Finding]:
    return list(check(at(folder, broker, **mqtt)))


def test_a_broker_that_takes_and_returns_a_message_is_well(strict: Mosquitto, tmp_path: Path) -> None:
    for version in ("3.1.1", "5"):
        found = checked(tmp_path, strict, version=version)
        assert verdicts(found) == ["ok"] * 3
        assert "takes us as the user 'good'" in found[0].text and "came back after" in found[1].text


def test_a_wrong_password_is_told_and_neither_is_shown(strict: Mosquitto, tmp_path: Path) -> None:
    (found,) = checked(tmp_path, strict, password="wrong-one")  # noqa: S106 - a test's
    assert found.verdict == "fail" and "refused the user 'good'" in found.text and "mqtt.password" in found.remedy
    assert "wrong-one" not in str(found)


def test_a_port_where_nothing_listens_is_told(tmp_path: Path) -> None:
    (found,) = check(patient(tmp_path, free_port()))
    assert found.verdict == "fail" and found.text == "nothing listens there" and "is the broker running" in found.remedy


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_user_who_may_not_publish_is_told_although_he_may_connect(
    version: str, strict: Mosquitto, tmp_path: Path
) -> None:
    found = one(checked(tmp_path, strict, user="nobody", version=version), "fail")
    assert "does not pass our messages on (not authorized)" in found.text
    assert "soteira/#" in found.remedy and "'nobody'" in found.remedy


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_user_who_may_write_and_not_read_is_told_from_one_who_may_not_write(
    version: str, strict: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soteirad.mqtt.round_trip.RETURN_S", 0.5)
    found = one(checked(tmp_path, strict, user="writer", version=version), "warn")
    assert "may write soteira/doctor and not read it" in found.text


def test_a_running_daemon_is_not_thrown_out_and_nothing_is_left_at_the_broker(
    broker: Mosquitto, tmp_path: Path
) -> None:
    daemon = Subscriber(broker, "soteira/+/set/+", client_id="soteirad-soteira")
    daemon.start()
    before = retained_at(broker)
    assert verdicts(check(patient(tmp_path, broker.port))) == ["ok"] * 3
    assert retained_at(broker) == before
    assert "soteirad-soteira disconnected" not in broker.log() and "already connected" not in broker.log()
    assert daemon.messages() == [], "the daemon hears nothing of it"
    daemon.stop()


@pytest.mark.parametrize(("status", "daemon", "verdict", "told"), [
    ("online", True, "ok", "online"),
    ("online", False, "warn", "no daemon works"),
    ("online", None, "ok", "online"),
    ("offline", False, "ok", "stopped"),
    ("offline", True, "warn", "although a daemon works"),
])  # fmt: skip
def test_what_is_told_under_the_prefix_is_held_against_this_machine(
    status: str, daemon: bool | None, verdict: str, told: str, broker: Mosquitto, tmp_path: Path
) -> None:
    speaker = Subscriber(broker, "unused")
    speaker.start()
    speaker.publish("soteira/status", status, retain=True)
    speaker.stop()
    found = list(check(replace(patient(tmp_path, broker.port), daemon=daemon)))[-1]
    assert (found.what, found.verdict) == ("soteira/status", verdict) and told in found.text


def test_a_broker_that_hangs_is_given_up(broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soteirad.mqtt.visit.CONNECT_S", 0.5)
    broker.freeze()
    (found,) = check(patient(tmp_path, broker.port))
    broker.thaw()
    assert found.verdict == "fail"
    wait_until(lambda: "soteira-v" in broker.log())
