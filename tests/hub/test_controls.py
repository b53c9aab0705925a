"""Controls: what was set over MQTT lasts, is told, and is forgotten when it means nothing any more."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from soteirad.config import Config
from soteirad.config.overrides import Value
from soteirad.errors import StorageError
from soteirad.hub.commands import Change, Picture, Restart
from soteirad.hub.controls import LONGEST_TOLD, MOST_TOLD, Controls
from soteirad.hub.guard import Guard
from soteirad.hub.journal import Journal
from soteirad.mqtt.client import Message
from soteirad.mqtt.topics import Topics

TOPICS = Topics("soteira")
ALL = ("enabled", "detect", "motion_threshold", "min_score", "snapshot", "restart")


def config(commands: tuple[str, ...] = ALL, **cameras: dict[str, Any]) -> Config:
    sections = {name: {"source": f"rtsp://h/{name}", **keys} for name, keys in (cameras or {"porch": {}}).items()}
    return Config.model_validate({"mqtt": {"commands": list(commands)}, "web": {"enabled": False},
                                  "cameras": sections})  # fmt: skip


class Rig:
    """Controls with a real journal, which `restart` opens anew; `now` is their clock."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "journal.sqlite3"
        self.now = 0.0
        self._open()

    def _open(self) -> None:
        self.journal = Journal(self._file)
        self.journal.open()
        self.controls = Controls(self.journal, Guard(), lambda: self.now)
        self.controls.load()

    def restart(self) -> Controls:
        self.journal.close()
        self._open()
        return self.controls

    def set(self, loaded: Config, setting: str, value: Value | None, camera: str = "porch") -> None:
        self.controls.change(loaded, Change(camera, setting, value))
        self.controls.save()

    def read(self, topic: str, payload: bytes = b"ON", retain: bool = False, loaded: Config | None = None) -> Any:
        return self.controls.read(TOPICS, Message(topic, payload, retain, len(payload)), loaded or config())


@pytest.fixture
def rig(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Rig]:
    caplog.set_level(logging.INFO)
    rig = Rig(tmp_path)
    yield rig
    rig.journal.close()


def test_what_was_set_is_in_force_and_is_so_after_a_restart(rig: Rig) -> None:
    loaded = config(porch={}, yard={})
    rig.set(loaded, "detect", False)
    rig.set(loaded, "min_score", 0.75)
    rig.set(loaded, "enabled", False, "yard")
    for controls in (rig.controls, rig.restart()):
        in_force = controls.effective(loaded)
        assert (in_force.cameras["porch"].detect, in_force.cameras["porch"].objects.min_score) == (False, 0.75)
        assert list(in_force.watched) == ["porch"]
        assert (controls.of("porch"), controls.of("yard")) == (["detect", "min_score"], ["enabled"])
        assert controls.of("gate") == []


def test_what_is_taken_back_or_set_to_what_the_file_says_is_forgotten_for_good(rig: Rig) -> None:
    loaded = config(porch={"objects": {"min_score": 0.6}})
    rig.set(loaded, "min_score", 0.8)
    rig.set(loaded, "detect", False)
    rig.set(loaded, "min_score", None)
    assert rig.controls.of("porch") == ["detect"]
    rig.set(loaded, "detect", True)
    rig.set(loaded, "motion_threshold", None)
    assert rig.controls.of("porch") == [] == rig.restart().of("porch")
    assert rig.controls.effective(loaded) == loaded and rig.journal.overrides() == {}


SETTLED: dict[str, tuple[Config, list[str]]] = {
    "nothing": (config(porch={}, yard={}), ["detect", "enabled", "min_score", "motion_threshold"]),
    "the camera is gone": (config(yard={}), []),
    "all permissions are gone": (config((), porch={}), []),
    "one permission is gone": (config(("detect", "min_score"), porch={}), ["detect", "min_score"]),
    "the ceiling came down": (config(porch={"motion": {"ceiling": 0.3}}), ["detect", "enabled", "min_score"]),
    "the ceiling went up": (config(porch={"motion": {"ceiling": 1}}),
                            ["detect", "enabled", "min_score", "motion_threshold"]),
    "the file says the same now": (config(porch={"objects": {"min_score": 0.7}, "enabled": False}),
                                   ["detect", "motion_threshold"]),
}  # fmt: skip


@pytest.mark.parametrize(("changed", "kept"), SETTLED.values(), ids=SETTLED)
def test_what_a_new_file_leaves_without_meaning_is_told_and_forgotten(
    rig: Rig, caplog: pytest.LogCaptureFixture, changed: Config, kept: list[str]
) -> None:
    before = config(porch={}, yard={})
    for setting, value in (("detect", False), ("enabled", False), ("min_score", 0.7), ("motion_threshold", 0.5)):
        rig.set(before, setting, value)  # type: ignore[arg-type]
    caplog.clear()
    rig.controls.settle(changed)
    assert rig.controls.of("porch") == kept
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 4 and sum("not in force any more" in line for line in told) == 4 - len(kept)
    assert rig.controls.effective(changed) == rig.restart().effective(changed)
    rig.controls.settle(before)
    assert rig.controls.of("porch") == kept, "what was forgotten does not come back with the old file"


def test_settling_says_what_is_set_and_what_the_file_says(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.set(config(), "motion_threshold", 0.125)
    rig.set(config(), "detect", False)
    caplog.clear()
    rig.restart().settle(config())
    assert sorted(record.getMessage() for record in caplog.records) == [
        "porch: detect is off, set over MQTT or on the page; the file says on",
        "porch: motion_threshold is 0.125, set over MQTT or on the page; the file says 0.02",
    ]


def test_a_file_that_is_loaded_but_not_settled_yet_gets_only_what_is_usable_in_it(rig: Rig) -> None:
    rig.set(config(), "motion_threshold", 0.5)
    low = config(porch={"motion": {"ceiling": 0.3}})
    assert rig.controls.effective(low) == low
    assert rig.controls.of("porch") == ["motion_threshold"], "the file in force is another one"


def test_a_disk_that_fails_keeps_nothing_from_being_in_force_and_gets_it_when_it_is_back(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_overrides: object) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(rig.journal, "replace_overrides", fail)
        for _ in range(5):
            rig.set(config(), "enabled", False)
        assert not rig.controls.effective(config()).watched
        assert rig.journal.overrides() == {}
        assert [r.getMessage() for r in caplog.records].count("the disk is full") == 1
    rig.controls.save()
    assert not rig.restart().effective(config()).watched


def test_saving_what_is_on_disk_does_not_touch_the_disk(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.set(config(), "detect", False)
    monkeypatch.setattr(rig.journal, "replace_overrides", None)
    rig.controls.save()


def test_a_journal_that_cannot_be_read_means_that_the_file_is_in_force(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise StorageError("damaged")

    monkeypatch.setattr(rig.journal, "overrides", fail)
    rig.controls.load()
    rig.controls.settle(config())
    assert rig.controls.effective(config()) == config() and "damaged" in caplog.text


# Messages


def test_commands_are_read(rig: Rig) -> None:
    assert rig.read("soteira/porch/set/detect", b"OFF") == Change("porch", "detect", False)
    assert rig.read("soteira/porch/set/snapshot", b"x") == Picture("porch")
    assert rig.read("soteira/set/restart", b"x") == Restart()


@pytest.mark.parametrize("topic", ["soteira/porch/set/enabled", "soteira/set/restart", "soteira/porch/set/snapshot"])
def test_a_command_that_lay_retained_is_ignored_and_told(
    rig: Rig, caplog: pytest.LogCaptureFixture, topic: str
) -> None:
    assert rig.read(topic, b"OFF", retain=True) is None
    assert [record.getMessage() for record in caplog.records] == [
        f"{topic}: a command that lies retained at the broker is ignored"
    ]


def test_a_message_without_payload_is_not_worth_a_word(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    assert rig.read("soteira/nowhere/set/nothing", b"") is None
    assert not caplog.records


@pytest.mark.parametrize("retain", [False, True])
def test_nonsense_without_end_does_not_fill_the_log(
    rig: Rig, caplog: pytest.LogCaptureFixture, retain: bool
) -> None:
    def told(count: int) -> int:
        caplog.clear()
        for number in range(count):
            assert rig.read(f"soteira/x{number}/set/detect", b"?", retain) is None
            rig.now += 59.0 / count
        return len(caplog.records)

    assert told(3) == 3
    rig.now = 1000.0
    assert told(1000) == MOST_TOLD
    assert "no more of them are told for a minute" in caplog.records[-1].getMessage()
    rig.now = 1060.0
    assert told(5) == 5, "after a minute they are told again"


def test_good_commands_are_taken_however_much_nonsense_comes(rig: Rig) -> None:
    for _ in range(10 * MOST_TOLD):
        rig.read("soteira/porch/set/detect", b"?")
    assert rig.read("soteira/porch/set/detect", b"OFF") == Change("porch", "detect", False)


HOSTILE = [
    "soteira/por\nERROR fake: all is well/set/detect", "soteira/\x1b[2Jx/set/detect", "soteira/\u202etxt/set/detect",
    "soteira/\u2028/set/detect", "soteira/\ud800/set/detect", "soteira/" + "x" * 60_000 + "/set/detect",
    "soteira/%s%d%n/set/detect",
]  # fmt: skip


@pytest.mark.parametrize("retain", [False, True])
@pytest.mark.parametrize("topic", HOSTILE, ids=lambda topic: ascii(topic[:30]))
def test_a_topic_of_anybody_makes_one_short_harmless_line(
    rig: Rig, caplog: pytest.LogCaptureFixture, topic: str, retain: bool
) -> None:
    assert rig.read(topic, b"?\n\x1b[31m", retain) is None
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.isprintable() and len(line.splitlines()) == 1 and len(line) < LONGEST_TOLD + 100
