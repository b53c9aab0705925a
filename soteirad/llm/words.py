"""What a few words of a language model mean as yes or no, as a number, or as one of some choices: pure.

Nothing is guessed: words that could be read in two ways raise `AnswerError`. `None` means that the model cannot tell.
Models answer in English; yes and no are also known in German, French and Spanish, which a question may provoke.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from math import isinf

from soteirad.errors import SoteiraError
from soteirad.llm.lenient import as_number


class AnswerError(SoteiraError):
    """A model's answer cannot be read; `reason` says why, without a word of the answer."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


_YES = "yes|yeah|yep|true|ja|oui|s[ií]"
_NO = "no|nope|false|nein|non"
_YES_ALONE = re.compile(rf"{_YES}|y|1|correct|affirmative")
_NO_ALONE = re.compile(rf"{_NO}|n|0|incorrect|negative")
_YES_FIRST = re.compile(r"(?:yes|yeah|yep|true|ja|oui|sí)(?![\w'-])")
_NO_FIRST = re.compile(rf"(?:{_NO})(?![\w'-])[ \t]*(?:$|[^\w \t(\[<])")
"""Punctuation has to follow: "No person is there" may mean yes."""
_YES_IN = re.compile(r"(?<![\w-])(?:yes|yeah|yep|true|ja|oui|sí)(?![\w-])")
_NO_IN = re.compile(rf"(?<![\w-])(?:{_NO})(?![\w-])")

_UNSURE = (
    r"unsure|unknown|uncertain|unclear|undetermined|indeterminate|inconclusive|not (?:sure|certain|clear)|"
    r"(?:can(?:no| no|')t|could(?: not|n't)|unable to|impossible to) (?:tell|say|determine|answer|see|know)|"
    r"cannot be (?:determined|answered|seen)|(?:do not|don't) know|no idea|hard to (?:tell|say)|"
    r"unsicher|unbekannt|unklar|weiss (?:es )?nicht|ne sais pas|incertain|no (?:lo )?sé|desconocido"
)
_UNSURE_IN = re.compile(rf"(?<![\w-])(?:{_UNSURE})(?![\w-])")
_UNSURE_ALONE = re.compile(
    rf"(?:sorry,? )?(?:(?:i|ich|je|it|we) )?(?:am |is |'m |'s )?(?:{_UNSURE})"
    r"(?: (?:for sure|from this picture|this|that|it))?"
    r"|i'm (?:not sure|unsure|uncertain)|it's (?:unclear|unknown|uncertain)|null|n/a"
)
_MAYBE = re.compile("maybe|perhaps|possibly|vielleicht")
_NEGATED = re.compile(r"(?<!\w)(?:not|no|never|neither|nor|without|cannot|nicht|kein\w*|pas)(?!\w)|n't(?!\w)")

_COUNTS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
]  # fmt: skip
_SCALED = re.compile(
    rf"(?<!\w)(?:{'|'.join(_COUNTS)}|thirty|forty|fifty|sixty|seventy|eighty|ninety|(?:hundred|thousand|million|"
    r"billion|dozen|quarter|third|pair)s?|half|halves|couple|several|minus|negative|below|least|most|than|up to|not|"
    r"no|never)(?!\w)|n't(?!\w)"
)
"""Words with which a number in digits is not the number that is meant."""
_COUNTED = re.compile(
    rf"(?:(?:about|around|approximately|roughly|exactly|nearly|almost|there (?:is|are)|i (?:see|count)) )*"
    rf"({'|'.join(_COUNTS)})(?: (?!(?:or|of|and|point)\b|{'|'.join(_COUNTS[1:])}|hundred|thousand|million|"
    r"billion|dozen|quarter|third|half|couple)[^\W\d]+)?"
)
_DIGITS = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:e[-+]?[0-9]+)?")
_UNIT = re.compile(r"(?:%|°[cf]?)\Z")
_GROUPED = re.compile(r"[-+]?[0-9]{1,3}(?:(?:,[0-9]{3})+\.[0-9]+|(?:,[0-9]{3}){2,})")
"""1,234.5 and 1,234,567; what 1,234 is depends on who wrote it."""

_MARKS = " \t\r\n\"'`“”„«»*_;:!?¿¡()[]{}<>#|~$€£"
_EDGE = _MARKS + ".,…"
_PREFIX = re.compile(r"(?:(?:the|my|final|correct) )*answer(?: is)?(?!\w)[ \"'*_:=]*")


_APOSTROPHE, _MINUS, _DASH = "\u2019", "\u2212", "\u2013"


def _plain(text: str) -> str:
    """Return `text` in small letters, without quotes and marks around it and without "The answer is" before it."""
    text = text.replace(_APOSTROPHE, "'").casefold().strip(_EDGE)
    return _PREFIX.sub("", text, count=1).strip(_EDGE) if _PREFIX.match(text) else text


def is_unsure(text: str) -> bool:
    """Say whether all of `text` says only that the model cannot tell."""
    return _UNSURE_ALONE.fullmatch(" ".join(_plain(text).split())) is not None


def read_yes_no(text: str) -> bool | None:
    """Return what `text` says: a lone word, or a sentence that begins with yes or no. Raises `AnswerError`."""
    words = _plain(text)
    if is_unsure(text) or _MAYBE.fullmatch(words):
        return None
    if _YES_ALONE.fullmatch(words) or _NO_ALONE.fullmatch(words):
        return _YES_ALONE.fullmatch(words) is not None
    yes, no = _YES_FIRST.match(words) is not None, _NO_FIRST.match(words) is not None
    unsure = _UNSURE_IN.search(words) is not None
    if not yes and not no:
        if unsure:
            return None
        raise AnswerError("the model's answer begins with neither yes nor no")
    if unsure or (_NO_IN if yes else _YES_IN).search(words):
        raise AnswerError("the model's answer says yes or no, and then something else")
    return yes


def read_number(text: str) -> float | int | None:
    """Return the only number in `text`, in digits or as its first word up to twenty. Raises `AnswerError`."""
    words = " ".join(_plain(text).split())
    if is_unsure(text):
        return None
    if (counted := _COUNTED.fullmatch(words)) is not None:
        return _COUNTS.index(counted[1])
    pieces = text.casefold().split()
    places = [place for place, piece in enumerate(pieces) if any(map(str.isnumeric, piece))]
    if not places:
        if _UNSURE_IN.search(words):
            return None
        raise AnswerError("there is no number in the model's answer")
    if len(places) > 1 or _SCALED.search(words) or _UNSURE_IN.search(words):
        raise AnswerError("there is more than one number in the model's answer, or one that is not meant exactly")
    alone_sign = places[0] > 0 and pieces[places[0] - 1] in ("-", _MINUS, _DASH)
    digits = _UNIT.sub("", pieces[places[0]].lstrip(_MARKS).rstrip(_EDGE)).replace(_MINUS, "-")
    if _GROUPED.fullmatch(digits):
        digits = digits.replace(",", "")
    if alone_sign or not _DIGITS.fullmatch(digits) or isinf(number := as_number(digits)):
        raise AnswerError("the number in the model's answer cannot be read with certainty")
    return number


def read_choice(text: str, choices: Sequence[str]) -> str | None:
    """Return the one of `choices` that `text` is, or the only one that it names. Raises `AnswerError`."""
    forms: tuple[Callable[[str], str], ...] = (str.strip, _folded, lambda t: _folded(t).strip(_EDGE), _plain)
    for form in forms:
        same = [choice for choice in choices if form(text) and form(choice) == form(text)]
        if len(same) == 1:
            return same[0]
    if is_unsure(text) or _MAYBE.fullmatch(_plain(text)):
        return None
    named, rest = _named(_folded(text), choices)
    unsure = _UNSURE_IN.search(rest) is not None
    if not named and unsure:
        return None
    if len(named) != 1:
        raise AnswerError("the model's answer names " + ("more than one choice" if named else "none of the choices"))
    if unsure or _NEGATED.search(rest):
        raise AnswerError("the model's answer names a choice, but only to deny or to doubt it")
    return named.pop()


def _named(text: str, choices: Sequence[str]) -> tuple[set[str], str]:
    """Return the choices that `text` names, and what remains of it; a choice within a longer one does not count."""
    by_form: dict[str, list[str]] = {}
    for choice in choices:
        by_form.setdefault(_folded(choice), []).append(choice)
    longest_first = "|".join(re.escape(form) for form in sorted(by_form, key=len, reverse=True))
    # A word is whole where no hyphen makes it another one, nor a point another number.
    every = re.compile(rf"(?=(?<![\w-])(?<![0-9][.,])({longest_first})(?![\w-])(?![.,][0-9]))")
    named, rest, end = set[str](), list[str](), 0
    for match in every.finditer(text):
        if match.end(1) > end:
            named.update(by_form[match[1]])
            rest.append(text[end : max(end, match.start(1))])
            end = match.end(1)
    return named, " ".join([*rest, text[end:]])


def _folded(text: str) -> str:
    return " ".join(text.replace(_APOSTROPHE, "'").casefold().split())
