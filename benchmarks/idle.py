"""What it costs to watch where nothing happens: the daemon beside a process that only decodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import pytest

from benchmarks.clips import static_clip
from benchmarks.figure import Figure, missing
from benchmarks.runs import Bench, Usage, cameras, daemon_usage, floor_usage
from benchmarks.turns import in_turns, ratio
from tests.rtsp_server import RtspServer

HOW = "CPU of all processes over {seconds:.0f} s of the still clip in real time, {rounds} turns each"


def measure(bench: Bench) -> list[Figure]:
    """Measure a file, and, but for a quick run, the same clip over RTSP."""
    clip = static_clip()
    found = _against_floor(bench, str(clip), "idle", "a file", {10: 1.25, 0: 1.6})
    if bench.quick:
        return found
    try:
        server = RtspServer()
    except pytest.skip.Exception as error:
        return [*found, missing("idle_rtsp", "idle cost over RTSP", str(error))]
    server.start(clip, loop=True)
    try:
        return [*found, *_against_floor(bench, server.url, "idle_rtsp", "RTSP", {10: None})]
    finally:
        server.kill()


def _against_floor(bench: Bench, source: str, key: str, what: str, rates: Mapping[int, float | None]) -> list[Figure]:
    kinds: dict[str, Callable[[], Usage]] = {"decode only": partial(floor_usage, bench, source)}
    kinds |= {f"fps {rate}": partial(daemon_usage, bench, cameras(source, fps=rate)) for rate in rates}
    taken = in_turns(kinds, bench.rounds, what)
    cpu = {kind: [usage.cpu for usage in usages] for kind, usages in taken.items()}
    how = HOW.format(seconds=bench.window_s, rounds=bench.rounds)
    detail = {
        "cpu_of_a_core": {kind: [round(v, 4) for v in values] for kind, values in cpu.items()},
        "peak_pss_mb": {kind: round(max(usage.mb for usage in usages), 1) for kind, usages in taken.items()},
    }
    return [
        Figure(key if rate else f"{key}_all", f"idle, {what}: daemon at `fps: {rate}` / decode only",
               ratio(cpu[f"fps {rate}"], cpu["decode only"]), target, margin=0.1, note=how, detail=detail)
        for rate, target in rates.items()
    ]  # fmt: skip
