"""Entries that were reported against those that should have been: one to one, by label, time and place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from soteirad.detect.nms import iou_of
from soteirad.tune.sweep import Seen

TOLERANCE_S = 3.0
"""A report belongs to an entry that is at most this many seconds off."""
IOU = 0.3
"""... and, where the entry's place is known, whose box then overlaps the reported one by this much (IoU)."""

Box = Sequence[float]


@dataclass(frozen=True)
class Entry:
    """Something that entered at `time` (media seconds); `path` is where it was (times and boxes), empty if unknown."""

    label: str
    time: float
    path: tuple[tuple[float, Box], ...] = ()

    def box_at(self, time: float) -> Box | None:
        """Return the box at a time, linearly interpolated; the first or last one outside the path."""
        if not self.path:
            return None
        before = [p for p in self.path if p[0] <= time] or [self.path[0]]
        after = [p for p in self.path if p[0] >= time] or [self.path[-1]]
        (t0, a), (t1, b) = before[-1], after[0]
        share = 0.0 if t1 <= t0 else (time - t0) / (t1 - t0)
        x1, y1, x2, y2 = (p + share * (q - p) for p, q in zip(a, b, strict=True))
        return x1, y1, x2, y2


@dataclass(frozen=True)
class Matched:
    """How reports and entries go together: `pairs` of (report, entry), and the indices of those left over."""

    pairs: tuple[tuple[int, int], ...]
    extra: tuple[int, ...]
    missed: tuple[int, ...]


def entry_of(seen: Seen, names: Sequence[str]) -> Entry:
    """Return a reported visit as an entry."""
    return Entry(names[seen.class_index], seen.time, seen.path)


def match(reported: Sequence[Entry], entries: Sequence[Entry]) -> Matched:
    """Match as many reports and entries as possible; of several ways, one in which early reports take near entries."""
    owner = pair([_candidates(report, entries) for report in reported])
    pairs = tuple(sorted((report, entry) for entry, report in owner.items()))
    matched = {report for report, _ in pairs}
    extra = tuple(i for i in range(len(reported)) if i not in matched)
    return Matched(pairs, extra, tuple(j for j in range(len(entries)) if j not in owner))


def pair(allowed: Sequence[Sequence[int]]) -> dict[int, int]:
    """Return a largest one-to-one pairing, right -> left: `allowed` holds for each left one the right ones that fit it,
    the best first (Kuhn's algorithm)."""
    owner: dict[int, int] = {}

    def place(left: int, tried: set[int]) -> bool:
        for right in allowed[left]:
            if right not in tried:
                tried.add(right)
                if right not in owner or place(owner[right], tried):
                    owner[right] = left
                    return True
        return False

    for left in range(len(allowed)):
        place(left, set())
    return owner


def _candidates(report: Entry, entries: Sequence[Entry]) -> list[int]:
    """Return the entries that a report may belong to, the nearest in time first."""
    fitting = [j for j, entry in enumerate(entries) if _fits(report, entry)]
    return sorted(fitting, key=lambda j: abs(report.time - entries[j].time))


def _fits(report: Entry, entry: Entry) -> bool:
    if report.label != entry.label or abs(report.time - entry.time) > TOLERANCE_S:
        return False
    there, here = entry.box_at(report.time), report.box_at(report.time)
    return there is None or here is None or iou_of(here, there) >= IOU
