"""Pictures of entries: each that should be found, who finds and who misses it, and each report that is none."""

from __future__ import annotations

import base64
import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from soteirad.tune.advice import Score
from soteirad.tune.charts import clock
from soteirad.tune.match import Box, Entry
from soteirad.tune.recording import Recording
from soteirad.tune.run import ClipResult

Named = Sequence[tuple[str, Score]]
"""The settings that are shown, with their names."""
BEFORE_S = 0.05
"""The picture is that of the last analysed frame up to this long after the moment."""


@dataclass
class _Extra:
    """A report that is no entry, and which of the shown settings made it."""

    entry: Entry
    names: list[str] = field(default_factory=list)


class Gallery:
    """Makes the pictures of all clips of a report, at most so many."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._left_out: dict[int, int] = {}
        self._shown: set[tuple[int, int]] = set()

    def of(self, number: int, clip: ClipResult, named: Named) -> str:
        """Return the pictures of the clip with that number: entries first, in the order of time."""
        items = []
        for index, entry in enumerate(clip.entries):
            if self._take(number):
                self._shown.add((number, index))
                items.append(_entry(number, index, entry, clip, named))
        for extra in _extras(clip, named):
            if self._take(number):
                items.append(_extra(extra, clip.recording))
        return f"<ul class=pictures>{''.join(items)}</ul>" if items else "<p>Nothing enters in this clip.</p>"

    def link(self, number: int, entry: int) -> str:
        """Return the address of an entry's picture in the page; empty if it is not shown."""
        return f"#e{number}-{entry}" if (number, entry) in self._shown else ""

    def left_out(self, number: int) -> int:
        """Return how many pictures of a clip there was no room for."""
        return self._left_out.get(number, 0)

    def _take(self, number: int) -> bool:
        if self._free > 0:
            self._free -= 1
            return True
        self._left_out[number] = self.left_out(number) + 1
        return False


def _entry(number: int, index: int, entry: Entry, clip: ClipResult, named: Named) -> str:
    marks, box = [], entry.box_at(entry.time)
    for name, score in named:
        shown = clip.shown[score.knobs]
        report = next((shown.entries[i] for i, j in shown.matched.pairs if j == index), None)
        marks.append(f"<span class=yes>✓ {name}</span>" if report else f"<span class=no>✗ {name}: missed</span>")
        if box is None and report is not None:
            box = report.box_at(report.time)
    words = f"<b>{escape(entry.label)} enters at {clock(entry.time)}</b><div class=by>{''.join(marks)}</div>"
    return f"<li id=e{number}-{index}>{_view(clip.recording, entry, box, '')}<div class=words>{words}</div></li>"


def _extra(extra: _Extra, recording: Recording) -> str:
    entry = extra.entry
    names = "".join(f"<span class=no>{name}</span>" for name in extra.names)
    what = f"<b>Not an entry: {escape(entry.label)} at {clock(entry.time)}</b>"
    words = f"{what}reported with <div class=by>{names}</div>"
    return f"<li>{_view(recording, entry, entry.box_at(entry.time), ' extra')}<div class=words>{words}</div></li>"


def _extras(clip: ClipResult, named: Named) -> list[_Extra]:
    """Return the reports that are no entry; the same one with several settings is one."""
    found: dict[Entry, _Extra] = {}
    for name, score in named:
        shown = clip.shown[score.knobs]
        for i in shown.matched.extra:
            found.setdefault(shown.entries[i], _Extra(shown.entries[i])).names.append(name)
    return sorted(found.values(), key=lambda e: (e.entry.time, e.entry.label, e.entry.path))


def _view(recording: Recording, entry: Entry, box: Box | None, kind: str) -> str:
    data = base64.b64encode(recording.picture(_ordinal(recording, entry.time))).decode()
    width, height = recording.facts.frame_size
    frame = ""
    if box is not None:
        x1, y1, x2, y2 = (round(v * 1000, 1) for v in box)
        frame = (f'<svg viewBox="0 0 1000 1000" preserveAspectRatio=none aria-hidden=true>'
                 f'<rect x={x1} y={y1} width={x2 - x1:.1f} height={y2 - y1:.1f} /></svg>')  # fmt: skip
    text = f"{escape(entry.label)} at {clock(entry.time)}"
    return (f'<span class="view{kind}"><img src="data:image/jpeg;base64,{data}" alt="{text}" width={width} '
            f'height={height} style="height:auto">{frame}</span>')  # fmt: skip


def _ordinal(recording: Recording, time: float) -> int:
    times = [recording.time(i) for i in range(len(recording.analysed))]
    return max(0, bisect.bisect_right(times, time + BEFORE_S) - 1)
