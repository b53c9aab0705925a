"""Commands, as anybody at the broker may send them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soteirad.config import Config
from soteirad.config.overrides import limits
from soteirad.config.question import AD_HOC
from soteirad.hub.commands import (
    LONGEST_QUESTION,
    MAX_PAYLOAD,
    Change,
    Command,
    CommandError,
    Picture,
    Question,
    Restart,
    read_command,
)
from soteirad.mqtt.topics import Topics

ALL = ("enabled", "detect", "motion_threshold", "min_score", "snapshot", "restart", "ask")
TOPICS = Topics("soteira")
LLM = {"providers": [{"base_url": "http://127.0.0.1:11434/v1", "model": "m"}]}
QUESTIONS = [{"name": "parcel", "ask": "Is there a parcel?"}, {"name": "off", "ask": "Is it?", "enabled": False},
             {"name": "describe", "ask": "What is there?", "when": {"on": "command"}}]  # fmt: skip


def config(commands: tuple[str, ...] = ALL, **cameras: dict[str, Any]) -> Config:
    sections = {name: {"source": f"rtsp://h/{name}", **keys} for name, keys in (cameras or {"porch": {}}).items()}
    return Config.model_validate({"mqtt": {"commands": list(commands)}, "cameras": sections, "llm": LLM})


def read(topic: str, payload: bytes | str = b"ON", loaded: Config | None = None, size: int | None = None,
         topics: Topics = TOPICS) -> Command | None:  # fmt: skip
    data = payload.encode() if isinstance(payload, str) else payload
    return read_command(topics, topic, data, len(data) if size is None else size, loaded or config())


def refusal(topic: str, payload: bytes | str = b"ON", loaded: Config | None = None, size: int | None = None) -> str:
    with pytest.raises(CommandError) as caught:
        read(topic, payload, loaded, size)
    return str(caught.value)


@pytest.mark.parametrize(("payload", "value"), [
    ("ON", True), ("on", True), (" On\r\n", True), ("true", True), ("1", True), ("YES", True),
    ("OFF", False), ("false", False), ("0", False), ("no", False), ("default", None), ("DEFAULT ", None),
])  # fmt: skip
@pytest.mark.parametrize("setting", ["enabled", "detect"])
def test_a_switch_takes_what_people_write(setting: str, payload: str, value: bool | None) -> None:
    assert read(f"soteira/porch/set/{setting}", payload) == Change("porch", setting, value)  # type: ignore[arg-type]


@pytest.mark.parametrize(("payload", "value"), [
    ("0.5", 0.5), (" .25 ", 0.25), ("1e-1", 0.1), ("+0.3", 0.3), ("0", 0.0), ("1", 1.0), ("1.0", 1.0),
    ("default", None),
])  # fmt: skip
def test_a_number_may_be_written_in_any_usual_way(payload: str, value: float | None) -> None:
    assert read("soteira/porch/set/min_score", payload) == Change("porch", "min_score", value)


def test_a_picture_and_a_restart_need_no_payload_in_particular() -> None:
    assert read("soteira/porch/set/snapshot", b"\xff\x00PRESS") == Picture("porch")
    assert read("soteira/set/restart", b"PRESS") == Restart()


NO_NUMBERS = [
    "", "  ", "nan", "NaN", "inf", "-inf", "Infinity", "1e999", "-1e999", "-0.1", "-1e-300", "1.0001", "9" * 99, "0x1",
    "0.5.5", "0,5", "1/2", "0_1", "0.1_5", "\u0660.\u0665", "\uff10.\uff15", "\u00bd", "\u2460", "0.5\x00", "0.5;1",
    "[0.5]", '{"value": 0.5}', "true", "on", "null", "None", "\u202e5.0",
]  # fmt: skip


@pytest.mark.parametrize("payload", NO_NUMBERS, ids=ascii)
def test_what_is_no_number_in_range_is_refused_with_the_range(payload: str) -> None:
    if payload == "":
        assert read("soteira/porch/set/min_score", payload) is None
    else:
        assert "allowed is 0 to 1" in refusal("soteira/porch/set/min_score", payload)


@pytest.mark.parametrize("payload", ["0", "0.00001", "0.8", "0.7995", "1"])
def test_a_threshold_has_to_be_under_the_ceiling_and_over_nothing(payload: str) -> None:
    assert "allowed is 0.001 to 0.799" in refusal("soteira/porch/set/motion_threshold", payload)


def test_zero_has_no_sign() -> None:
    change = read("soteira/porch/set/min_score", "-0")
    assert isinstance(change, Change) and str(change.value) == "0.0"


NO_SWITCHES = ["2", "onn", "o n", "-1", "1.0", "\u0131", "\u212aON", "on\x00", "{}", "toggle"]


@pytest.mark.parametrize("payload", NO_SWITCHES, ids=ascii)
def test_what_is_neither_on_nor_off_is_refused(payload: str) -> None:
    assert refusal("soteira/porch/set/detect", payload) == "its payload is neither ON nor OFF"


@pytest.mark.parametrize("payload", [b"\xff\xfe", b"0.5\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\x80" * 100], ids=repr)
@pytest.mark.parametrize("setting", ["detect", "min_score"])
def test_what_is_no_text_is_refused(setting: str, payload: bytes) -> None:
    assert refusal(f"soteira/porch/set/{setting}", payload) == "its payload is not UTF-8 text"


def test_a_payload_that_was_too_long_to_be_kept_is_refused_with_its_size() -> None:
    assert "10000000 bytes" in refusal("soteira/porch/set/detect", b"", size=10_000_000)
    assert "101 bytes" in refusal("soteira/porch/set/min_score", b"0" * (MAX_PAYLOAD + 1))
    assert read("soteira/porch/set/min_score", b"0" * MAX_PAYLOAD) == Change("porch", "min_score", 0.0)


@pytest.mark.parametrize("topic", ["soteira/porch/set/enabled", "soteira/set/restart", "soteira/nowhere/set/x", ""])
def test_a_message_without_payload_asks_nothing(topic: str) -> None:
    assert read(topic, b"") is None


NO_COMMANDS = [
    "soteira/set/x/y", "soteira/set", "soteira/set/", "soteira/set/enabled", "soteira/set/set", "soteira//set/detect/",
    "soteira/porch/set", "soteira/porch/set/", "soteira/porch/set/restart", "soteira/porch/set/detect/",
    "soteira/porch/set/detect/x", "soteira/porch/Set/detect", "soteira/porch/set/DETECT", "soteira/porch/get/detect",
    "soteira/porch/set/value", "soteira/porch/set/__class__", "soteira/porch/set/+", "soteira/porch/set/#", "soteira",
    "soteira/", "/", "", "soteira/porch/set/detect\n", "soteira/+/set/\x00",
]  # fmt: skip


@pytest.mark.parametrize("topic", NO_COMMANDS, ids=ascii)
def test_what_is_no_command_is_called_so(topic: str) -> None:
    assert refusal(topic) == "there is no such command"


NO_CAMERAS = ["yard", "+", "#", "", "Porch", "porch ", "por\nch", "set", "hub", "p\u043erch", "..", "$SYS",
              "x" * 60_000]  # fmt: skip


@pytest.mark.parametrize("name", NO_CAMERAS, ids=lambda name: ascii(name[:20]))
def test_a_camera_that_there_is_not_is_answered_with_those_there_are_and_is_not_repeated(name: str) -> None:
    loaded = config(porch={}, gate={})
    assert refusal(f"soteira/{name}/set/detect", loaded=loaded) == (
        "there is no camera of this name: there are porch, gate"
    )


@pytest.mark.parametrize("name", ALL)
def test_a_command_that_is_not_allowed_says_how_to_allow_it(name: str) -> None:
    topic = "soteira/set/restart" if name == "restart" else f"soteira/porch/set/{name}"
    loaded = config(tuple(command for command in ALL if command != name))
    assert f"add {name} to mqtt.commands" in refusal(topic, "0.5" if "_" in name else "ON", loaded)


@pytest.mark.parametrize("prefix", ["soteira", "set", "porch", "detect", "a-b"])
def test_a_camera_may_be_called_as_the_prefix_is(prefix: str) -> None:
    name = "porch" if prefix == "set" else prefix
    loaded, topics = config(**{name: {}}), Topics(prefix)
    assert read(f"{prefix}/{name}/set/detect", "ON", loaded, topics=topics) == Change(name, "detect", True)
    assert read(topics.command(name, "detect"), "OFF", loaded, topics=topics) == Change(name, "detect", False)
    assert read(topics.daemon_command("restart"), "x", loaded, topics=topics) == Restart()


FOREIGN = ["soteira2/porch/set/detect", "soteir/porch/set/detect", "porch/set/detect", "set/restart",
           "xsoteira/porch/set/detect", "soteira/soteira/porch/set/detect"]  # fmt: skip


@pytest.mark.parametrize("topic", FOREIGN)
def test_the_topic_of_another_box_is_no_command_for_us(topic: str) -> None:
    loaded = config(porch={}, soteira={})
    with pytest.raises(CommandError):
        read(topic, "ON", loaded)


@given(st.text() | st.sampled_from(["soteira/porch/set/", "soteira/set/"]), st.sampled_from([*ALL, ""]), st.binary(),
       st.integers(0, 10**9))  # fmt: skip
def test_nothing_but_a_command_or_a_refusal_comes_of_anything(topic: str, name: str, payload: bytes, more: int) -> None:
    loaded = config()
    try:
        command = read(topic + name, payload, loaded, size=len(payload) or more)
    except CommandError as error:
        assert str(error).isprintable()
        return
    if isinstance(command, Change) and isinstance(command.value, float):
        low, high = limits(loaded.cameras["porch"], command.setting)
        assert low <= command.value <= high


def asking() -> Config:
    return config(porch={"questions": QUESTIONS}, yard={})


@pytest.mark.parametrize("name", ["parcel", " parcel\n", "describe"])
def test_the_name_of_a_question_asks_that_one(name: str) -> None:
    assert read("soteira/porch/set/ask", name, asking()) == Question("porch", name.strip())


OTHERS = ["Who is there?", "parcel?", "off", "Parcel", "ask", "wie viele Türen? 人 😀", "x" * 1000]


@pytest.mark.parametrize("text", OTHERS, ids=lambda text: ascii(text[:20]))
def test_any_other_text_is_a_question_of_its_own(text: str) -> None:
    assert read("soteira/porch/set/ask", text, asking()) == Question("porch", AD_HOC, text)
    assert read("soteira/yard/set/ask", "parcel", asking()) == Question("yard", AD_HOC, "parcel"), "it is the porch's"


def test_a_question_is_one_line_without_what_cannot_be_seen() -> None:
    text = "  Who\tis\r\nthere\u202e?\x00\x1b[31m \u2028 now\u00a0then "
    assert read("soteira/porch/set/ask", text, asking()) == Question("porch", AD_HOC, "Who is there ? [31m now then")


@pytest.mark.parametrize("text", [" ", "\n\t", "\x00", "\u202e\u200b"], ids=ascii)
def test_a_text_without_anything_to_read_is_no_question(text: str) -> None:
    assert refusal("soteira/porch/set/ask", text, asking()) == "its payload is no question"


def test_a_question_that_is_too_long_is_refused_with_its_size() -> None:
    assert "at most 1000 make sense" in refusal("soteira/porch/set/ask", "x" * (LONGEST_QUESTION + 1), asking())
    assert "5000 bytes" in refusal("soteira/porch/set/ask", b"", asking(), size=5000)
    assert refusal("soteira/porch/set/ask", b"Who\xff", asking()) == "its payload is not UTF-8 text"


def test_without_anybody_to_answer_there_is_no_asking() -> None:
    silent = Config.model_validate({"mqtt": {"commands": ["ask"]}, "cameras": {"porch": {"source": "rtsp://h/s"}}})
    assert "there is no llm section" in refusal("soteira/porch/set/ask", "Who?", silent)


def test_asking_has_to_be_allowed_by_name() -> None:
    assert "ask" not in Config.model_validate({"cameras": {"porch": {"source": "rtsp://h/s"}}}).mqtt.commands
    assert "add ask to mqtt.commands" in refusal("soteira/porch/set/ask", "Who?", config(("snapshot",)))


@given(st.text(max_size=1200))
def test_whatever_is_asked_is_one_line_that_can_be_shown_and_is_no_longer_than_allowed(text: str) -> None:
    try:
        command = read("soteira/porch/set/ask", text.encode("utf-8", "replace"), asking())
    except CommandError:
        return
    assert command is None or (isinstance(command, Question) and command.text.isprintable())
    assert command is None or len(command.text.encode()) <= LONGEST_QUESTION  # type: ignore[union-attr]
