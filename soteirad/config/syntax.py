"""YAML's syntax errors, each as one place and one remedy in the owner's words.

The parser's own messages are not passed on, because they may quote a piece of a password.
"""

from __future__ import annotations

from yaml.error import Mark, MarkedYAMLError
from yaml.reader import ReaderError

from soteirad.config.document import TAG_TEXT, Place, Problem

_BRACKETS = "a bracket or brace is not closed, or a comma is missing: separate entries by commas and close it"
_INDENT = "this line does not line up with those above: indent a section's keys by the same number of spaces"
_COLON = "this colon does not fit here: check the indentation and the line above, or put the text in quotes"
_OPEN_QUOTE = "this quote is not closed: add the same quote at the end of the text"
_QUOTES = "if it is text, put it in quotes"

# (part of the parser's context, part of its problem, point at the start of the construct, our words)
_RULES = (
    ("quoted scalar", "unexpected end", True, _OPEN_QUOTE),
    ("quoted scalar", "document separator", True, _OPEN_QUOTE),
    ("double-quoted", "", False, "this backslash sequence has no meaning: use single quotes instead"),
    ("flow sequence", "", True, _BRACKETS),
    ("flow mapping", "", True, _BRACKETS),
    ("simple key", "", True, "this key has no colon: write key: value, with a space after the colon"),
    ("", "mapping values are not", False, _COLON),
    ("", "sequence entries are not", False, "a list cannot start here: put the dash on a line of its own"),
    ("", "undefined alias", False, f"the name after * is not defined above: {_QUOTES}"),
    ("duplicate anchor", "", False, "this name after & is defined twice: give each anchor its own name"),
    ("anchor", "", False, f"& starts an anchor: {_QUOTES}"),
    ("alias", "", False, f"* starts an alias: {_QUOTES}"),
    ("", "another document", False, "a second document starts here: remove the line with ---"),
    ("block mapping", "", False, _INDENT),
    ("block collection", "", False, _INDENT),
    ("", "cannot start any token", False, f"a value cannot start with this character: {_QUOTES}"),
    ("", "tag", False, TAG_TEXT),
    ("", "<document start>", False, _INDENT),
)


def explain(error: Exception, text: str, reached: Mark | None) -> Problem:
    """Return the one problem that a parser's exception about `text` stands for.

    `reached` is where the parser stopped, for exceptions that do not say it.
    """
    if isinstance(error, ReaderError):
        start = text[: error.position]
        place = Place(start.count("\n") + 1, len(start) - (start.rfind("\n") + 1) + 1)
        return Problem(place, "yaml", "this control character is not allowed: delete it")
    if not isinstance(error, MarkedYAMLError):
        words = "a \\U escape stands for no character: write the character itself"
        return Problem(_place(reached), "yaml", words)
    mark = error.problem_mark or error.context_mark
    at_start, words = _rule(error.context or "", error.problem or "")
    line = text.splitlines()[mark.line : mark.line + 1] if mark else []
    if mark and line and "\t" in line[0][: mark.column + 1].lstrip(" ")[:1]:
        words, at_start = "a tab is used for indentation: use spaces", False
    if at_start and error.context_mark:
        mark = error.context_mark
    return Problem(_place(mark), "yaml", words)


def _place(mark: Mark | None) -> Place:
    return Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)


def _rule(context: str, problem: str) -> tuple[bool, str]:
    for in_context, in_problem, at_start, words in _RULES:
        if in_context in context and in_problem in problem:
            return at_start, words
    return False, f"this is not valid YAML: compare it with the example; {_QUOTES}"
