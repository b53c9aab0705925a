"""YAML text to plain data in which every key and value knows its line and column.

YAML 1.1's surprises are left out: keys are always text (`on:` is the key "on"), numbers are decimal, and
dates and base-60 numbers stay text. yes, no, on and off are still true and false.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from soteirad.config.messages import show_key
from soteirad.config.secrets import MissingSecretsError, substitute

KeyPath = tuple[str | int, ...]

MAX_DEPTH = 32
MAX_VALUES = 30_000

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
TAG_TEXT = 'tags that start with ! do not work here: write a secret as "{SOTEIRA_NAME}", other text in quotes'
_TRUE = ("yes", "true", "on")


class Place(NamedTuple):
    """A position in the file; both numbers start at 1."""

    line: int
    column: int


class Problem(NamedTuple):
    """One thing that is wrong; `text` is "what is wrong: what is allowed"."""

    place: Place
    path: str
    text: str


class DocumentError(Exception):
    """The text cannot become data at all."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.text)


@dataclass
class Document:
    """Plain data with the places of its keys and values, and the problems found on the way."""

    data: Any = None
    keys: dict[KeyPath, Place] = field(default_factory=dict)
    values: dict[KeyPath, Place] = field(default_factory=dict)
    shown: dict[KeyPath, str] = field(default_factory=dict)
    unresolved: set[KeyPath] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    def place(self, path: KeyPath, *, of_key: bool) -> Place:
        """Return where `path` is written, or else the nearest section around it."""
        first, second = (self.keys, self.values) if of_key else (self.values, self.keys)
        for length in range(len(path), -1, -1):
            found = first.get(path[:length]) or second.get(path[:length])
            if found is not None:
                return found
            first, second = self.keys, self.values
        return Place(1, 1)

    def path_text(self, path: KeyPath) -> str:
        """Return `path` as it is shown: `cameras.porch.motion.mask[0]`."""
        text = ""
        for index, part in enumerate(path):
            if isinstance(part, int):
                text += f"[{part}]"
            else:
                text += f".{show_key(self.shown.get(path[: index + 1], part))}"
        return text.removeprefix(".") or "file"


class Loader(yaml.SafeLoader):
    """A composer that refuses deep nesting and huge numbers of values before they cost anything."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.depth = 0
        self.count = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """Compose one node, counting it."""
        self.depth += 1
        self.count += 1
        if self.depth > MAX_DEPTH or self.count > MAX_VALUES:
            _refuse(self.get_mark(), too_deep=self.depth > MAX_DEPTH)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _resolve(name: str, pattern: str, first: str) -> None:
    Loader.add_implicit_resolver(_TAG + name, re.compile(rf"(?:{pattern})\Z"), list(first))


_resolve("merge", "<<", "<")
_resolve("null", "~|null|Null|NULL", "~nN")
Loader.add_implicit_resolver(_TAG + "null", re.compile(r"\Z"), [""])
_resolve("bool", "(?i:yes|no|true|false|on|off)", "yYnNtTfFoO")
_resolve("int", "[-+]?[0-9]+", "-+0123456789")
_resolve("float", r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", "-+.0123456789")


def read(root: Node | None, environ: Mapping[str, str] | None) -> Document:
    """Turn a composed YAML tree into data. Raises `DocumentError` for recursion or too many values.

    Without `environ` each `{SOTEIRA_X}` stays as it is written.
    """
    builder = _Builder(environ)
    if root is not None:
        builder.document.values[()] = _place(root)
        builder.document.data = builder.build(root, ())
    return builder.document


class _Builder:
    def __init__(self, environ: Mapping[str, str] | None) -> None:
        self.environ = environ
        self.document = Document()
        self.active: list[Node] = []
        self.count = 0

    def build(self, node: Node, path: KeyPath) -> Any:
        self._enter(node)
        value: Any = None
        if isinstance(node, MappingNode) and self._known_tag(node, path, "map"):
            value = self._mapping(node, path)
        elif isinstance(node, SequenceNode) and self._known_tag(node, path, "seq"):
            value = []
            for index, item in enumerate(node.value):
                self.document.values[(*path, index)] = _place(item)
                value.append(self.build(item, (*path, index)))
        elif isinstance(node, ScalarNode):
            value = self._scalar(node, path)
        self.active.pop()
        return value

    def _enter(self, node: Node) -> None:
        if any(node is outer for outer in self.active):
            place = _place(node)
            raise DocumentError(
                Problem(place, "file", "an alias (*name) refers to the section it is in: remove the alias")
            )
        self.active.append(node)
        self._spend(node, 1)

    def _spend(self, node: Node, count: int) -> None:
        self.count += count
        too_deep = len(self.active) > MAX_DEPTH
        if too_deep or self.count > MAX_VALUES:
            _refuse(node.start_mark, too_deep=too_deep)

    def _problem(self, place: Place, path: KeyPath, text: str) -> None:
        self.document.problems.append(Problem(place, self.document.path_text(path), text))

    def _known_tag(self, node: Node, path: KeyPath, *names: str) -> bool:
        if node.tag.removeprefix(_TAG) in names:
            return True
        self.document.unresolved.add(path)
        self._problem(_place(node), path, TAG_TEXT)
        return False

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        result = {}
        for key, (key_node, value_node) in self._pairs(node, path).items():
            below = (*path, key)
            # A value that is left out has no place of its own.
            empty = value_node.start_mark.index == value_node.end_mark.index
            self.document.keys[below] = _place(key_node)
            self.document.values[below] = _place(key_node if empty else value_node)
            result[key] = self.build(value_node, below)
        return result

    def _pairs(self, node: MappingNode, path: KeyPath) -> dict[str, tuple[Node, Node]]:
        """Return a section's keys, its own before those merged with `<<`."""
        own: dict[str, tuple[Node, Node]] = {}
        merged: dict[str, tuple[Node, Node]] = {}
        for key_node, value_node in node.value:
            self._spend(key_node, 1)
            if key_node.tag == _MERGE:
                for key, pair in self._merge_sources(value_node, path):
                    merged.setdefault(key, pair)
            elif not isinstance(key_node, ScalarNode) or not _is_unicode(key_node.value):
                text = "this key is not plain text: write a word, and put quotes around a value with braces"
                self.document.unresolved.add(path)
                self._problem(_place(key_node), path, text)
            elif key_node.value in own:
                self._twice(own, key_node, value_node, path)
            else:
                own[key_node.value] = (key_node, value_node)
        return {**merged, **own}

    def _merge_sources(self, node: Node, path: KeyPath) -> list[tuple[str, tuple[Node, Node]]]:
        sources = node.value if isinstance(node, SequenceNode) else [node]
        pairs: list[tuple[str, tuple[Node, Node]]] = []
        for source in sources:
            if not isinstance(source, MappingNode):
                self._problem(_place(source), path, "<< needs a section to merge: write <<: *name")
                continue
            self._enter(source)
            pairs.extend(self._pairs(source, path).items())
            self._spend(source, len(pairs))
            self.active.pop()
        return pairs

    def _twice(
        self, own: dict[str, tuple[Node, Node]], key_node: ScalarNode, value_node: Node, path: KeyPath
    ) -> None:
        key, (first_key, first_value) = key_node.value, own[key_node.value]
        first, place = f"(first at line {_place(first_key).line})", _place(key_node)
        kind = _kind_of_name(path)
        if kind:
            text = f"this {kind} name is used twice {first}: give each {kind} its own name"
            # The second one keeps a place of its own, so that what else is wrong in it is found as well.
            alias = f"{key}--{place.line}-{place.column}"
            self.document.shown[(*path, alias)] = key
            own[alias] = (key_node, value_node)
        else:
            text = f"this key is used twice {first}: keep one of them"
            both = first_value
            if isinstance(first_value, MappingNode) and isinstance(value_node, MappingNode):
                entries = [*first_value.value, *value_node.value]
                both = MappingNode(first_value.tag, entries, first_value.start_mark, value_node.end_mark)
            own[key] = (first_key, both)
        self._problem(place, (*path, key), text)

    def _scalar(self, node: ScalarNode, path: KeyPath) -> Any:
        if not self._known_tag(node, path, "str", "null", "bool", "int", "float", "merge"):
            return None
        kind, text = node.tag.removeprefix(_TAG), node.value
        if kind in ("null", "bool"):
            return text.lower() in _TRUE if kind == "bool" else None
        if kind not in ("int", "float"):
            return self._text(node, path)
        try:
            return int(text) if kind == "int" else float(text)
        except ValueError:
            self.document.unresolved.add(path)
            self._problem(_place(node), path, "this is no usable number: write a decimal one such as 0.5")
            return None

    def _text(self, node: ScalarNode, path: KeyPath) -> str:
        text: str = node.value
        if not _is_unicode(text):
            self.document.unresolved.add(path)
            self._problem(_place(node), path, "this text has half a character: write the character itself")
            return ""
        try:
            return text if self.environ is None else substitute(text, self.environ)
        except MissingSecretsError as error:
            self.document.unresolved.add(path)
            for reason in error.reasons:
                self._problem(_place(node), path, reason)
            return text


def _kind_of_name(path: KeyPath) -> str:
    if path == ("cameras",):
        return "camera"
    return "zone" if len(path) == 3 and path[0] == "cameras" and path[2] == "zones" else ""


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _place(node: Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def _refuse(mark: Any, *, too_deep: bool) -> NoReturn:
    if too_deep:
        text = f"the sections are nested too deep: allowed are {MAX_DEPTH} levels"
    else:
        text = f"there are too many values: allowed are {MAX_VALUES}, with aliases (*name) counted each time"
    raise DocumentError(Problem(Place(mark.line + 1, mark.column + 1), "file", text))
