"""What it costs to watch where nothing happens: the daemon beside a process that only decodes."""

from __future__ import annotations

from functools import partial

from benchmarks.clips import static_clip
from benchmarks.figure import Figure, missing
from benchmarks.runs import Bench, Usage, cameras, daemon_usage, floor_usage
from benchmarks.turns import in_turns, ratio
from tests.rtsp_server import RtspServer

HOW = "CPU of all processes over {seconds:.0f} s of the still clip in real time, {rounds} turns each"


def measure(bench: Bench) -> list[Figure]:
    """Measure a file, and the same clip over RTSP."""
    clip = static_clip()
    found = _against_floor(bench, str(clip), "idle", "a file", 1.25, 1.6)
    try:
        server = RtspServer()
    except BaseException as error:  # pytest's way to say that a program is not installed
        return [*found, missing("idle_rtsp", "idle cost over RTSP", str(error))]
    server.start(clip, loop=True)
    try:
        return [*found, *_against_floor(bench, server.url, "idle_rtsp", "RTSP", None, None)]
    finally:
        server.kill()


def _against_floor(bench: Bench, source: str, key: str, what: str, at_10: float | None,
                   at_all: float | None) -> list[Figure]:  # fmt: skip
    kinds = {
        "decode only": partial(floor_usage, bench, source),
        "fps 10": partial(daemon_usage, bench, cameras(source, fps=10)),
        "fps 0": partial(daemon_usage, bench, cameras(source, fps=0)),
    }
    taken: dict[str, list[Usage]] = in_turns(kinds, bench.rounds, what)
    cpu = {kind: [usage.cpu for usage in usages] for kind, usages in taken.items()}
    how = HOW.format(seconds=bench.window_s, rounds=bench.rounds)
    detail = {"cpu_of_a_core": {kind: [round(v, 4) for v in values] for kind, values in cpu.items()}}
    return [
        Figure(key, f"idle, {what}: daemon at `fps: 10` / decode only", ratio(cpu["fps 10"], cpu["decode only"]), at_10,
               margin=0.1, note=how, detail=detail),
        Figure(f"{key}_all", f"idle, {what}: daemon at `fps: 0` / decode only",
               ratio(cpu["fps 0"], cpu["decode only"]), at_all, margin=0.1),
    ]  # fmt: skip


