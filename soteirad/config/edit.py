"""Changes put into the text of a configuration file: only the lines change that have to. Pure.

A YAML library that reads a file and writes it again touches what nobody asked for (indentation, long lines, quotes,
line ends). Here the parser only says where things stand; what is new is put there as text, and the result is
parsed again to prove that it holds what was wanted and nothing else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from soteirad.config import emit
from soteirad.config.difference import diff
from soteirad.config.document import DocumentError, KeyPath, Place, Problem, read
from soteirad.config.source_text import BREAK, Tree, line_end, line_start
from soteirad.config.syntax import explain
from soteirad.errors import ConfigError

__all__ = ["combined", "diff", "edited", "lines_as_changes"]

_MARK = "\ufeff"
_MISSING: Any = object()
_HERE = "this place is written in a way that cannot be changed by a program: change it in an editor"
_SHARED = ("other places of the file use this, too (& names it, * repeats it), and would change with it: write it out "
           "in each place first")  # fmt: skip


def edited(text: str, changes: Mapping[str, Any]) -> str:
    """Return the text of a configuration file with `changes` in it, and all other lines as they were.

    Sections are merged key by key; lists and single values are replaced. What is new is put below what there is, in
    lines of its own; a value that is replaced keeps its line's comment. `{SOTEIRA_X}` stays as it is, in both.

    Raises ConfigError for a text that is no YAML, for values that YAML has not, and when the change would reach other
    places, too, because of an alias. It does not look at what keys mean: that is the loader's work.
    """
    mark = _MARK if text.startswith(_MARK) else ""
    body = text.removeprefix(_MARK)
    tree, data = _parsed(body)
    if data is not None and not isinstance(data, dict):
        raise _error(Place(1, 1), (), "this file has no sections such as cameras:")
    if not changes:
        return text
    wanted = combined(data, changes)
    edit = _Edit(body, tree)
    try:
        edit.root(data, changes)
    except ValueError as error:
        raise ConfigError([f"the changes hold {error}: this cannot be written as YAML"]) from None
    result = edit.result()
    try:
        same = _same(_parsed(result)[1], wanted)
    except ConfigError:
        same = False
    if not same:
        raise edit.refusal()
    return mark + result


def combined(base: Any, changes: Any) -> Any:
    """Return data with changes: sections merged key by key, everything else replaced."""
    if not isinstance(changes, Mapping):
        return list(changes) if emit.is_list(changes) else changes
    merged = dict(base) if isinstance(base, Mapping) else {}
    for key, value in changes.items():
        merged[key] = combined(merged.get(key), value)
    return merged


def lines_as_changes(text: str) -> dict[str, Any]:
    """Return what lines such as those of `config diff` ask for. Raises ConfigError."""
    data = _parsed(text.removeprefix(_MARK))[1]
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise _error(Place(1, 1), (), "these are no lines of a configuration, such as cameras: and a camera below it")
    return data


def _parsed(text: str) -> tuple[Tree, Any]:
    tree = None
    try:
        tree = Tree(text)
        root = tree.get_single_node()
    except (yaml.YAMLError, ValueError, OverflowError, LookupError) as error:
        problem = explain(error, text, tree.get_mark() if tree is not None else None)
        raise _error(problem.place, (), problem.text) from None
    except DocumentError as error:
        raise _told(error.problem) from None
    finally:
        if tree is not None:
            tree.dispose()
    tree.root = root
    try:
        document = read(root, None)
    except DocumentError as error:
        raise _told(error.problem) from None
    if document.problems:
        raise ConfigError([f"line {p.place.line}: {p.path}: {p.text}" for p in document.problems])
    return tree, document.data


def _told(problem: Problem) -> ConfigError:
    return ConfigError([f"line {problem.place.line}: {problem.path}: {problem.text}"])


def _error(place: Place, path: KeyPath, text: str) -> ConfigError:
    name = ".".join(map(str, path))
    return ConfigError([f"line {place.line}: {name}: {text}" if name else f"line {place.line}: {text}"])


def _same(one: Any, other: Any) -> bool:
    """Compare data; true is not 1, as it is to Python, and neither is text ever a number."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


@dataclass(frozen=True)
class _Splice:
    start: int
    end: int
    new: str


@dataclass
class _Edit:
    """What is to be cut out of a text and put into it."""

    text: str
    tree: Tree
    splices: list[_Splice] = field(default_factory=list)
    touched: list[tuple[Node, KeyPath, bool]] = field(default_factory=list)
    """Each value or section that changes, and whether it is used elsewhere."""

    def __post_init__(self) -> None:
        found = BREAK.search(self.text)
        self.newline = found[0] if found else "\n"
        self.step = self.tree.step()

    def root(self, data: Any, changes: Mapping[str, Any]) -> None:
        """Put the changes into the whole document."""
        node = self.tree.root
        if isinstance(node, MappingNode):
            self._section(node, data, changes, (), flow=bool(node.flow_style))
            return
        lines = emit.lines(combined({}, changes), 0, self.step)
        start = "" if not self.text or BREAK.search(self.text[-1]) else self.newline
        self._put(len(self.text), len(self.text), start + "".join(line + self.newline for line in lines))

    def result(self) -> str:
        """Return the text with everything that was cut and put; of what is put at one place, the first comes first."""
        pieces, position = [], 0
        for splice in sorted(self.splices, key=lambda splice: splice.start):
            pieces += [self.text[position : splice.start], splice.new]
            position = max(position, splice.end)
        return "".join([*pieces, self.text[position:]])

    def refusal(self) -> ConfigError:
        """Return why the result does not hold what it should."""
        for node, path, shared in self.touched:
            if shared:
                return _error(Place(node.start_mark.line + 1, 1), path, _SHARED)
        for node, path, _ in self.touched[-1:]:
            return _error(Place(node.start_mark.line + 1, 1), path, _HERE)
        return _error(Place(1, 1), (), _HERE)

    def _put(self, start: int, end: int, new: str) -> None:
        self.splices.append(_Splice(start, end, new))

    def _section(self, node: MappingNode, data: Any, changes: Mapping[str, Any], path: KeyPath, *, flow: bool) -> None:
        own = {key.value: (key, value) for key, value in node.value if isinstance(key, ScalarNode)}
        new: dict[str, Any] = {}
        self.touched.append((node, path, self.tree.is_shared(node)))
        for key, change in changes.items():
            below, old = (*path, key), data.get(key, _MISSING)
            value = combined(old, change)
            if old is not _MISSING and _same(value, old):
                continue
            if key not in own:
                new[key] = value
                continue
            key_node, value_node = own[key]
            alias = self.tree.alias(node, key_node)
            if isinstance(change, Mapping) and isinstance(value_node, MappingNode) and alias is None:
                inner = flow or bool(value_node.flow_style)
                self._section(value_node, old, change, below, flow=inner)
            else:
                self._replace(node, key_node, value_node, value, below, flow=flow)
        if new:
            self._add(node, new, flow=flow)

    def _add(self, node: MappingNode, new: Mapping[str, Any], *, flow: bool) -> None:
        if flow:
            text = emit.flow(new)[1:-1]
            empty = not node.value
            place = self.text.index("{", node.start_mark.index) + 1 if empty else self.tree.end(node, inside=True)
            self._put(place, place, text if empty else f", {text}")
            return
        indent = node.value[0][0].start_mark.column
        place = self._below(self.tree.end(node), indent)
        self._put(place, place, self._as_lines(emit.lines(new, indent, self.step)))

    def _below(self, end: int, indent: int) -> int:
        """Return the end of the line below which a section goes on: a comment that is indented deeper belongs to it."""
        place = ahead = line_end(self.text, end)
        while ahead < len(self.text):
            start = BREAK.match(self.text, ahead).end()  # type: ignore[union-attr]
            ahead = line_end(self.text, start)
            line = self.text[start:ahead]
            comment = line.lstrip(" \t")
            if comment.startswith("#") and len(line) - len(comment) > indent:
                place = ahead
            elif comment:
                break
        return place

    def _as_lines(self, lines: list[str]) -> str:
        return "".join(self.newline + line for line in lines)

    def _replace(self, parent: MappingNode, key: Node, node: Node, value: Any, path: KeyPath, *, flow: bool) -> None:
        alias = self.tree.alias(parent, key)
        self.touched.append((key if alias else node, path, alias is None and self.tree.is_shared(node)))
        start, end = alias or (node.start_mark.index, self.tree.end(node))
        colon = self.text.find(":", key.end_mark.index, start)
        below = not flow and colon >= 0
        if value and emit.is_list(value) and not (alias or flow) and self._items(node, value):
            return
        if below and line_start(self.text, start) > colon:  # a section or a list on lines of its own
            self._put(colon + 1, colon + 1, f" {emit.flow(value)}")
            self._put(line_end(self.text, colon), line_end(self.text, end), "")
            return
        one_line = BREAK.search(self.text, start, end) is None
        if below and emit.is_block(value) and one_line:
            indent = key.start_mark.column
            lines = emit.lines({"": value}, indent, self.step)[1:]
            self._put(len(self.text[:start].rstrip(" ")), end, "")
            self._put(line_end(self.text, end), line_end(self.text, end), self._as_lines(lines))
            return
        self._in_place(start, end, "" if colon >= 0 else ":", node, value)

    def _in_place(self, start: int, end: int, colon: str, node: Node, value: Any) -> None:
        style = node.style if isinstance(node, ScalarNode) else None
        new = emit.flow(value, style if style in ("'", '"') else None)
        if style in ("|", ">"):
            comment = re.match(r"[|>][0-9+-]*([ \t]+#[^\r\n]*)?", self.text[start:end])
            new += (comment[1] or "") if comment else ""
        space = " " if self.text[start - 1 : start] not in (" ", "\t", "[", "{", ",") else ""
        self._put(start, end, f"{colon}{space}{new}")

    def _items(self, node: Node, value: list[Any]) -> bool:
        """Replace the items of a list that differ; False if they do not stand on lines of their own."""
        if not isinstance(node, SequenceNode) or node.flow_style:
            return False
        old = read(node, None).data
        dashes = self.tree.dashes(node)
        if any(self.text[line_start(self.text, dash) : dash].strip(" ") for dash in dashes):
            return False
        first = _alike(old, value)
        last = min(_alike(old[::-1], value[::-1]), len(old) - first, len(value) - first)
        indent = dashes[0] - line_start(self.text, dashes[0])
        lines = emit.items(value[first : len(value) - last], indent, self.step)
        if first < len(old) - last:
            start = line_start(self.text, dashes[first])
            end = line_end(self.text, self.tree.item_end(node, len(old) - last - 1))
            if lines:
                self._put(start, end, self._as_lines(lines)[len(self.newline) :])
            elif first:
                self._put(line_end(self.text, self.tree.item_end(node, first - 1)), end, "")
            else:
                self._put(start, line_start(self.text, dashes[len(old) - last]), "")
        elif first:
            place = line_end(self.text, self.tree.item_end(node, first - 1))
            self._put(place, place, self._as_lines(lines))
        else:
            place = line_start(self.text, dashes[0])
            self._put(place, place, "".join(line + self.newline for line in lines))
        return True


def _alike(one: list[Any], other: list[Any]) -> int:
    """Return how many items at the start are the same."""
    count = 0
    for mine, others in zip(one, other, strict=False):
        if not _same(mine, others):
            break
        count += 1
    return count
