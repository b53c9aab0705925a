"""Scoring of reported entries against labels, or against another run: one to one, by label, place and time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from soteirad.detect.nms import iou_of as overlap
from soteirad.event import Event
from soteirad.tune.match import pair


@dataclass(frozen=True)
class Entry:
    """Something that enters: between `earliest` and `latest` seconds; `track` rows are seconds, x1, y1, x2, y2.

    With a `frame` (width, height) the track is continued backwards, at the speed of its first second, and clipped.
    `known` is how many seconds from the nearest row the place still counts as known; nothing fits where it is not.
    """

    label: str
    earliest: float
    latest: float
    track: tuple[tuple[float, float, float, float, float], ...]
    frame: tuple[int, int] | None = None
    known: float = math.inf

    def known_at(self, time: float) -> bool:
        """Say whether the place is known at `time`."""
        return min(abs(row[0] - time) for row in self.track) <= self.known

    def box_at(self, time: float) -> tuple[float, ...]:
        """Return the box at `time`, linearly interpolated; the first or last one outside the track."""
        first = self.track[0]
        if self.frame is not None and time < first[0]:
            later = next((r for r in self.track if r[0] >= first[0] + 1.0), self.track[-1])
            share = (time - first[0]) / max(later[0] - first[0], 1e-6)
            limits = (*self.frame, *self.frame)
            moved = (x + share * (y - x) for x, y in zip(first[1:], later[1:], strict=True))
            return tuple(min(max(0.0, v), float(most)) for v, most in zip(moved, limits, strict=True))
        before = [r for r in self.track if r[0] <= time] or [self.track[0]]
        after = [r for r in self.track if r[0] >= time] or [self.track[-1]]
        a, b = before[-1], after[0]
        share = 0.0 if b[0] == a[0] else (time - a[0]) / (b[0] - a[0])
        return tuple(x + share * (y - x) for x, y in zip(a[1:], b[1:], strict=True))

    @classmethod
    def of(cls, event: Event) -> Entry:
        """Return a reported entry as the truth for another run."""
        assert event.media_time is not None and event.box is not None and event.label is not None
        return cls(event.label, event.media_time, event.media_time, ((event.media_time, *event.box),))


@dataclass(frozen=True)
class Score:
    """How many of the reported entries match how many true ones."""

    matched: int
    reported: int
    true: int
    missed: tuple[Entry, ...]
    false: tuple[Event, ...]

    @property
    def recall(self) -> float:
        """Share of the true entries that were reported."""
        return self.matched / self.true if self.true else 1.0

    @property
    def precision(self) -> float:
        """Share of the reported entries that are true."""
        return self.matched / self.reported if self.reported else 1.0

    def __str__(self) -> str:
        return (f"{self.matched} of {self.true} entries (recall {self.recall:.2f}), "
                f"{self.reported} reported (precision {self.precision:.2f})")  # fmt: skip


def entries(events: Sequence[Event]) -> list[Event]:
    """Return the `entered` events."""
    return [e for e in events if e.event_type == "entered"]


def score(reported: Sequence[Event], truth: Sequence[Entry], seconds: float = 1.0, iou: float = 0.3) -> Score:
    """Match one to one (largest possible number): same label, IoU at least `iou`, at most `seconds` off."""
    owner = pair([[j for j, t in enumerate(truth) if _fits(e, t, seconds, iou)] for e in reported])
    missed = tuple(t for j, t in enumerate(truth) if j not in owner)
    false = tuple(e for i, e in enumerate(reported) if i not in owner.values())
    return Score(len(owner), len(reported), len(truth), missed, false)


def _fits(event: Event, entry: Entry, seconds: float, iou: float) -> bool:
    assert event.media_time is not None and event.box is not None
    if event.label != entry.label or not entry.earliest - seconds <= event.media_time <= entry.latest + seconds:
        return False
    return entry.known_at(event.media_time) and overlap(event.box, entry.box_at(event.media_time)) >= iou
