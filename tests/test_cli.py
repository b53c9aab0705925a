"""The commands as an owner types them: exit codes, and one clear message instead of a traceback.

A mistake is made in this process where one of its own would say no more: `tests.command` captures all that is said.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

import soteirad as package
from soteirad.cli import app
from soteirad.event import EVENT_TYPES
from tests.clips import DEMO
from tests.command import typed
from tests.daemon import ROOT, soteirad

CAMERA = "cameras: {porch: {source: clip.mp4}}\n"


def config(folder: Path, text: str) -> Path:
    path = folder / "soteira.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def the_line(result: subprocess.CompletedProcess[str], code: int = 1) -> str:
    """The one line on stderr of a command that failed."""
    assert (result.returncode, result.stdout) == (code, ""), result
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


def test_a_configuration_that_may_not_be_read_is_for_each_command_to_tell_and_no_wrong_usage() -> None:
    groups = [app, *(group.typer_instance for group in app.registered_groups)]
    functions = [command.callback for group in groups if group for command in group.registered_commands]
    hints = {each.__name__: get_type_hints(each, include_extras=True) for each in functions if each is not None}
    found = {name: hint["config"].__metadata__[0].readable for name, hint in hints.items() if "config" in hint}
    assert {"run", "doctor", "init", "replay"} <= found.keys() and not any(found.values()), found


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_missing_configuration_is_named_in_one_line(tmp_path: Path, command: str) -> None:
    line = the_line(soteirad(command, "-c", tmp_path / "none.yaml"))
    assert str(tmp_path / "none.yaml") in line and "no such file" in line


BROKEN = {
    "a tab": ("cameras:\n\tporch: {source: a.mp4}\n", "2:1", "tab"),
    "an open brace": ("cameras: {porch: {source: a.mp4}\n", "1:10", "not closed"),
    "an unknown key": ("cameras: {porch: {sauce: a.mp4, source: b.mp4}}\n", "1:19", "cameras.porch.sauce"),
    "a wrong type": ("mqtt: {port: many}\n" + CAMERA, "1:14", "mqtt.port"),
    "a camera twice": ("cameras:\n  porch: {source: a}\n  porch: {source: b}\n", "3:3", "porch"),
    "no camera": ("cameras: {}\n", "1:10", "there is no camera"),
    "an empty file": ("", "1:1", "empty"),
    "an impossible speed": ("cameras: {porch: {source: a.mp4, speed: 0}}\n", "1:41", "speed"),
}


@pytest.mark.parametrize(("text", "place", "says"), BROKEN.values(), ids=BROKEN)
def test_a_mistake_in_the_configuration_is_told_with_its_place(
    tmp_path: Path, text: str, place: str, says: str
) -> None:
    path = config(tmp_path, text)
    line = the_line(typed("check", "-c", path))
    assert line.startswith(f"{path}:{place}: ") and says in line


def test_the_daemon_refuses_a_configuration_with_the_words_of_check(tmp_path: Path) -> None:
    path = config(tmp_path, BROKEN["an unknown key"][0])
    assert the_line(soteirad("run", "-c", path)) == the_line(soteirad("check", "-c", path))


def test_all_mistakes_are_told_at_once_each_in_a_line_of_its_own(tmp_path: Path) -> None:
    path = config(tmp_path, "mqtt: {port: many, hosst: x}\ncameras: {porch: {source: a.mp4, fps: -1}}\n")
    result = typed("check", "-c", path)
    assert (result.returncode, result.stdout) == (1, "")
    told = [line.split(": ")[1] for line in result.stderr.splitlines()]
    assert told == ["mqtt.port", "mqtt.hosst", "cameras.porch.fps"]


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_label_that_the_model_does_not_know_is_told_with_those_it_knows(tmp_path: Path, command: str) -> None:
    path = config(tmp_path, f"storage: {{path: {tmp_path}/state}}\nobjects: {{track: [unicorn]}}\n{CAMERA}")
    line = the_line((soteirad if command == "run" else typed)(command, "-c", path))
    assert "'unicorn'" in line and "person" in line


def bad_clips(folder: Path) -> dict[str, tuple[Path, str]]:
    text, disguised, half, empty = (folder / n for n in ("notes.txt", "notes.mp4", "half.mp4", "empty.mp4"))
    for path in (text, disguised):
        path.write_text("\n".join(map(str, range(1000))), encoding="utf-8")
    half.write_bytes(DEMO.read_bytes()[:200_000])
    empty.touch()
    return {
        "missing": (folder / "none.mp4", "no such file"),
        "text": (text, "no video"),
        "text named mp4": (disguised, "not a video"),
        "truncated": (half, "damaged"),
        "empty": (empty, "damaged"),
        "folder": (folder, "this is a folder"),
    }


@pytest.mark.parametrize("kind", ["missing", "text", "text named mp4", "truncated", "empty", "folder"])
def test_a_replay_of_what_is_no_video_says_so_in_one_line(tmp_path: Path, kind: str) -> None:
    path, says = bad_clips(tmp_path)[kind]
    line = the_line(typed("replay", path, "--json"))
    assert str(path) in line and says in line


def test_a_command_in_a_process_of_its_own_says_what_one_in_this_process_says(tmp_path: Path) -> None:
    path, _ = bad_clips(tmp_path)["truncated"]
    own, here = soteirad("replay", path, "--json"), typed("replay", path, "--json")
    assert (own.returncode, own.stdout, own.stderr) == (here.returncode, here.stdout, here.stderr)
    assert soteirad("--colour").returncode == typed("--colour").returncode == 2


@pytest.mark.parametrize("speed", ["abc", "0", "nan", ""])
def test_a_replay_at_an_impossible_speed_says_what_is_possible(speed: str) -> None:
    line = the_line(typed("replay", DEMO, f"--speed={speed}"))
    assert "speed" in line and "max" in line


@pytest.mark.parametrize(
    "arguments",
    [["--fps", "-1"], ["--min-area", "7"], ["--track", "unicorn"], ["--track", ""], ["--camera", "porch"]],
    ids=" ".join,
)
def test_a_replay_with_an_impossible_setting_names_it(arguments: list[str]) -> None:
    line = the_line(typed("replay", DEMO, *arguments))
    assert re.split(r"\W+", arguments[0].strip("-"))[-1] in line.replace("label", "track")


def test_a_replay_with_the_settings_of_an_unknown_camera_names_the_known_ones(tmp_path: Path) -> None:
    line = the_line(typed("replay", DEMO, "-c", config(tmp_path, CAMERA), "--camera", "yard"))
    assert "'yard'" in line and "porch" in line


@pytest.mark.parametrize(
    "arguments",
    [["--colour"], ["fly"], ["run", "--colour"], ["run", "--log-level", "loud"], ["replay"],
     ["record"], ["record", "a", "b"], ["replay", "a.mp4", "--fps", "few"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_exits_2_and_says_where_help_is(arguments: list[str]) -> None:
    result = typed(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert "--help" in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize("unbuffered", ["1", ""])
@pytest.mark.parametrize("words", [["schema"], ["models", "list"]], ids=" ".join)
def test_an_output_that_has_no_room_is_told_in_one_line(words: list[str], unbuffered: str) -> None:
    command = [sys.executable, "-m", "soteirad", *words]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, env=environment,
                                check=False)  # fmt: skip
    assert (result.returncode, len(result.stderr.splitlines())) == (1, 1), result.stderr
    assert "soteirad: the output cannot be written: No space left on device" in result.stderr


@pytest.mark.parametrize("kind", ["a pipe nobody writes to", "a device without end"])
def test_a_configuration_that_is_no_file_is_told_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "soteira.yaml"
    if "pipe" in kind:
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    line = the_line(typed("check", "-c", path))
    assert line == f"{path}:1:1: file: this is a pipe or a device: give the path of a file"


def test_of_thousands_of_mistakes_the_first_are_told_and_how_many_more_there_are(tmp_path: Path) -> None:
    path = config(tmp_path, "".join(f"key{n}: 1\n" for n in range(5000)) + CAMERA)
    lines = typed("check", "-c", path).stderr.splitlines()
    assert len(lines) == 101 and lines[-1] == f"{path}: and 4900 more problems: solve these first"


def test_the_example_configuration_is_good() -> None:
    result = soteirad("check", "-c", ROOT / "etc" / "soteira.yaml")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith("good: 1 camera (porch)\n")


def test_schema_prints_the_json_schema_of_the_configuration() -> None:
    result = typed("schema")
    schema = json.loads(result.stdout)
    assert (result.returncode, result.stderr) == (0, "")
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["required"] == ["cameras"] and {"mqtt", "storage", "objects"} <= set(schema["properties"])


def test_version_prints_the_version() -> None:
    result = soteirad("version")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{package.__version__}\n", "")


def test_help_lists_the_commands() -> None:
    result = soteirad("--help")
    assert result.returncode == 0
    assert all(re.search(rf"\b{name}\b", result.stdout) for name in ("run", "check", "replay", "schema", "version"))


def test_the_event_types_are_those_of_the_contract() -> None:
    assert set(EVENT_TYPES) <= {
        "entered", "left", "present", "scene_changed", "source_lost", "source_restored", "answered",
        "recorded",
    }  # fmt: skip
