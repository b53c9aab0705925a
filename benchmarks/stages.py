"""What is neither decoding nor the model: the pipeline's own share, and the work around one look."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.clips import Clip, clips
from benchmarks.figure import Figure
from benchmarks.play import run, settings
from benchmarks.runs import Bench
from benchmarks.turns import tell
from tests.shared_data import DEMO

OVERHEAD, AROUND = 0.15, 0.08


def measure(bench: Bench) -> list[Figure]:
    """Measure the busiest clip that is here, and a look at a frame of 1280x720."""
    there, _ = clips()
    clip = next((c for c in there if c.name == "vtest"), there[0])
    if bench.quick:
        clip = next(c for c in there if c.path == DEMO)
    return [_overhead(clip, 1 if bench.quick else 3), *([] if bench.quick else _around())]


def _overhead(clip: Clip, rounds: int) -> Figure:
    spent = [run("benchmarks.spent", *settings(clip)) for _ in range(rounds)]
    for one in spent:
        tell(f"  {clip.name}: {one}")
    share = statistics.median(1 - (one["decode"] + one["model"]) / one["total"] for one in spent)
    note = (f"CPU of `replay` of {clip.name} with {spent[0]['looks']} looks: {_share(spent, 'decode')} decoding, "
            f"{_share(spent, 'model')} in the model, which the engine chosen here runs")  # fmt: skip
    return Figure("overhead", "CPU outside decoding and model / total, on a busy clip", share, OVERHEAD, margin=0.15,
                  note=note, detail={"seconds": spent})  # fmt: skip


def _share(spent: list[dict[str, float]], part: str) -> str:
    return f"{statistics.median(one[part] / one['total'] for one in spent):.0%}"


def _around() -> list[Figure]:
    """Take what `soteirad bench` says of each engine."""
    rows: list[dict[str, Any]] = run("soteirad", "bench", "--json", "--threads", "1")
    figures = []
    for row in rows:
        if "problem" in row or "opencv" in row["engine"]:
            continue
        key = "around_" + "".join(c if c.isalnum() else "_" for c in row["engine"].split(",")[0]).lower()
        ms = {stage: row["ms"][stage]["p50"] for stage in ("pre", "model", "post")}
        figures.append(Figure(key, f"pre- and postprocessing / model, {row['engine']}", row["overhead"], AROUND,
                              margin=0.2, note=f"{ms['pre']} + {ms['post']} against {ms['model']} ms, 1280x720",
                              detail=row))  # fmt: skip
    return figures
