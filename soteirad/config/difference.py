"""What differs between two texts of a configuration file, fit to be shown: without its secrets. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from soteirad.config.document import DocumentError, Loader
from soteirad.config.secrets import HIDDEN, VARIABLE, looks_secret, redact, redact_url
from soteirad.config.source_text import BREAK

AROUND = 3
"""Lines that are shown before and after a change."""

_COMMENT = re.compile("(?:^|(?<=[ \\t\r\n]))#[^\r\n]*")
_SETTING = re.compile(r"(?<![\w-])([\w-]+)[\"']?\s*[:=]\s*|\b((?i:(?:password|passwd|pwd)\s+(?:is|was)|pw|bearer))\s+")
_NO_VALUE = " \t\"'{}[],>|-+"
_WORD = re.compile(r"\S+")
_OPEN = re.compile(r"([ \t]*#[# \t]*)[\"']?([\w-]+)[\"']?[ \t]*:[ \t]*(?:[>|][-+0-9]*)?[ \t]*")
"""A key that is commented out, whose value may go on in the next lines."""
_PATH = re.compile(r"(https?://[^\s/?#\"']*[/?#])[^\s\"']+", re.IGNORECASE)
_TEXT = "tag:yaml.org,2002:str"


def diff(old: str, new: str, secrets: Iterable[str] = (), name: str = "soteira.yaml") -> str:
    """Return the difference as `diff -u` would; empty if there is none.

    `secrets` (`known_secrets`) are shown as `***` wherever they stand; so are all values of keys that look like
    credentials, the passwords in addresses, comments included, and of webhooks the headers and all of the address but
    its host. A line whose secret changes is shown on both sides.
    """
    known = tuple(secrets)
    before, after = _lines(old), _lines(new)
    shown = _shown(old, known), _shown(new, known)
    found = []
    for group in SequenceMatcher(None, before, after, autojunk=False).get_grouped_opcodes(AROUND):
        first, last = group[0], group[-1]
        found.append(f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@")
        for kind, a, b, c, d in group:
            if kind == "equal":
                found += [f" {line}" for line in shown[0][a:b]]
            else:
                found += [f"-{line}" for line in shown[0][a:b]] + [f"+{line}" for line in shown[1][c:d]]
    return "\n".join([f"--- {name}", f"+++ {name} (new)", *found, ""]) if found else ""


def _lines(text: str) -> list[str]:
    lines = BREAK.split(text)
    return lines if lines[-1] else lines[:-1]


def _range(start: int, end: int) -> str:
    return f"{start + 1 if end > start else start},{end - start}"


def _shown(text: str, secrets: tuple[str, ...]) -> list[str]:
    """Return the text's lines without secrets; as many lines as it has."""
    pieces, position = [], 0
    for start, end, instead in _hidden(text, secrets):
        if start >= position:
            pieces += [_COMMENT.sub(_without_secrets, text[position:start]), instead]
            position = end
    pieces.append(_COMMENT.sub(_without_secrets, text[position:]))
    return [redact(line, secrets) for line in _without_rest(_lines("".join(pieces)))]


def _without_secrets(comment: re.Match[str]) -> str:
    """Return a comment up to what looks like a credential: a line that is commented out may hold one."""
    text = comment[0]
    start, end = text.find("://"), text.rfind("@")
    if 0 <= start < end:
        text = f"{text[: start + 3]}{HIDDEN}{text[end:]}"
    text = _WORD.sub(lambda word: _without_user_info(word[0]), text)
    for match in _SETTING.finditer(text):
        if looks_secret(match[1] or match[2]) and VARIABLE.sub("", text[match.end() :]).strip(_NO_VALUE):
            return f"{text[: match.end()]}{HIDDEN}"
    return text


def _without_user_info(word: str) -> str:
    """Return a word such as user:password@host from its last @ on."""
    at = word.rfind("@")
    return f"{HIDDEN}{word[at:]}" if ":" in word[: max(at, 0)] and "://" not in word else word


def _without_rest(lines: list[str]) -> list[str]:
    """Return lines without what goes on, further in, below a credential that is commented out."""
    shown, inside = [], None
    for line in lines:
        start = len(line) - len(line.lstrip("# \t")) if "#" in line else 0
        if inside is not None and line.lstrip(" \t").startswith("#") and start > inside:
            shown.append(f"{line[:start]}{HIDDEN}")
            continue
        opened = _OPEN.fullmatch(line)
        inside = len(opened[1]) if opened and looks_secret(opened[2]) else None
        shown.append(line)
    return shown


def _hidden(text: str, secrets: tuple[str, ...]) -> list[tuple[int, int, str]]:
    """Return where the values stand that are not shown, and what is shown instead; all of a text that is no YAML."""
    loader = None
    try:
        loader = Loader(text)
        root = loader.get_single_node()
    except (yaml.YAMLError, ValueError, OverflowError, LookupError, DocumentError):
        return [(0, len(text), _masked(text))]
    finally:
        if loader is not None:
            loader.dispose()
    found = []
    for key, node in _values(root, "", set()):
        start = node.start_mark.index
        raw = text[start : node.end_mark.index].rstrip()
        instead = _instead(key, node, raw, secrets)
        if instead != raw:
            found.append((start, start + len(raw), instead))
    return sorted(found)


def _instead(key: str, node: ScalarNode, raw: str, secrets: tuple[str, ...]) -> str:
    if node.tag != _TEXT:
        return raw
    if looks_secret(key) and VARIABLE.sub("", node.value).strip():
        return _masked(raw)
    if any(secret and secret in node.value and secret not in raw for secret in secrets):
        return _masked(raw)  # it is written with escapes, or over several lines
    if key == "url" and _PATH.search(node.value):  # a webhook's path is often all that protects it
        return _masked(raw) if BREAK.search(raw) else _PATH.sub(rf"\1{HIDDEN}", redact_url(raw))
    if redact_url(node.value) != node.value:
        return _masked(raw) if BREAK.search(raw) else redact_url(raw)
    return raw


def _masked(text: str) -> str:
    return "".join([HIDDEN, *(f"{found[0]}{HIDDEN}" for found in BREAK.finditer(text))])


def _values(node: Node | None, key: str, seen: set[int]) -> Iterator[tuple[str, ScalarNode]]:
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, ScalarNode):
        yield key, node
    elif isinstance(node, SequenceNode):
        for item in node.value:
            yield from _values(item, key, seen)
    elif isinstance(node, MappingNode):
        for name, value in node.value:
            own = str(name.value) if isinstance(name, ScalarNode) else ""
            yield from _values(value, "secret" if key == "headers" else own, seen)
