"""Answers in a file: what they ask for is tried and written, or all that is wrong is told and nothing is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from soteirad.config import MqttConfig, load_config
from soteirad.config.loader import load_section
from soteirad.config.section import from_plain
from soteirad.errors import BrokerError, ConfigError, SoteiraError
from soteirad.init.answers import Answers
from soteirad.init.trial import try_broker
from tests.brokers import Mosquitto, free_port
from tests.init.conftest import BROKER_PASSWORD, CAMERA_PASSWORD, House
from tests.init.onvif_camera import Lens

BROKER = 'broker: {host: 127.0.0.1, port: PORT, user: soteira, password: "{SOTEIRA_TEST_BROKER}"}\n'
ACCOUNT = f'user: viewer\npassword: "{CAMERA_PASSWORD}"\n'


def test_all_that_is_found_and_all_that_is_named_is_written(house: House) -> None:
    cameras = (f"cameras:\n  gate: {{source: '{house.video}', detail: '{house.video}'}}\n"
               f"  door: {{address: 'localhost:{house.camera.port}', name: Haustür}}\n")  # fmt: skip
    video = house.video.replace("127.0.0.1", "localhost")
    house.camera.settings.profiles = (Lens("sub", "v", (640, 360), "H264", video),
                                      Lens("x", "w", (640, 360), "H264", house.video))  # fmt: skip
    done = house.answered(BROKER.replace("PORT", str(house.broker.port)) + ACCOUNT + "labels: [car]\n" + cameras)
    assert (done.returncode, done.stderr) == (0, "")
    assert CAMERA_PASSWORD not in done.stdout and BROKER_PASSWORD not in done.stdout
    secrets = {path.name: path.read_text() for path in (house.root / "etc/soteira/secrets").iterdir()}
    config = load_config(house.config, secrets)
    assert list(config.cameras) == ["gate", "door_1", "door_2"]
    assert config.cameras["door_1"].objects.track == ("car",)


def test_discover_takes_what_answers_from_its_own_address(house: House) -> None:
    done = house.answered(BROKER.replace("PORT", str(house.broker.port)) + ACCOUNT + "discover: true\n")
    assert (done.returncode, done.stderr) == (0, "") and "127.0.0.1: found, ACME Dome D-500" in done.stdout
    again = house.answered(BROKER.replace("PORT", str(house.broker.port)) + ACCOUNT + "discover: true\n")
    assert again.returncode == 1 and "there is a configuration already" in again.stderr


def test_what_does_not_work_is_told_together_and_nothing_is_written(house: House) -> None:
    house.camera.settings.password = "another"  # noqa: S105
    cameras = ("cameras:\n  gate: {source: 'rtsp://x:y@127.0.0.1:9/x'}\n"
               f"  door: {{address: 'localhost:{house.camera.port}'}}\n"
               "  hub: {source: /dev/null}\nlabels: [persn]\n")  # fmt: skip
    done = house.answered(BROKER.replace("PORT", str(free_port())) + ACCOUNT + cameras)
    assert done.returncode == 1 and house.written() == [] and "Traceback" not in done.stderr
    told = re.sub(r"(?m)^\S*answers.yaml: ", "", done.stderr)
    for words in ("labels: ", "cameras.door: ", "cameras.hub: ", "cameras.gate: ", "broker: ", "nothing was written"):
        assert words in told
    for secret in (CAMERA_PASSWORD, BROKER_PASSWORD, "x:y"):
        assert secret not in done.stderr + done.stdout


def test_without_tests_a_machine_can_be_prepared_elsewhere(house: House) -> None:
    text = "broker: {host: 10.99.0.2}\ntest: false\ncameras: {a: {source: 'rtsp://10.99.0.7/x'}}\n"
    done = house.answered(text)
    assert (done.returncode, done.stderr) == (0, "") and house.written() == ["soteira.yaml"]


@pytest.mark.parametrize("text,problem", [
    ("broker: {hots: x}\ndiscover: true\n", "1:10: broker.hots: this key is not known, did you mean 'host'?"),
    ("discover: true\n", "1:1: broker: is missing"),
    ("broker: {host: a}\n", "1:1: cameras: there is no camera"),
    ("broker: {host: a, password: x}\ndiscover: true\n", "1:29: broker.password: a password without a user"),
    ("broker: {host: a}\ncameras:\n  b: {}\n", "3:3: cameras.b: this camera has no address"),
    ("broker: {host: a}\ncameras:\n  b: {address: c, source: rtsp://d}\n", "3:19: cameras.b.source: both address"),
    ("broker: {host: a}\ncameras:\n  b: {source: 'ftp://d'}\n", "3:15: cameras.b.source: this kind of address"),
    ("broker: {host: a}\ndiscover: maybe\n", "2:11: discover: text where true or false"),
    ("broker: {host: '{SOTEIRA_NOT_SET}'}\ndiscover: true\n", "1:16: broker.host: SOTEIRA_NOT_SET is not set"),
    ("broker: [\n", "yaml"), ("", "this file is empty"), ("- a\n", "sections such as"),
])  # fmt: skip
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "answers.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_section(Answers, path, {})
    assert any(problem in line and line.startswith(f"{path}:") for line in caught.value.problems), caught.value.problems


def test_the_example_in_the_document_is_good(tmp_path: Path) -> None:
    document = Path(__file__).parents[2] / "docs" / "init.md"
    blocks = re.findall("```yaml\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    (example,) = (block for block in blocks if block.startswith("broker:"))
    path = tmp_path / "answers.yaml"
    path.write_text(example, encoding="utf-8")
    environ = dict.fromkeys(re.findall("{(SOTEIRA_[A-Z_]+)}", example), "secret")
    answers = load_section(Answers, path, environ)
    assert set(Answers.model_fields) == set(answers.model_dump(exclude_unset=True)), "the example shows every key"


def config(broker: Mosquitto, **more: Any) -> MqttConfig:
    return from_plain(MqttConfig, {"host": "127.0.0.1", "port": broker.port, **more})


def test_a_broker_that_takes_but_does_not_give_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soteirad.mqtt.round_trip.RETURN_S", 0.5)
    rules = tmp_path / "acl"
    rules.write_text("topic write soteira/#\n")
    with Mosquitto(tmp_path / "b", extra=[f"acl_file {rules}"]) as broker:
        with pytest.raises(BrokerError, match="does not give it back: is the user allowed"):
            try_broker(config(broker))
        rules.write_text("topic readwrite soteira/#\n")
        broker.stop()
        broker.start()
        try_broker(config(broker))


def test_a_daemon_at_the_broker_is_not_put_out(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        try_broker(config(broker))
        assert "soteirad-soteira-v" in broker.log() and "as soteirad-soteira " not in broker.log()


def test_a_broker_that_is_not_there_is_told() -> None:
    with pytest.raises(SoteiraError, match="nothing listens there"):
        try_broker(from_plain(MqttConfig, {"host": "127.0.0.1", "port": free_port()}))
