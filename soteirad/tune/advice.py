"""What settings are worth: their score over all clips, the Pareto front, and which to recommend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from soteirad.tune.bounds import Bounds, within
from soteirad.tune.knobs import Knobs

Goal = Literal["miss nothing", "balanced", "save power"]
GOALS: tuple[Goal, ...] = ("miss nothing", "balanced", "save power")

BALANCED_SHARE = 0.95
"""`balanced` finds this share of what `miss nothing` finds ..."""
SAVING_SHARE = 0.8
"""... and `save power` this."""
PROMPT_S = 0.25
"""`miss nothing` may be later, on average, than the quickest of its kind by this."""
SIMILAR = 1.1
"""Settings within this factor of the fewest looks cost the same, since another day would order them otherwise."""
FEW_ENTRIES = 10
"""With fewer, a single lucky look makes settings good: recommendations then keep closer to what is set."""


@dataclass(frozen=True)
class Score:
    """What settings come to, over all clips.

    `found` of `entries` were reported, and `extra` that are none; `delay` is how much later than in the reference, on
    average (seconds; None where nothing was found). `looks` and `scene_runs` are per minute of footage, `cpu` the
    share of one processor that they would take in real time (1 is all of it), estimated.
    """

    knobs: Knobs
    found: int
    entries: int
    extra: int
    delay: float | None
    looks: float
    scene_runs: float
    cpu: float

    @property
    def recall(self) -> float:
        """Share of the entries that were found; 1 where there are none."""
        return self.found / self.entries if self.entries else 1.0

    @property
    def missed(self) -> int:
        """How many entries were not found."""
        return self.entries - self.found


def front(scores: Sequence[Score]) -> list[Score]:
    """Return the scores that none beats in all of missed entries, extra entries and looks; fewest missed first."""
    ordered = sorted(scores, key=lambda s: (s.missed, s.extra, s.looks, s.scene_runs))
    kept: list[Score] = []
    for score in ordered:
        if not any(k.missed <= score.missed and k.extra <= score.extra and k.looks <= score.looks for k in kept):
            kept.append(score)
    return kept


def recommend(scores: Sequence[Score], present: Score, bounds: Bounds) -> dict[Goal, Score]:
    """Return the settings for each goal; one of the scores at least must be within `bounds.nothing`.

    * miss nothing: of those within its bounds, finds most; of those, the fewest extra; of those, at most `PROMPT_S`
      later than the quickest; of those, the fewest changed keys, since nothing says that other changes would do no
      harm; then the fewest looks.
    * balanced: the fewest looks that find `BALANCED_SHARE` of that, and as many extra entries as `miss nothing` or the
      present settings at most, within its bounds.
    * save power: the same with `SAVING_SHARE`.

    The latter two are in no key more careful than `miss nothing`: a gate that lets more through saves nothing, unless
    by chance. Only counts decide, never measured times, so that the same clips give the same answer on any machine.
    """
    few = present.entries < FEW_ENTRIES
    careful = bounds.wary if few else bounds.wariest
    sure = [s for s in scores if within(s.knobs, bounds.nothing) and within(careful, s.knobs)]
    most = max(s.found for s in sure)
    sure = [s for s in sure if s.found == most]
    fewest = min(s.extra for s in sure)
    clean = [s for s in sure if s.extra == fewest]
    quickest = min(s.delay or 0.0 for s in clean)
    prompt = [s for s in clean if (s.delay or 0.0) <= quickest + PROMPT_S]
    nothing = min(prompt, key=lambda s: (len(s.knobs.changes(present.knobs)), s.looks, s.scene_runs))
    extra = max(nothing.extra, present.extra)

    def frugal(share: float, limit: Knobs) -> Score:
        return _cheapest([s for s in scores if s.found >= share * most and s.extra <= extra
                          and within(s.knobs, limit) and within(nothing.knobs, s.knobs)], present)  # fmt: skip

    saving = bounds.balanced if few else bounds.saving
    return {"miss nothing": nothing, "balanced": frugal(BALANCED_SHARE, bounds.balanced),
            "save power": frugal(SAVING_SHARE, saving)}  # fmt: skip


def _cheapest(scores: Sequence[Score], present: Score) -> Score:
    """Return, of those that cost as little as any: the best, then the one with fewest changes, then the nearest."""
    limit = min(s.looks for s in scores) * SIMILAR
    alike = [s for s in scores if s.looks <= limit]
    return min(alike, key=lambda s: (-s.found, s.extra, len(s.knobs.changes(present.knobs)),
                                     round(s.knobs.distance(present.knobs), 6), s.looks, s.scene_runs))  # fmt: skip
