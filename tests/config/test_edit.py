"""`edited`: what was asked for is in the file, and everything else is as it was, to the byte."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soteirad.config import load_config
from soteirad.config.edit import combined, edited, lines_as_changes
from soteirad.errors import ConfigError

EXAMPLE = (Path(__file__).parents[2] / "etc" / "soteira.yaml").read_text(encoding="utf-8")
PORCH = "cameras:\n  porch:\n    source: rtsp://h/s\n"


def changed(old: str, new: str) -> list[str]:
    """Return the lines that differ, with - and + before them."""
    lines = difflib.ndiff(old.splitlines(), new.splitlines())
    return [line for line in lines if line[0] in "+-"]


def porch(**keys: Any) -> dict[str, Any]:
    return {"cameras": {"porch": keys}}


def test_new_keys_and_sections_of_the_example_are_lines_of_their_own(tmp_path: Path) -> None:
    changes = {**porch(motion={"threshold": 0.03}, zones={"step": {"coordinates": [0, 0, 1, 0, 1, 1]}}),
               "motion": {"threshold": 0.05}}  # fmt: skip
    new = edited(EXAMPLE, changes)
    assert changed(EXAMPLE, new) == [
        "+     motion:", "+       threshold: 0.03", "+     zones:", "+       step:",
        "+         coordinates: [0, 0, 1, 0, 1, 1]", "+ motion:", "+   threshold: 0.05",
    ]  # fmt: skip
    (tmp_path / "new.yaml").write_text(new, encoding="utf-8")
    config = load_config(tmp_path / "new.yaml", {})
    assert config.cameras["porch"].motion.threshold == 0.03 and list(config.cameras["porch"].zones) == ["step"]


def test_what_is_commented_out_below_the_last_camera_stays_below_it() -> None:
    text = f"{PORCH}    # pictures\n    #fps: 5\n\n  # another\n  #yard:\n\n# --- motion\n#motion:\n"
    assert edited(text, {"motion": {"lines": 90}}) == text.replace("#yard:\n", "#yard:\nmotion:\n  lines: 90\n")


def test_a_value_that_is_replaced_keeps_its_comment_its_quotes_and_its_place() -> None:
    text = "mqtt:\n    host:   'old'   # the broker\n    username: \"me\"\n    port: 1883 # usual\ncameras: {}\n"
    new = edited(text, {"mqtt": {"host": "it's new", "username": "you", "port": 8883}})
    assert new == text.replace("'old'", "'it''s new'").replace('"me"', '"you"').replace("1883", "8883")


SAME = {
    "carriage returns": ("a: 1\r\nb:\r\n  c: 2 # x\r\n", {"a": 3, "b": {"d": 4}},
                         "a: 3\r\nb:\r\n  c: 2 # x\r\n  d: 4\r\n"),
    "a byte order mark": ("\ufeffa: 1\n", {"a": 2}, "\ufeffa: 2\n"),
    "no line break at the end": ("a:\n  b: 1", {"a": {"c": 2}, "d": 3}, "a:\n  b: 1\n  c: 2\nd: 3"),
    "tabs in comments": ("a: 1 # one\tand\n #\ttwo\nb: 2\n", {"a": 5}, "a: 5 # one\tand\n #\ttwo\nb: 2\n"),
    "quoted keys": ("\"a\": 1\n'b' : {'c': 2}\n", {"a": 3, "b": {"c": 4}}, "\"a\": 3\n'b' : {'c': 4}\n"),
    "sections in braces": ("a: {b: 1, c: {d: 2}} # x\n", {"a": {"e": 3, "c": {"f": "g h"}}},
                           "a: {b: 1, c: {d: 2, f: g h}, e: 3} # x\n"),
    "braces over lines": ("a: {\n  b: 1, # one\n  c: [1,\n   2] ,\n}\n", {"a": {"c": [3], "d": 4}},
                          "a: {\n  b: 1, # one\n  c: [3], d: 4 ,\n}\n"),
    "empty braces": ("a: { }\n", {"a": {"b": True}}, "a: {b: true }\n"),
    "a key without a value": ("a: # x\nb:\n", {"a": {"c": 1}, "b": 2}, "a: # x\n  c: 1\nb: 2\n"),
    "a key without a value in braces": ("a: {b, c: , d: }\n", {"a": {"b": 1, "c": 2, "d": "x"}},
                                        "a: {b: 1, c: 2 , d: x }\n"),
    "json": ('{"a":1,"b":{"c":[1,2]}}', {"a": 2, "b": {"c": [], "d": 1}}, '{"a": 2,"b":{"c": [], d: 1}}'),
    "a block of text": ("a: |  # x\n  one\n\n  two\n\n# c\nb: 1\n", {"a": "three"}, "a: three  # x\n\n# c\nb: 1\n"),
    "a section after a block of text": ("a:\n  b: |+\n    one\n\n\nc: 1\n", {"a": {"d": 2}},
                                        "a:\n  b: |+\n    one\n\n\n  d: 2\nc: 1\n"),
    "text over two lines": ("a: one\n  two # x\nb: 'one\n\n  two'\n", {"a": "z", "b": "y"}, "a: z # x\nb: 'y'\n"),
    "a list in lines": ("a:\n  - one # 1\n  - two # 2\n  # end\nb: 1\n", {"a": ["one", "six", 7]},
                        "a:\n  - one # 1\n  - six\n  - 7\n  # end\nb: 1\n"),
    "a list that is not indented": ("a:\n- one\n- two # 2\nb: 1\n", {"a": ["two"]}, "a:\n- two # 2\nb: 1\n"),
    "a list that grows in front": ("a:\n- two # 2\n", {"a": ["one", "two"]}, "a:\n- one\n- two # 2\n"),
    "a list of lists": ("a:\n- - 1\n  - 2\n- - 3\n", {"a": [[1, 2], [4]]}, "a:\n- - 1\n  - 2\n- [4]\n"),
    "a list of sections": ("a:\n  - b: 1 # x\n    c: 2\n", {"a": [{"b": 1, "c": 2}, {"b": 3, "c": [4]}]},
                           "a:\n  - b: 1 # x\n    c: 2\n  - b: 3\n    c: [4]\n"),
    "a list that becomes empty": ("a: # x\n  - 1\n  - 2\nb: 1\n", {"a": []}, "a: [] # x\nb: 1\n"),
    "a section that becomes a value": (
        "a: # x\n  b: 1\n  c: 2 # y\n# z\nd: 1\n", {"a": None}, "a: null # x\n# z\nd: 1\n",
    ),
    "a value that becomes a section": ("a: off # x\nb: 1\n", {"a": {"c": {"d": 1}}}, "a: # x\n  c:\n    d: 1\nb: 1\n"),
    "a variable": ('a: "{SOTEIRA_A}" # x\nb: 1\n', {"b": "{SOTEIRA_B}"}, 'a: "{SOTEIRA_A}" # x\nb: "{SOTEIRA_B}"\n'),
    "other indentation": ("a:\n      b: 1\nc:\n      d:\n            e: 1\n", {"c": {"d": {"f": {"g": 1}}}},
                          "a:\n      b: 1\nc:\n      d:\n            e: 1\n            f:\n                  g: 1\n"),
    "the marks of a document": ("%YAML 1.1\n---\na: 1\n...\n", {"b": 2}, "%YAML 1.1\n---\na: 1\nb: 2\n...\n"),
    "nothing but comments": ("# hello", {"a": {"b": 1}}, "# hello\na:\n  b: 1\n"),
    "an unused name": ("a: &x 1 # y\n", {"a": 2}, "a: 2 # y\n"),
    "an alias that is replaced": ("a: &x 1\nb: *x # y\nc: &z {d: 1, e: 2}\nf: *z\n", {"b": 2, "f": {"d": 3}},
                                  "a: &x 1\nb: 2 # y\nc: &z {d: 1, e: 2}\nf:\n  d: 3\n  e: 2\n"),
    "a section that is merged in": ("a: &x {m: {n: 1, o: 2}}\nb:\n  <<: *x\n  c: 1\n", {"b": {"m": {"n": 5}}},
                                    "a: &x {m: {n: 1, o: 2}}\nb:\n  <<: *x\n  c: 1\n  m:\n    n: 5\n    o: 2\n"),
    "a merged key that is set": ("a: &x {m: 1}\nb:\n  <<: *x\n", {"b": {"m": 2}},
                                 "a: &x {m: 1}\nb:\n  <<: *x\n  m: 2\n"),
    "a shared section whose users have their own": ("a: &x {m: 1}\nb: {<<: *x, m: 2}\n", {"a": {"m": 3}},
                                                    "a: &x {m: 3}\nb: {<<: *x, m: 2}\n"),
}  # fmt: skip


@pytest.mark.parametrize("case", SAME)
def test_odd_but_valid_files_change_only_where_they_have_to(case: str) -> None:
    old, changes, new = SAME[case]
    assert edited(old, changes) == new
    assert edited(new, changes) == new, "what is there already is left alone"


def test_what_is_there_already_is_left_alone_however_it_is_written() -> None:
    text = "a: 0x10\nb: 1.0\nc: yes\nd: ~\ne: [ 1 , 2 ]\nf: \"x\"\n"
    assert edited(text, {"b": 1, "c": True, "d": None, "e": [1, 2], "f": "x"}) == text
    assert edited(text, {"c": 1}) == text.replace("yes", "1"), "true is not 1"


SHARED = {
    "a section": ("a: &x\n  m: 1\nb: *x\n", {"a": {"m": 2}}),
    "a merged section": ("a: &x {m: 1}\nb: {<<: *x, n: 1}\n", {"a": {"m": 2}}),
    "a value": ("a: &x 1\nb: *x\n", {"a": 2}),
    "a list": ("a: &x [1]\nb: *x\n", {"a": [2]}),
    "what holds a name": ("a: {n: &x 1}\nb: *x\n", {"a": 3}),
}


@pytest.mark.parametrize("case", SHARED)
def test_a_change_that_would_reach_another_place_by_an_alias_is_refused(case: str) -> None:
    with pytest.raises(ConfigError, match="line 1: a"):
        edited(*SHARED[case])


@pytest.mark.parametrize("text", ["a: [1\n", "- 1\n", "a: 1\na: 2\n", "a: !x 1\n", "a: &x [*x]\n", "a: \x07\n", "1"])
def test_a_text_that_is_no_configuration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"line [12]"):
        edited(text, {"a": 1})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1: 2}, "\ud800", b"x", {"a": object()}])
def test_what_yaml_has_not_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="cannot be written as YAML"):
        edited("a: 1\n", {"a": value})


def test_the_lines_of_config_diff_are_read_as_they_stand_variables_included() -> None:
    assert lines_as_changes('cameras:\n  porch: {detail: "{SOTEIRA_D}", detect: off}\n') == porch(
        detail="{SOTEIRA_D}", detect=False
    )
    assert lines_as_changes("# nothing\n") == {}
    with pytest.raises(ConfigError, match="no lines of a configuration"):
        lines_as_changes("- porch\n")


names = st.sampled_from(["a", "b", "on", "no", "x y", "1", "é", "min_score", "#", "<<", ":"])
texts = st.one_of(
    st.text(max_size=6),
    st.sampled_from(["yes", "1e5", "null", "~", "{SOTEIRA_X}", "a: b", " x", "-", "'", "012", "a #b"]),
).filter(lambda text: text.replace("\n", "").isprintable())
numbers = st.one_of(st.integers(-9999, 9999), st.floats(allow_nan=False, allow_infinity=False))
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    scalars, lambda below: st.lists(below, max_size=3) | st.dictionaries(names, below, max_size=3), max_leaves=6
)
sections = st.dictionaries(names, values, min_size=1, max_size=4)


class Page:
    """Writes data as YAML in ways of its own choice, with a comment on each line, and remembers each line's path."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.step = draw(st.sampled_from([1, 2, 4]))
        self.newline = draw(st.sampled_from(["\n", "\r\n"]))
        self.lines: list[tuple[tuple[str, ...], str]] = []

    def line(self, path: tuple[str, ...], text: str) -> None:
        self.lines.append((path, f"{text}  # {len(self.lines)}"))
        if self.draw(st.booleans()):
            self.lines.append((path, self.draw(st.sampled_from(["", "# between", "#\ttab", "          #fps: 5"]))))

    def section(self, data: Mapping[str, Any], indent: int, path: tuple[str, ...]) -> None:
        for key, value in data.items():
            below = (*path, key)
            start = f"{' ' * indent}{json.dumps(key, ensure_ascii=False)}:"
            style = self.draw(st.sampled_from(["json", "block", "empty"]))
            if isinstance(value, dict) and value and style == "block":
                self.line(below, start)
                self.section(value, indent + self.step, below)
            elif isinstance(value, list) and value and style == "block":
                self.line(below, start)
                for item in value:
                    self.line(below, f"{' ' * indent}- {flow(item)}")
            elif value is None and style == "empty":
                self.line(below, start)
            else:
                self.line(below, f"{start} {flow(value)}")

    def text(self) -> str:
        return self.newline.join(line for _, line in self.lines) + self.draw(st.sampled_from(["", self.newline]))


def flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k, ensure_ascii=False)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(flow(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


@st.composite
def pages(draw: Any) -> tuple[str, list[tuple[tuple[str, ...], str]], dict[str, Any]]:
    data = draw(sections)
    page = Page(draw)
    page.section(data, 0, ())
    return page.text(), page.lines, data


def reached(changes: Mapping[str, Any], data: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Return the paths of the values that changes replace."""
    found = set()
    for key, value in changes.items():
        old = data.get(key) if isinstance(data, dict) else None
        if isinstance(value, dict) and isinstance(old, dict):
            found |= reached(value, old, (*path, key))
        else:
            found.add((*path, key))
    return found


@settings(max_examples=100, deadline=None)
@given(pages(), sections)
def test_any_change_of_any_file_is_there_afterwards_and_other_lines_are_the_same(
    page: tuple[str, list[tuple[tuple[str, ...], str]], dict[str, Any]], changes: dict[str, Any]
) -> None:
    text, lines, data = page
    new = edited(text, changes)
    assert lines_as_changes(new) == combined(data, changes)
    replaced = reached(changes, data)
    inside = {path[:n] for path in replaced for n in range(1, len(path))}
    kept = iter(new.splitlines())
    for path, line in lines:
        if line and path not in inside and not any(path[:n] in replaced for n in range(1, len(path) + 1)):
            assert line in kept, "in the same order, to the byte"


@settings(max_examples=40, deadline=None)
@given(values)
def test_whatever_is_written_is_read_back(value: Any) -> None:
    for text in ("a: 1\n", "{a: 1}", "a:\n- 1\n", "a:\n  b: 1\n", "a: 'x'\n", "b:\n"):
        data = lines_as_changes(edited(text, {"a": value}))
        assert data["a"] == combined(lines_as_changes(text).get("a"), value)
        same_number = {type(data["a"]), type(value)} == {int, float}  # 1.0 over a 1 changes nothing
        assert type(data["a"]) is type(value) or same_number
