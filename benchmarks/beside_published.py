"""`soteirad replay` beside the published pipeline: the same clips, model and engine, as fast as they go."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from functools import partial

from benchmarks.clips import Clip, clips, static_clip
from benchmarks.figure import Figure, missing
from benchmarks.play import Played, decoded, published, replayed
from benchmarks.runs import Bench
from benchmarks.turns import in_turns, ratio
from tests.shared_data import DEMO

TARGET = 0.6


def measure(bench: Bench) -> list[Figure]:
    """Play clips through `soteirad replay` and through the published pipeline, with one model and engine."""
    still = _still_clip(bench)
    what = "CPU of `replay` / of the published pipeline, median over the clips"
    every, absent = clips()
    if bench.quick:
        demo = [_beside(clip, 1) for clip in every if clip.path == DEMO]
        return [*still, *demo, missing("published", what, "left out of a quick run", TARGET)]
    found = [_beside(clip, 1 if clip.busy else 2) for clip in every]
    detail = {f.key.removeprefix("published_"): round(f.value, 3) for f in found if f.value is not None}
    note = "all threads, first frame to last, 10 analysed frames a second, same model and engine"
    note += f"; not here: {', '.join(absent)}" if absent else ""
    overall = Figure("published", what, statistics.median(detail.values()), TARGET,
                     margin=None if absent else 0.15, note=note, detail=detail)  # fmt: skip
    return [*still, overall, *found]


def _still_clip(bench: Bench) -> list[Figure]:
    """Play the still scene, which both decode; tell what either costs beyond that, too, but not in a quick run."""
    clip = Clip("still scene", static_clip(), (), busy=False)
    kinds = {"ours": partial(replayed, clip), "decode only": partial(decoded, clip),
             "published": partial(published, clip)}  # fmt: skip
    if bench.quick:
        del kinds["decode only"]
    taken: dict[str, list[Played]] = in_turns(kinds, 1 if bench.quick else 2, clip.name)
    if bench.quick:
        return [_figure(clip, taken, "published_static")]
    cpu = {kind: statistics.median(played.cpu_s for played in runs) for kind, runs in taken.items()}
    floor = cpu["decode only"]
    beyond = Figure("published_static_beyond", "the same beyond decoding alone",
                    (cpu["ours"] - floor) / (cpu["published"] - floor),
                    note=f"decoding alone is {floor / cpu['published']:.2f} of what the published pipeline costs")
    return [_figure(clip, taken, "published_static"), beyond]


def _beside(clip: Clip, rounds: int) -> Figure:
    kinds = {"ours": partial(replayed, clip), "published": partial(published, clip)}
    return _figure(clip, in_turns(kinds, rounds, clip.name), f"published_{clip.key}")


def _figure(clip: Clip, taken: Mapping[str, list[Played]], key: str) -> Figure:
    ours, theirs = taken["ours"][0], taken["published"][0]
    cpu = {kind: [played.cpu_s for played in runs] for kind, runs in taken.items()}
    note = f"{ours.visits} objects reported in {ours.looks} looks; published: {theirs.visits} in {theirs.looks}"
    return Figure(key, f"{clip.name}: CPU of `replay` / of the published pipeline",
                  ratio(cpu["ours"], cpu["published"]), TARGET, margin=0.2, note=note,
                  detail={"cpu_seconds": cpu, "looks": {kind: runs[0].looks for kind, runs in taken.items()},
                          "reported": {kind: runs[0].visits for kind, runs in taken.items()}})  # fmt: skip
