"""Somebody sits at a terminal and sets Soteira up, with a real stream and a real broker."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from soteirad.config import load_config
from tests.command import typed
from tests.init.conftest import BROKER_PASSWORD, CAMERA_PASSWORD, House
from tests.init.onvif_camera import probe_match
from tests.init.typist import Typist

CAMERA = (("Which ones", ""), ("User name at the camera", "viewer"), ("Password", CAMERA_PASSWORD),
          ("A short name", "porch"))  # fmt: skip


SILENT = "rtsp://192.0.2.77/x"
"""An address for documentation (RFC 5737): nobody answers."""


def broker_answers(house: House, password: str = BROKER_PASSWORD) -> tuple[tuple[str, str], ...]:
    return (("Host name", "127.0.0.1"), ("encrypted", ""), ("Port [1883]", str(house.broker.port)),
            ("User name", "soteira"), ("Password", password))  # fmt: skip


def no_secret(said: str) -> bool:
    return not any(secret in said for secret in (CAMERA_PASSWORD, BROKER_PASSWORD, "c4m", "br0"))


def test_a_whole_session_writes_a_configuration_that_works_and_keeps_its_passwords_apart(house: House) -> None:
    with house.typist() as typist:
        typist.answer(*CAMERA[:2], ("Password", "wrong"), ("refuses user or password", ""), ("User name", "viewer"),
                      CAMERA[2])  # fmt: skip
        typist.expect("Small stream: 640x360 h264; large stream: 2560x1440 h264")
        typist.expect("Trying the small stream ... good: 640x360")
        typist.answer(("A short name", "a b"), ("A short name", "porch"), ("Another camera", ""))
        typist.answer(*broker_answers(house, "wrong"), ("refused the user", "c"), ("Host name", ""), ("encrypted", ""),
                      ("Port", ""), ("User name", ""), ("Password", BROKER_PASSWORD))  # fmt: skip
        typist.expect("good: a message went there and came back")
        typist.answer(("[person]", "person, car"), ("Write this", "y"))
        assert typist.end() == 0
        assert no_secret(typist.said) and "Next: sudo soteirad install\n" in typist.said
    assert house.written() == ["soteira.yaml", "soteira/secrets/SOTEIRA_MQTT_PASSWORD",
                               "soteira/secrets/SOTEIRA_PORCH_PASSWORD"]  # fmt: skip
    assert no_secret(house.config.read_text())
    secrets = {path.name: path.read_text() for path in (house.root / "etc/soteira/secrets").iterdir()}
    config = load_config(house.config, secrets)
    account = "viewer:c4m%2541%20%40x@"
    assert config.cameras["porch"].source == house.video.replace("rtsp://", f"rtsp://{account}")
    assert config.cameras["porch"].detail is not None and config.cameras["porch"].objects.track == ("person", "car")
    assert (config.mqtt.port, config.mqtt.user) == (house.broker.port, "soteira")


def test_a_camera_by_its_address_goes_into_a_file_of_one_s_own_that_check_takes(house: House, tmp_path: Path) -> None:
    own = tmp_path / "my.yaml"
    address = house.video.replace("rtsp://", f"rtsp://viewer:{CAMERA_PASSWORD}@")
    with house.typist("--config", own) as typist:
        typist.answer(("Which ones", "none"), ("A camera, by", "?"))
        typist.expect("h264Preview_01_sub")
        typist.answer(("by its address", address), ("large stream", ""), ("A short name", "gate"),
                      ("Another", ""), *broker_answers(house), ("[person]", ""))  # fmt: skip
        typist.expect("***")
        typist.answer(("Write this", ""))
        assert typist.end() == 0
        shown = typist.said.partition("THE FILE")[2]
        assert no_secret(shown)
    assert stat.S_IMODE(own.stat().st_mode) == 0o600 and house.written() == []
    done = typed("check", "--config", own)
    assert (done.returncode, done.stdout) == (0, f"{own}: good: 1 camera (gate)\n")


def test_ctrl_c_ends_it_at_any_question_and_nothing_is_written(house: House) -> None:
    for steps in ((), CAMERA[:2]):
        with house.typist() as typist:
            typist.answer(*steps)
            typist.expect("Password" if steps else "Which ones")
            assert typist.press(b"\x03") == 130
            assert "Stopped: nothing was written." in typist.said and "Traceback" not in typist.said
    assert house.written() == []


def test_ctrl_c_leaves_a_stream_that_does_not_answer(house: House) -> None:
    with house.typist() as typist:
        typist.answer(("Which ones", "none"), ("A camera", "rtsp://127.0.0.1:9/x"), ("User name", ""), ("large", ""),
                      ("What now", "l"), ("A camera", SILENT), ("User name", ""), ("large", ""))  # fmt: skip
        typist.expect("Trying the stream")
        assert typist.press(b"\x03") == 130 and "Traceback" not in typist.said


def test_the_end_of_the_input_is_told_and_nothing_is_written(house: House) -> None:
    with house.typist() as typist:
        typist.answer(*CAMERA[:2])
        typist.expect("Password")
        assert typist.press(b"\x04") == 1
        assert "nothing was written" in typist.said and "Traceback" not in typist.said
    assert house.written() == []


def test_somebody_else_s_answer_does_not_get_the_password_without_a_word(house: House) -> None:
    house.camera.settings.discovery = lambda asked, _service: [
        probe_match(asked, f"http://localhost:{house.camera.port}/x", "%1B%5B2Jevil")
    ]
    with house.typist() as typist:
        typist.expect("?[2Jevil D-500  (says that it is at localhost)")
        typist.answer(("Which ones", ""), ("Give user and password to localhost?", ""), ("A camera, by", ""))
        assert typist.end() == 1 and "without a camera" in typist.said
        assert "\x1b[2J" not in typist.said
    assert house.camera.asked == []


def test_a_configuration_that_is_there_is_left_alone_before_anything_is_asked(house: House) -> None:
    house.config.write_text("cameras: {}\n")
    with house.typist() as typist:
        assert typist.end() == 1
        assert "there is a configuration already" in typist.said and "CAMERAS" not in typist.said


def test_what_does_not_work_can_be_kept_and_no_is_no(house: House) -> None:
    with house.typist() as typist:
        typist.answer(("Which ones", "none"), ("A camera", "rtsp://127.0.0.1:9/x"), ("User name", ""), ("large", ""),
                      ("What now", "k"), ("A short name", "gate"), ("Another", ""), *broker_answers(house, "wrong"),
                      ("What now", "k"), ("[person]", ""), ("Write this", "n"))  # fmt: skip
        assert typist.end() == 1 and "Nothing was written." in typist.said
    assert house.written() == []


def test_without_a_terminal_and_without_answers_it_says_what_to_do(tmp_path: Path) -> None:
    done = typed("init", "--config", tmp_path / "x.yaml")
    assert done.returncode == 1 and "--answers" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("word", ["hello", "ünïcode"])
def test_the_typist_would_notice_a_password_on_the_screen(word: str) -> None:
    with Typist(["-c", f"print({word!r}); input()"]) as typist:
        typist.expect(word)


def test_a_password_that_a_stream_refuses_is_asked_for_again(house: House) -> None:
    account = (("User name", "viewer"), ("Password", "wrong"))
    with house.typist() as typist:
        typist.answer(("Which ones", "none"), ("A camera", house.video), *account, ("large", ""),
                      ("What now? [p]", ""), account[0], ("Password", CAMERA_PASSWORD))
        typist.expect("good: 640x360")
        typist.answer(("A short name", "gate"), ("Another", ""), *broker_answers(house), ("[person]", ""),
                      ("Write this", ""))  # fmt: skip
        assert typist.end() == 0 and no_secret(typist.said)
    assert (house.root / "etc/soteira/secrets/SOTEIRA_GATE_PASSWORD").read_text() == CAMERA_PASSWORD
