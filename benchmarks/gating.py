"""What gating saves, and which entries it keeps: each clip gated, with a look at every frame, and only decoded."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import partial

from benchmarks.clips import Clip, clips, static_clip
from benchmarks.figure import Figure
from benchmarks.play import Played, decoded, replayed
from benchmarks.runs import Bench
from benchmarks.turns import in_turns
from tests.shared_data import DEMO
from tests.truth import Entry, Score, entries, score

BUSY, STILL, KEPT = 0.25, 0.05, 0.95


@dataclass(frozen=True)
class Saving:
    """What one clip cost and gave."""

    clip: Clip
    share: float
    looks: float
    score: Score

    @classmethod
    def of(cls, clip: Clip, rounds: int) -> Saving:
        """Play a clip in its three ways, in turns."""
        kinds = {"decode only": partial(decoded, clip), "gated": partial(replayed, clip),
                 "every frame": partial(replayed, clip, True)}  # fmt: skip
        taken: dict[str, list[Played]] = in_turns(kinds, rounds, clip.name)
        cpu = {kind: statistics.median(played.cpu_s for played in runs) for kind, runs in taken.items()}
        gated, every = taken["gated"][0], taken["every frame"][0]
        share = (cpu["gated"] - cpu["decode only"]) / (cpu["every frame"] - cpu["decode only"])
        found = score(entries(gated.events), [Entry.of(event) for event in entries(every.events)])
        return cls(clip, share, gated.looks / every.looks, found)

    def __str__(self) -> str:
        return f"{self.clip.name}: {self.share:.2f} with {self.looks:.0%} of the looks, {self.score}"


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
    matched, true = sum(s.score.matched for s in found), sum(s.score.true for s in found)
    reported = sum(s.score.reported for s in found)
    note = f"{matched} matched of {true}, {reported} reported, in {len(found)} clips"
    note += f"; not here: {', '.join(absent)}" if absent else ""
    detail = {s.clip.name: {"matched": s.score.matched, "true": s.score.true, "reported": s.score.reported}
              for s in found}  # fmt: skip
    return [
        Figure("entries_recall", "entries kept by gating, of those found by looking at every frame",
               matched / true if true else None, KEPT, best="high", margin=margin, note=note, detail=detail),
        Figure("entries_precision", "entries reported with gating that looking at every frame finds, too",
               matched / reported if reported else None, KEPT, best="high", margin=margin),
    ]  # fmt: skip
