"""What further cameras cost, and whether eight at once on this machine miss anybody."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from benchmarks.clips import STATIC_S, static_clip
from benchmarks.figure import Figure, missing
from benchmarks.processes import read_positions
from benchmarks.runs import SETTLE_S, Bench, cameras, running, window
from benchmarks.turns import in_turns, ratio, tell
from tests.brokers import Received, Subscriber
from tests.clips import VISIT, cut
from tests.daemon import Daemon, until
from tests.rtsp_server import RtspServer

IN_TIME = 0.95
"""Share of real time below which cameras do not get the processor that they need. A file is read in pieces of 32 kB."""
CROWD = 8
VISIT_WITHIN_S = 40.0
DIAGNOSTICS_S = 45.0
"""Diagnostics come every 30 s."""


def measure(bench: Bench) -> list[Figure]:
    """Measure the cost of 1 to 16 cameras, eight visits at once, and what too many cameras do."""
    found = [_cost(bench)]
    try:
        RtspServer()
    except pytest.skip.Exception as error:
        return [*found, missing("scale_entries", f"entries found by {CROWD} cameras at once", str(error), 1.0)]
    return [*found, _visits(bench), *([] if bench.quick else [_too_many(bench, 16)])]


@dataclass(frozen=True)
class Load:
    """Processor seconds for each second of video of each camera, and the share of real time that they kept up with."""

    each: float
    pace: float

    def __str__(self) -> str:
        return f"{self.each * 100:.1f} % of a core each, at {self.pace:.2f} of real time"


def _cost(bench: Bench) -> Figure:
    counts = (1, 2, 4) if bench.quick else (1, 2, 4, 8, 16)
    kinds = {str(n): partial(_load, bench, n) for n in counts}
    taken: dict[str, list[Load]] = in_turns(kinds, 2, "cameras")
    each = {int(n): [load.each for load in loads] for n, loads in taken.items()}
    pace = {int(n): min(load.pace for load in loads) for n, loads in taken.items()}
    free = [n for n in counts if pace[n] >= IN_TIME]
    largest = max(free, default=1)
    detail = {
        "largest_in_time": largest, "cores": len(os.sched_getaffinity(0)),
        "pace": {n: round(p, 3) for n, p in pace.items()},
        "cpu_of_a_core_for_each": {n: [round(v, 4) for v in values] for n, values in each.items()},
    }  # fmt: skip
    told = ", ".join(f"{n}: {100 * statistics.median(each[n]):.1f} % ({pace[n]:.2f})" for n in counts)
    note = (f"CPU of all processes for a second of the still clip at `fps: 10`, 2 turns of {_seconds(bench):.0f} s; of "
            f"a core for each camera, and the share of real time that was kept, at {told}")  # fmt: skip
    return Figure("scale_cpu", f"CPU for each of {largest} cameras / for one alone", ratio(each[largest], each[1]), 1.1,
                  margin=0.15, note=note, detail=detail)  # fmt: skip


def _seconds(bench: Bench) -> float:
    return bench.window_s / 2 if bench.quick else bench.window_s / 3


def _load(bench: Bench, count: int) -> Load:
    """Watch a file, by how much of it was read: on a busy machine it is read more slowly, which costs less."""
    clip = static_clip()
    with running(bench, cameras(clip, count, fps=10)) as (daemon, _):
        time.sleep(SETTLE_S)
        pids, before = daemon.group(), read_positions(daemon.group(), clip)
        used = window(daemon.group, _seconds(bench))
        after = read_positions(pids, clip)
    share = sum(after[pid] - before[pid] for pid in before if pid in after) / clip.stat().st_size
    pace = share * STATIC_S / count / _seconds(bench)
    return Load(used.cpu / count / pace, pace)


def _visits(bench: Bench) -> Figure:
    """Count the entries of visitors who come to all cameras at the same time."""
    server = RtspServer()
    server.start(cut(bench.place() / "visit.mp4", VISIT))
    try:
        with _watching(bench, server.url, CROWD) as (_, subscriber):
            until(lambda: len(_entered(subscriber.messages())) >= CROWD, VISIT_WITHIN_S)
            entered = _entered(subscriber.messages())
    finally:
        server.kill()
    tell(f"  entries seen at {sorted(entered)}")
    note = f"a person enters in front of {CROWD} cameras (RTSP) at once; cameras that told it"
    return Figure("scale_entries", f"entries found by {CROWD} cameras at once / expected", len(entered) / CROWD, 1.0,
                  best="high", margin=0.0, note=note, detail={"cameras": sorted(entered)})  # fmt: skip


def _too_many(bench: Bench, count: int) -> Figure:
    """Say what becomes of frames when there are more cameras than the cores carry."""
    server = RtspServer()
    server.start(static_clip(), loop=True)
    try:
        with _watching(bench, server.url, count) as (daemon, subscriber):
            until(lambda: len(_running(subscriber.messages())) == count, DIAGNOSTICS_S)
            told = _running(subscriber.messages())
            used = window(daemon.group, 5.0)
            crashes = daemon.log().count("it starts again in")
    finally:
        server.kill()
    decoded = sum(d["decoded"] for d in told.values())
    lost = sum(d["dropped"] + d["late"] for d in told.values())
    fps = sorted(d["fps"] for d in told.values())
    detail = {"diagnostics": {n: {k: d[k] for k in ("fps", "decoded", "dropped", "late")} for n, d in told.items()},
              "cpu_of_a_core": round(used.cpu, 3), "crashes": crashes, "told": len(told)}  # fmt: skip
    note = (f"frames that gave way to newer ones or were too late, of {decoded} decoded in 30 s over RTSP; "
            f"{fps[0] if fps else 0} to {fps[-1] if fps else 0} of 10 frames a second were analysed, the processes "
            f"used {used.cpu:.2f} cores, {crashes} of them died")  # fmt: skip
    what, share = f"share of frames lost by {count} cameras", lost / decoded if decoded else None
    return Figure(f"scale_{count}_lost", what, share, note=note, detail=detail)


@contextlib.contextmanager
def _watching(bench: Bench, source: str, count: int) -> Any:
    with running(bench, cameras(source, count, fps=10)) as (daemon, broker):
        subscriber = Subscriber(broker)
        subscriber.start()
        try:
            yield _alive(daemon), subscriber
        finally:
            subscriber.stop()


def _alive(daemon: Daemon) -> Daemon:
    assert daemon.running, daemon.log()
    return daemon


def _entered(messages: Iterable[Received]) -> set[str]:
    """Return the cameras that told of a person who entered."""
    found = [m for m in messages if m.topic.endswith(("/event", "/event/late"))]
    events = [(m.topic.split("/")[1], json.loads(m.payload)) for m in found]
    return {camera for camera, event in events if (event["event_type"], event.get("label")) == ("entered", "person")}


def _running(messages: Iterable[Received]) -> dict[str, dict[str, Any]]:
    """Return the newest diagnostics of each camera that has analysed for a while."""
    told = {m.topic.split("/")[1]: json.loads(m.payload) for m in messages if m.topic.endswith("/diagnostics")}
    return {name: d for name, d in told.items() if d.get("decoded", 0) > 100}
