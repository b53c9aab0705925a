"""`load_config`: every problem at once, each at its line and column, and nothing but `ConfigError`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soteirad.config import Config, load_config
from soteirad.config.document import MAX_VALUES
from soteirad.config.loader import MAX_BYTES
from soteirad.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "etc" / "soteira.yaml"
SMALLEST = 'give at least one, such as cameras: {porch: {source: "rtsp://10.0.0.7/stream2"}}'
GOOD = """\
mqtt: {host: broker}
cameras:
  porch:
    source: rtsp://10.0.0.7/stream2
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "etc.yaml"


def load(file: Path, text: str | bytes, environ: dict[str, str] | None = None) -> Config:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config(file, environ or {})


def problems(file: Path, text: str | bytes, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(file, text, environ)
    assert all(problem.startswith(f"{file}:") for problem in caught.value.problems)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return [problem.removeprefix(f"{file}:") for problem in caught.value.problems]


def heads(found: list[str]) -> list[str]:
    """Return the `line:column: path: what is wrong` of each problem."""
    return [":".join(problem.split(":")[:4]) for problem in found]


def test_a_good_file_is_loaded(file: Path) -> None:
    config = load(file, GOOD)
    assert config.mqtt.host == "broker"
    assert config.cameras["porch"].source == "rtsp://10.0.0.7/stream2"


def test_the_example_loads_as_it_is_and_holds_only_defaults() -> None:
    config = load_config(EXAMPLE, {})
    assert config == Config.model_validate({"cameras": {"porch": {"source": "rtsp://10.0.0.7/stream2"}}})


def test_every_switched_off_setting_of_the_example_works_and_every_key_is_in_it(file: Path) -> None:
    text = re.sub(r"^( *)#(?=(?:- )?[a-z_]+:)", r"\1", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    secrets = ("SOTEIRA_NVR_TOKEN", "SOTEIRA_LLM_KEY", "SOTEIRA_WEB_PASSWORD")
    config = load(file, text, {"SOTEIRA_MQTT_PASSWORD": "geheim", **dict.fromkeys(secrets, "a-secret")})
    assert config.mqtt.password is not None
    assert config.mqtt.password.get_secret_value() == "geheim"
    porch = config.cameras["porch"]
    of_all = (config, config.mqtt, config.storage, config.storage.outbox, config.web, config.detector, config.scene,
              config.clips)  # fmt: skip
    assert config.mqtt.tls is not None
    webhook = config.webhooks[0]
    others = (config.mqtt.tls, config.mqtt.frigate_events, config.homeassistant, webhook, webhook.when)
    llm, question = config.llm, config.questions[0]
    assert llm is not None
    asking = (llm, llm.providers[0], llm.providers[0].price, llm.budget, llm.duplicates, question, question.when)
    for section in (*of_all, *others, *asking, config.motion, config.objects, porch, porch.zones["step"]):
        elsewhere = {"speed", "mask", "server", "size"}
        assert set(type(section).model_fields) - section.model_fields_set <= elsewhere, type(section)
    smallest = Config.model_validate({"cameras": {"porch": {"source": porch.source}}})
    shown, defaults = config.model_dump(), smallest.model_dump()
    for name in ("storage", "detector", "motion", "scene", "clips", "homeassistant"):
        assert shown[name] == defaults[name]
    assert {**shown["objects"], "filters": {}} == defaults["objects"]


def test_all_problems_are_reported_at_once_in_the_order_of_their_lines(file: Path) -> None:
    text = """\
mqtt: {host: x, prot: 1}
motion:
  threshold: high
cameras:
  porch:
    fps: ten
    transport: tpc
    zones:
      step: {coordinates: [0, 0, 1, 0, 1, 2]}
  front door: {source: a.mp4}
  hall: {source: "{SOTEIRA_HALL}"}
"""
    assert problems(file, text) == [
        "1:17: mqtt.prot: this key is not known, did you mean 'port'?: "
        "allowed here are host, port, user, password, topic_prefix, version, client_id, keepalive, tls, commands, "
        "frigate_events",
        "3:14: motion.threshold: text where a number is needed: "
        "allowed is a number from 0.001 to 1",
        "5:3: cameras.porch.source: is missing: add it; allowed is the address (rtsp://, rtsps://, http:// "
        "or https://), a camera on this machine (/dev/video0, avfoundation:0) or the path of a video file",
        "6:10: cameras.porch.fps: text where a number is needed: allowed is a number from 0 to 120",
        "7:16: cameras.porch.transport: this is not one of the choices, did you mean 'tcp'?: "
        "allowed are tcp, udp",
        "9:43: cameras.porch.zones.step.coordinates[5]: this number is out of range: "
        "allowed is a number from 0 to 1",
        "10:3: cameras.front door: this name cannot be used: "
        "use only the letters a-z and A-Z, digits, _ and -",
        "11:18: cameras.hall.source: SOTEIRA_HALL is not set: put it in the file "
        "/etc/soteira/secrets/SOTEIRA_HALL and run `sudo soteirad install`, or set SOTEIRA_HALL in the daemon's "
        "environment or in the file $CREDENTIALS_DIRECTORY/SOTEIRA_HALL",
    ]


def test_a_camera_name_used_twice_is_told_with_both_lines_and_both_are_checked(file: Path) -> None:
    text = """\
cameras:
  porch:
    source: a.mp4
    fps: ten
  porch:
    source: b.mp4
    speed: fast
"""
    assert problems(file, text) == [
        "4:10: cameras.porch.fps: text where a number is needed: allowed is a number from 0 to 120",
        "5:3: cameras.porch: this camera name is used twice (first at line 2): give each camera its own name",
        '7:12: cameras.porch.speed: this is no speed: '
        'allowed is a number more than 0 and at most 1000, or "max"',
    ]


def test_a_zone_name_used_twice_is_told_with_both_lines(file: Path) -> None:
    zone = "{coordinates: [0, 0, 1, 0, 1, 1]}"
    text = f"cameras:\n  a:\n    source: x\n    zones:\n      step: {zone}\n      step: {zone}\n"
    assert problems(file, text) == [
        "6:7: cameras.a.zones.step: this zone name is used twice (first at line 5): "
        "give each zone its own name"
    ]


def test_a_key_used_twice_is_told_and_the_content_of_both_sections_is_checked(file: Path) -> None:
    text = "cameras:\n  a: {source: x, fps: ten}\ncameras:\n  b: {source: y, fps: ten}\n  a: {source: x}\n"
    assert heads(problems(file, text)) == [
        "2:23: cameras.a.fps: text where a number is needed",
        "3:1: cameras: this key is used twice (first at line 1)",
        "4:23: cameras.b.fps: text where a number is needed",
        "5:3: cameras.a: this camera name is used twice (first at line 2)",
    ]
    assert heads(problems(file, "mqtt: {port: 1, port: 2}\n" + GOOD.split("\n", 1)[1])) == [
        "1:17: mqtt.port: this key is used twice (first at line 1)"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a:\n\tb: 1\n", "2:1: yaml: a tab is used for indentation: use spaces"),
        ("a:\n  b: 1\n  \tc: 1\n", "3:3: yaml: a tab is used for indentation: use spaces"),
        ("a: 'hunter2\nb: 1\n", "1:4: yaml: this quote is not closed: add the same quote at"),
        ("a: [1,\nb: 1\n", "1:4: yaml: a bracket or brace is not closed"),
        ("a: {b: 1\n", "1:4: yaml: a bracket or brace is not closed"),
        ("a: {b: 1 c: 2}\n", "1:4: yaml: a bracket or brace is not closed"),
        ("a: 1\nhunter2\nb: 1\n", "2:1: yaml: this key has no colon: write key: value, with a space after"),
        ("a: b: c\n", "1:5: yaml: this colon does not fit here:"),
        ("a: 1\n  b: 2\n", "2:4: yaml: this colon does not fit here:"),
        ("a:\n  - 1\n b: 2\n", "3:2: yaml: this line does not line up with those above:"),
        ("a: - 1\n", "1:4: yaml: a list cannot start here: put the dash on a line of its own"),
        ("a: @hunter2\n", "1:4: yaml: a value cannot start with this character: if it is text"),
        ("a: *hunter2\n", "1:4: yaml: the name after * is not defined above: if it is text"),
        ("a: *\n", "1:5: yaml: * starts an alias: if it is text, put it in quotes"),
        ("a: &\n", "1:5: yaml: & starts an anchor: if it is text, put it in quotes"),
        ("a: &x 1\nb: &x 2\n", "2:4: yaml: this name after & is defined twice:"),
        ("a: 1\n---\nb: 1\n", "2:1: yaml: a second document starts here: remove the line with ---"),
        ('a: "\\q"\n', "1:6: yaml: this backslash sequence has no meaning: use single quotes instead"),
        ('a: 1\nb: "\\UFFFFFFFF"\n', "2:7: yaml: a \\U escape stands for no character:"),
        ("a: !x!hunter2 1\n", '1:4: yaml: tags that start with ! do not work here: write a secret'),
        ("a: b\nc: x\x01y\n", "2:5: yaml: this control character is not allowed: delete it"),
        ("%YAML 9\n---\na: 1\n", "1:8: yaml: this is not valid YAML:"),
    ],
)
def test_a_syntax_error_is_one_line_with_place_and_remedy(file: Path, text: str, problem: str) -> None:
    (found,) = problems(file, text)
    assert found.startswith(problem)
    assert "hunter2" not in found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", f"1:1: file: this file is empty: {SMALLEST}"),
        ("# nothing but a remark\n", f"1:1: file: this file is empty: {SMALLEST}"),
        ("- a\n", f"1:1: file: a list where sections such as cameras: are needed: {SMALLEST}"),
        ("\n  hello\n", f"2:3: file: text where sections such as cameras: are needed: {SMALLEST}"),
        ("mqtt:\ncameras:\n", f"2:1: cameras: nothing where a section of cameras is needed: {SMALLEST}"),
        ("cameras: {}\n", f"1:10: cameras: there is no camera: {SMALLEST}"),
        ("cameras: []\n", f"1:10: cameras: a list where a section of cameras is needed: {SMALLEST}"),
        (
            "\nmqtt: {host: x}\n",
            f"2:1: cameras: is missing: add it; allowed is a section with a key for each camera; {SMALLEST}",
        ),
    ],
)
def test_a_file_without_cameras_shows_the_smallest_example(file: Path, text: str, problem: str) -> None:
    assert problems(file, text) == [problem]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="there is no list of what is open")
def test_a_folder_that_is_loaded_again_and_again_leaves_nothing_open(tmp_path: Path) -> None:
    before = len([*Path("/proc/self/fd").iterdir()])
    for _ in range(5):
        with pytest.raises(ConfigError):
            load_config(tmp_path, {})
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_a_file_that_cannot_be_read_is_told(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reason(path: Path) -> str:
        with pytest.raises(ConfigError) as caught:
            load_config(path, {})
        (problem,) = caught.value.problems
        return problem.removeprefix(f"{path}:1:1: file: ")

    assert reason(file) == "there is no such file: create it, or give the path of yours"
    assert reason(tmp_path) == "this is a folder: give the path of the file in it"
    assert reason(Path("a\0b")).startswith("this file cannot be read (")
    file.write_text(GOOD, encoding="utf-8")
    assert reason(file / "x").startswith("this file cannot be read (Not a directory):")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    # Tests may run as root, whom no file mode keeps out.
    monkeypatch.setattr(os, "open", refuse)
    assert reason(file).startswith("this file may not be read: use sudo, or give the daemon's user the right")


def test_a_file_that_is_not_utf8_is_told_with_the_place_of_the_first_bad_byte(file: Path) -> None:
    assert problems(file, b"mqtt:\n  user: m\xfcller\n") == [
        "2:10: file: this file is not UTF-8 text: save it as UTF-8 in your editor"
    ]


def test_a_byte_order_mark_and_windows_line_ends_are_fine(file: Path) -> None:
    assert load(file, b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()).mqtt.host == "broker"


def test_anchors_aliases_and_merge_keys_work(file: Path) -> None:
    config = load(file, """\
cameras:
  a: &base
    source: a.mp4
    fps: 5
    objects: &objects {track: [car], stride: 2}
  b: {<<: *base, source: b.mp4}
  c:
    source: c.mp4
    objects: {<<: [*objects, {stride: 9, confirm: 3}], track: [dog]}
  d: *base
""")
    assert [(camera.source, camera.fps) for camera in config.cameras.values()] == [
        ("a.mp4", 5), ("b.mp4", 5), ("c.mp4", 10), ("a.mp4", 5),
    ]
    objects = config.cameras["c"].objects
    assert (objects.track, objects.stride, objects.confirm) == (("dog",), 2, 3)


def test_a_problem_under_an_anchor_is_told_once_where_it_is_written(file: Path) -> None:
    text = "cameras:\n  a: &a\n    source: x\n    fps: ten\n    x: {y: 1}\n  b: *a\n  c: {<<: *a}\n"
    assert heads(problems(file, text)) == [
        "4:10: cameras.a.fps: text where a number is needed",
        "5:5: cameras.a.x: this key is not known",
    ]


def test_a_merge_of_something_else_than_a_section_is_told(file: Path) -> None:
    assert problems(file, "cameras:\n  a:\n    <<: 5\n    source: x\n") == [
        "3:9: cameras.a: << needs a section to merge: write <<: *name"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: &a [*a]\n", "1:4: file: an alias (*name) refers to the section it is in: remove the alias"),
        ("a: &a {<<: *a}\n", "1:4: file: an alias (*name) refers to the section it is in: remove the alias"),
        ("a: " + "[" * 100_000, "file: the sections are nested too deep: allowed are 32 levels"),
        ("a: " + "{a: " * 100_000, "file: the sections are nested too deep: allowed are 32 levels"),
        ("- a\n" * (MAX_VALUES + 1), f"file: there are too many values: allowed are {MAX_VALUES}"),
        ("#" * (MAX_BYTES + 1), "1:1: file: this file is too large for a configuration: allowed are 1000000"),
        (
            "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]\n" for n in range(1, 12)),
            "file: there are too many values: allowed are",
        ),
        (
            "a0: &a0 {x: 1}\n"
            + "".join(f"a{n}: &a{n} {{<<: [{f'*a{n - 1}, ' * 9}]}}\n" for n in range(1, 12)),
            "file: there are too many values: allowed are",
        ),
        (
            "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 500)),
            "file: the sections are nested too deep: allowed are 32 levels",
        ),
    ],
    ids=["alias", "merge", "lists", "sections", "values", "bytes", "alias bomb", "merge bomb", "alias chain"],
)
@pytest.mark.timeout(20)
def test_a_file_made_to_hang_the_daemon_is_refused(file: Path, text: str, problem: str) -> None:
    (found,) = problems(file, text)
    assert problem in found


def test_a_problem_in_a_global_section_is_told_once_at_its_own_place(file: Path) -> None:
    text = """\
motion: {treshold: 0.1, mask: [[0, 0, 1, 0, 1, 5]]}
objects: {filters: {car: {min_score: 2}}}
detector: {model: "{SOTEIRA_MODEL}"}
cameras:
  a: {source: x, motion: {lines: 200}}
  b: {source: y}
"""
    assert heads(problems(file, text)) == [
        "1:10: motion.treshold: this key is not known, did you mean 'threshold'?",
        "1:48: motion.mask[0][5]: this number is out of range",
        "2:21: objects.filters.car: this label is not tracked",
        "2:38: objects.filters.car.min_score: this number is out of range",
        "3:19: detector.model: SOTEIRA_MODEL is not set",
    ]


def test_a_conflict_between_a_camera_and_a_good_global_section_is_told_at_the_camera(file: Path) -> None:
    text = """\
objects: {filters: {person: {max_area: 0.2}}}
cameras:
  a: {source: x, objects: {filters: {person: {min_area: 0.5}}}}
  b: {source: y, objects: {filters: {car: {}}}}
"""
    assert heads(problems(file, text)) == [
        "3:38: cameras.a.objects.filters.person.max_area: smaller than min_area",
        "4:38: cameras.b.objects.filters.car: this label is not tracked",
    ]


def test_secrets_are_replaced_in_any_text_and_other_braces_stay(file: Path, tmp_path: Path) -> None:
    (tmp_path / "SOTEIRA_USER").write_text("me\n", encoding="utf-8")
    text = """\
mqtt: {user: "{SOTEIRA_USER}", password: "{SOTEIRA_PW}"}
cameras: {a: {source: "rtsp://{SOTEIRA_USER}:{SOTEIRA_PW}@h/{x}"}}
"""
    config = load(file, text, {"CREDENTIALS_DIRECTORY": str(tmp_path), "SOTEIRA_PW": "pw"})
    assert config.mqtt.user == "me"
    assert config.cameras["a"].source == "rtsp://me:pw@h/{x}"


def test_a_missing_secret_causes_no_second_problem(file: Path) -> None:
    text = 'mqtt: {host: "mqtt://{SOTEIRA_HOST}"}\ncameras: {a: {source: "rtsp://h:{SOTEIRA_PORT}"}}\n'
    assert heads(problems(file, text)) == [
        "1:14: mqtt.host: SOTEIRA_HOST is not set",
        "2:23: cameras.a.source: SOTEIRA_PORT is not set",
    ]


def test_home_assistant_style_tags_are_answered_with_the_way_to_write_a_secret(file: Path) -> None:
    text = "mqtt: {user: me, password: !secret hunter2}\ncameras:\n  a: {source: !include [x]}\n"
    assert problems(file, text) == [
        f"{place}: tags that start with ! do not work here: "
        'write a secret as "{SOTEIRA_NAME}", other text in quotes'
        for place in ("1:28: mqtt.password", "3:15: cameras.a.source")
    ]


def test_braces_without_quotes_are_answered_with_quotes(file: Path) -> None:
    text = "mqtt: {user: me, password: {SOTEIRA_X}}\ncameras:\n  a: {source: {{SOTEIRA_X}}}\n"
    assert problems(file, text) == [
        "1:28: mqtt.password: a section of keys where text is needed: "
        'put quotes around the braces, as in "{SOTEIRA_NAME}"',
        "3:16: cameras.a.source: this key is not plain text: "
        "write a word, and put quotes around a value with braces",
    ]


@pytest.mark.parametrize(
    "mqtt",
    [
        "{password:hunter2}", "{password hunter2}", "{password: {hunter2@: 1}}", "{password: [hunter2]}",
        "{password: 'hunter2', port: hunter2, user: {a: hunter2}, host: 'x/hunter2'}",
        "{topic_prefix: /hunter2}", "hunter2", "[hunter2]",
        "{'://hunter2': 1}", "{user: u, password: !hunter2 x}",
    ],
)
def test_no_message_repeats_a_value_even_if_it_ended_up_as_a_key(file: Path, mqtt: str) -> None:
    found = problems(file, f"mqtt: {mqtt}\n" + GOOD.split("\n", 1)[1])
    assert "hunter2" not in "\n".join(found)


def test_a_value_that_comes_from_a_secret_is_not_repeated(file: Path) -> None:
    text = GOOD + '    fps: "{SOTEIRA_X}"\n    transport: "{SOTEIRA_X}"\n    privacy_mask: "{SOTEIRA_X}"\n'
    found = problems(file, text, {"SOTEIRA_X": "hunter2"})
    assert len(found) == 3
    assert "hunter2" not in "\n".join(found)


def test_keys_are_text_whatever_yaml_makes_of_them(file: Path) -> None:
    config = load(file, "cameras:\n  on: {source: x}\n  12: {source: y}\n  null: {source: z}\n")
    assert list(config.cameras) == ["on", "12", "null"]


def test_numbers_are_decimal_and_dates_and_times_are_text(file: Path) -> None:
    text = "mqtt: {user: 2026-11-21, password: 12:30:00}\n"
    text += "cameras: {a: {source: 0x10, fps: 1e1, enabled: off}}\n"
    config = load(file, text)
    assert config.mqtt.password is not None
    assert (config.mqtt.user, config.mqtt.password.get_secret_value()) == ("2026-11-21", "12:30:00")
    assert config.cameras["a"].source == "0x10"
    assert (config.cameras["a"].fps, config.cameras["a"].enabled) == (10, False)


def test_texts_and_numbers_that_python_cannot_hold_are_told(file: Path) -> None:
    text = 'mqtt: {user: "\\ud800", "\\ud801": 1}\ncameras: {a: {source: x, fps: ' + "9" * 5000 + "}}\n"
    assert heads(problems(file, text)) == [
        "1:14: mqtt.user: this text has half a character",
        "1:24: mqtt: this key is not plain text",
        "2:31: cameras.a.fps: this is no usable number",
    ]


PIECES = st.sampled_from([
    "cameras", "mqtt", "motion", "objects", "track", "filters", "person", "porch", "source", "fps", "mask",
    "zones", "detector", "password", ": ", ":", "\n", "\n  ", "\n    ", "- ", "[", "]", "{", "}", ", ", "&a ",
    "*a", "<<", "!x ", "'", '"', "#", "|", ">", "? ", "%", "@", "`", "\t", "~", "1", "-0.5", "1e999", ".inf",
    "yes", "{SOTEIRA_X}", "{SOTEIRA_Y}", "\\", "\ufeff", "\x85", "\0", "---", "rtsp://", "[key]",
])
RELAXED = settings(
    max_examples=75, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def only_config_errors(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    try:
        load_config(file, {"SOTEIRA_X": "x"})
    except ConfigError as error:
        assert error.problems
        for problem in error.problems:
            assert re.match(re.escape(str(file)) + r":[1-9]\d*:[1-9]\d*: .+: .+", problem), problem
            assert "\n" not in problem


@RELAXED
@given(
    content=st.one_of(st.binary(), st.text().map(str.encode), st.lists(PIECES).map("".join).map(str.encode))
)
def test_arbitrary_text_raises_nothing_but_config_errors(file: Path, content: bytes) -> None:
    only_config_errors(file, content)


@RELAXED
@given(data=st.data())
def test_a_mutated_file_raises_nothing_but_config_errors(file: Path, data: st.DataObject) -> None:
    text = re.sub(r"^( *)#(?=(?:- )?[a-z_]+:)", r"\1", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = re.sub(r"^ *#.*\n|^\n", "", text, flags=re.MULTILINE)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + data.draw(st.one_of(PIECES, st.just(""))) + text[end:]
    only_config_errors(file, text.encode())


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PIECES, inner, max_size=4),
    max_leaves=12,
)


@RELAXED
@given(tree=st.dictionaries(PIECES, VALUES), camera=st.dictionaries(PIECES, VALUES))
def test_well_formed_nonsense_raises_nothing_but_config_errors(
    file: Path, tree: dict[str, Any], camera: dict[str, Any]
) -> None:
    content = yaml.safe_dump({**tree, "cameras": {"porch": camera}}, allow_unicode=True)
    only_config_errors(file, content.encode("utf-8", "surrogatepass"))
