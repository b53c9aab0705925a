"""What processes hold: the hub, the fork server, and each further camera."""

from __future__ import annotations

import statistics
import time
from typing import Any

from benchmarks.clips import STATIC_S, static_clip
from benchmarks.figure import Figure, missing
from benchmarks.processes import private_mb, pss_mb, read_positions
from benchmarks.runs import Bench, cameras, running
from benchmarks.turns import tell
from soteirad.detect.choice import is_installed
from tests.brokers import free_port
from tests.daemon import Daemon

WATCHED_S = 12
LOOKS = 3
"""Samples of each run, a second apart."""


def measure(bench: Bench) -> list[Figure]:
    """Measure with the engine that is chosen here, and with onnxruntime."""
    few, many = (1, 3) if bench.quick else (1, 4)
    default = _memory(bench, (few, many), {})
    further, hub, fork = _parts(default, few, many)
    note = (f"PSS, (all processes at {many} cameras of 1280x720 - at {few}) / {many - few}, the engine chosen here "
            f"({default[many]['engine']}); the fork server takes {fork:.0f} MB, shared parts counted once")
    found = [
        Figure("memory_camera", "memory of each further camera", further, 90.0, "MB", note=note, detail=default),
        Figure("memory_hub", "memory of the hub", hub, 110.0, "MB",
               note=f"PSS with {many} cameras and the page; no question is asked", detail=default[many]),
        Figure("memory_fork_server", "memory of the fork server", fork, None, "MB"),
    ]  # fmt: skip
    if bench.quick:
        return found
    what = "memory of each further camera with onnxruntime"
    if not is_installed("onnx"):
        return [*found, missing("memory_camera_onnx", what, "onnxruntime is not installed")]
    onnx = _memory(bench, (few, many), {"backend": "onnx"})
    return [*found, Figure("memory_camera_onnx", what, _parts(onnx, few, many)[0], None, "MB", detail=onnx)]


def _memory(bench: Bench, counts: tuple[int, int], detector: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Return PSS (MB) by the number of cameras."""
    found = {}
    for count in counts:
        sections = {"detector": detector} if detector else {}
        with running(bench, cameras(static_clip(), count, fps=10), **sections, web=_page()) as (daemon, _):
            _wait_until_all_have_watched(daemon)
            samples = []
            for _look in range(LOOKS):
                time.sleep(1.0)
                samples.append({pid: pss_mb(pid) for pid in daemon.group()})
            alone = [private_mb(pid) for pid in read_positions(daemon.group(), static_clip())]
            names, hub = daemon.group(), daemon.process.pid
            engine = daemon.log().partition("detector ")[2].partition(": ")[2].partition(",")[0]
        each = {pid: statistics.median(s.get(pid, 0.0) for s in samples) for pid in samples[0]}
        forked = sorted(pid for pid in each if "forkserver" in names.get(pid, ""))
        found[count] = {"all": round(sum(each.values()), 1), "hub": round(each[hub], 1), "engine": engine,
                        "fork_server": round(each[forked[0]], 1) if forked else 0.0,
                        "cameras": [round(each[pid], 1) for pid in forked[1:]],
                        "cameras_private": [round(mb, 1) for mb in alone]}  # fmt: skip
        tell(f"  memory, {count} cameras: {found[count]}")
    return found


def _wait_until_all_have_watched(daemon: Daemon) -> None:
    """Wait until each camera has seen so much that it holds all that it will: on a busy machine that takes longer."""
    clip = static_clip()
    enough = clip.stat().st_size * WATCHED_S / STATIC_S
    daemon.wait_until(lambda: min(read_positions(daemon.group(), clip).values(), default=0) >= enough,
                      f"every camera has seen {WATCHED_S} s of video", 120)  # fmt: skip


def _page() -> dict[str, Any]:
    """Return the page's section, on a port of its own."""
    return {"enabled": True, "listen": f"127.0.0.1:{free_port()}"}


def _parts(found: dict[int, dict[str, Any]], few: int, many: int) -> tuple[float, float, float]:
    """Return the cost of a further camera, the hub's and the fork server's."""
    return (found[many]["all"] - found[few]["all"]) / (many - few), found[many]["hub"], found[many]["fork_server"]
