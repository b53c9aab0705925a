"""What gating saves, and which entries it keeps: each clip gated, with a look at every frame, and only decoded."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from benchmarks.clips import Clip, clips, static_clip
from benchmarks.figure import Figure
from benchmarks.play import FPS, Played, decoded, followed, replayed
from benchmarks.runs import Bench
from benchmarks.turns import in_turns
from soteirad.event import Event
from tests.shared_data import DEMO
from tests.truth import Entry, Score, entries, score

BUSY, STILL, KEPT = 0.25, 0.05, 0.95
PLACE_S = 2.5 / FPS
"""An object's place is known so long before and after a frame in which it was found: two frames, whose times are not
quite even."""


@dataclass(frozen=True)
class Saving:
    """What one clip cost and gave.

    `score` compares the box at an entry with the box at the other run's entry, `along` with the place where that run
    had the object when this one reported it.
    """

    clip: Clip
    share: float
    looks: float
    score: Score
    along: Score

    @classmethod
    def of(cls, clip: Clip, rounds: int) -> Saving:
        """Play a clip in its three ways, in turns."""
        kinds = {"decode only": partial(decoded, clip), "gated": partial(replayed, clip),
                 "every frame": partial(followed, clip)}  # fmt: skip
        taken: dict[str, list[Played]] = in_turns(kinds, rounds, clip.name)
        cpu = {kind: statistics.median(played.cpu_s for played in runs) for kind, runs in taken.items()}
        gated, every = taken["gated"][0], taken["every frame"][0]
        share = (cpu["gated"] - cpu["decode only"]) / (cpu["every frame"] - cpu["decode only"])
        return cls(clip, share, gated.looks / every.looks, *kept(gated, every))

    def __str__(self) -> str:
        return f"{self.clip.name}: {self.share:.2f} with {self.looks:.0%} of the looks, {self.score}"


def kept(gated: Played, every: Played) -> tuple[Score, Score]:
    """Score a run's entries against those of a followed one: at the places of those entries, and along their paths."""
    told, found = entries(gated.events), entries(every.events)
    return score(told, [Entry.of(event) for event in found]), score(told, [_along(event, every) for event in found])


def _along(event: Event, every: Played) -> Entry:
    assert event.track_id is not None
    return replace(Entry.of(event), track=every.paths[event.track_id], known=PLACE_S)


def measure(bench: Bench) -> list[Figure]:
    """Measure all clips that are here; in a quick run the still one and the project's own."""
    still = Saving.of(Clip("still scene", static_clip(), ("person",), busy=False), 1 if bench.quick else 3)
    there, absent = clips()
    rounds = 1 if bench.quick else 2
    found = [Saving.of(clip, rounds) for clip in there if clip.path == DEMO or not bench.quick]
    return [
        Figure("gating_still", "what gating leaves of the cost beyond decoding, still scene", still.share, STILL,
               margin=0.25, note="(gated - decode) / (every frame - decode), the engine chosen here; CPU of `replay`"),
        *_busy(found),
        *_kept(found, absent, None if bench.quick else 0.05),
    ]  # fmt: skip


def _busy(found: list[Saving]) -> list[Figure]:
    busy = [saving for saving in found if saving.clip.busy]
    figures = [
        Figure(f"gating_{saving.clip.key}", f"the same, {saving.clip.name}", saving.share, BUSY, margin=0.2,
               note=f"looks at {saving.looks:.0%} of the frames; {saving.score}")
        for saving in found
    ]  # fmt: skip
    if not busy:
        return figures
    return [Figure("gating_busy", "the same, median of the busy clips",
                   statistics.median(saving.share for saving in busy), BUSY, margin=0.2), *figures]  # fmt: skip


def _kept(found: list[Saving], absent: list[str], margin: float | None) -> list[Figure]:
    """Count entries over all clips; a run with other clips is not to be compared with it."""
    away = f"; not here: {', '.join(absent)}" if absent else ""
    return [
        *_counted("entries", found, lambda saving: saving.score, margin,
                  ("entries kept by gating, of those found by looking at every frame",
                   "entries reported with gating that looking at every frame finds, too"),
                  f"box at the entry against box at the entry{away}"),
        *_counted("entries_along", found, lambda saving: saving.along, margin,
                  ("the same, kept where the other run had the object at that time",
                   "the same, reported where the other run had the object at that time"),
                  f"box at the entry against the object's path{away}"),
    ]  # fmt: skip


def _counted(key: str, found: list[Saving], score_of: Callable[[Saving], Score], margin: float | None,
             what: tuple[str, str], how: str) -> list[Figure]:  # fmt: skip
    """Return recall and precision of one reading, summed over all clips."""
    scores = {saving.clip.name: score_of(saving) for saving in found}
    matched, true = sum(s.matched for s in scores.values()), sum(s.true for s in scores.values())
    reported = sum(s.reported for s in scores.values())
    note = f"{matched} matched of {true}, {reported} reported, in {len(found)} clips; {how}"
    detail = {name: {"matched": s.matched, "true": s.true, "reported": s.reported} for name, s in scores.items()}
    return [
        Figure(f"{key}_recall", what[0], matched / true if true else None, KEPT, best="high", margin=margin, note=note,
               detail=detail),
        Figure(f"{key}_precision", what[1], matched / reported if reported else None, KEPT, best="high",
               margin=margin),
    ]  # fmt: skip
