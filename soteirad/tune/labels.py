"""The owner's own list of who enters a clip: a line for each, with the seconds into the clip and the label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from soteirad.errors import ConfigError, SoteiraError
from soteirad.tune.match import Entry

EXAMPLE = "write the seconds and the label, such as 12.5 person"
_HEADER = ("seconds", "label")


def read_labels(path: Path, tracked: Sequence[str], seconds: float = math.inf) -> list[Entry]:
    """Read a label file for a clip of so many seconds, in the order of time.

    Lines are `12.5 person` or `12.5,person`; `1:02.5` is a minute and two and a half seconds. What follows a # is
    a remark, and a first line `seconds,label` a heading. Raises ConfigError with all lines that are wrong.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SoteiraError(f"{path}: the labels cannot be read: {error}") from None
    entries, problems = [], []
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].replace(",", " ").replace(";", " ").split(maxsplit=1)
        if not words or (number == 1 and tuple(w.strip().lower() for w in words) == _HEADER):
            continue
        try:
            entries.append(_entry(words, tracked, seconds))
        except ValueError as error:
            problems.append(f"{path}:{number}:1: {error}")
    if problems:
        raise ConfigError(problems)
    if not entries:
        raise SoteiraError(f"{path}: there is no label in this file: {EXAMPLE}")
    return sorted(entries, key=lambda e: (e.time, e.label))


def _entry(words: list[str], tracked: Sequence[str], seconds: float) -> Entry:
    time = _seconds(words[0])
    label = words[1].strip() if len(words) > 1 else ""
    if not label:
        raise ValueError(f"there is no label: {EXAMPLE}")
    if label not in tracked:
        known = ", ".join(tracked)
        raise ValueError(f"'{label}' is not looked for: the labels are {known} (objects.track, or --track)")
    if time > seconds:
        raise ValueError(f"{time:g} s is after the end of the clip, which has {seconds:.1f} s")
    return Entry(label, time)


def _seconds(text: str) -> float:
    total = 0.0
    try:
        for part in text.split(":"):
            total = total * 60 + float(part)
    except ValueError:
        total = math.nan
    if not math.isfinite(total) or total < 0:
        raise ValueError(f"{text} is no time: {EXAMPLE}")
    return total
