"""The daemon beside Debian's `motion`: both watch one RTSP camera, one for objects and the other for changes."""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from benchmarks.clips import SIZE, STATIC_FPS, Planes, encode, made_once, static_clip
from benchmarks.figure import Figure, missing
from benchmarks.processes import cpu_by_thread, cpu_seconds, pss_mb
from benchmarks.runs import SETTLE_S, Bench, cameras, running
from benchmarks.turns import tell
from tests.daemon import until
from tests.rtsp_server import RtspServer
from tests.shared_data import DEMO, VTEST

FPS = 10
WHAT = "daemon / `motion`, both at 10 analysed frames a second"
CONNECTED_WITHIN_S = 20.0
_CONFIG = """\
daemon off
log_level 7
netcam_url {url}
netcam_params capture_rate={capture_rate}
width {width}
height {height}
framerate {fps}
picture_output off
movie_output off
webcontrol_port 0
stream_port 0
target_dir {folder}
"""
"""All else as it is by default. `motion` wants to fetch a little faster than the camera sends: at less than its rate it
falls behind it for ever (and would seem to cost a third)."""


def measure(bench: Bench) -> list[Figure]:
    """Let the daemon and `motion` watch one RTSP camera, a still scene then a busy one, at the same time.

    It is one stream, so what disturbs the machine disturbs both; neither fills a core. A quick run leaves out the
    busy scene, which is told only.
    """
    what = f"still scene over RTSP: {WHAT}"
    program = shutil.which("motion")
    if program is None:
        return [missing("motion", what, "Debian's package `motion` is not installed", 1.0)]
    try:
        server = RtspServer()
    except pytest.skip.Exception as error:
        return [missing("motion", what, str(error), 1.0)]
    found = _still(bench, server, program, what)
    if bench.quick:
        return [*found, missing("motion_busy", f"busy scene over RTSP: {WHAT}", "left out of a quick run")]
    return [*found, *_busy(bench, server, program)]


def _still(bench: Bench, server: RtspServer, program: str, what: str) -> list[Figure]:
    clip = static_clip()
    taken, log = _together(bench, server, program, clip, {"daemon": {}})
    note = (f"{_version(program)}; both watch one server at once, all processes, the same {_windows(bench)}; "
            f"of a still picture of this size `motion` compares every 92nd pixel only")  # fmt: skip
    if "Motion detected" in log:
        return [missing("motion", what, "motion saw something move in the still scene", 1.0)]
    return [Figure("motion", what, taken.ratio("daemon"), 1.0, margin=0.15, note=note, detail=taken.detail())]


def _busy(bench: Bench, server: RtspServer, program: str) -> list[Figure]:
    clip = _busy_clip()
    kinds = {"daemon": {"objects": {"track": ["person"], "filters": {"person": {"min_area": 0.001}}}},
             "gates only": {"detect": False}}  # fmt: skip
    taken, log = _together(bench, server, program, clip, kinds)
    if "Motion detected" not in log:
        return [missing("motion_busy", "busy scene", "motion saw nothing move in it")]
    note = f"{clip.stem}, {_windows(bench)}; the daemon detects persons there, `motion` says only that something moves"
    return [
        Figure("motion_busy", f"busy scene over RTSP: {WHAT}", taken.ratio("daemon"), note=note,
               detail=taken.detail()),
        Figure("motion_busy_gates", "the same, the daemon without its detector (`detect: false`)",
               taken.ratio("gates only"), margin=0.15),
    ]  # fmt: skip


@dataclass(frozen=True)
class Together:
    """CPU (of a core) in each window of all that ran at once, largest memory (PSS, MB), and `motion`'s CPU by thread.

    `motion` decodes on `nc2` and analyses on `ml1`.
    """

    cpu: Mapping[str, list[float]]
    mb: Mapping[str, float]
    threads: Mapping[str, float]

    def ratio(self, kind: str) -> float:
        """Return the median over the windows of a kind's CPU, by `motion`'s in the same window."""
        return statistics.median(a / b for a, b in zip(self.cpu[kind], self.cpu["motion"], strict=True))

    def detail(self) -> dict[str, Any]:
        """Return the numbers."""
        return {"cpu_of_a_core": {kind: [round(v, 4) for v in values] for kind, values in self.cpu.items()},
                "mb": {kind: round(value) for kind, value in self.mb.items()},
                "motion_threads_cpu_of_a_core": {name: round(v, 4) for name, v in self.threads.items()}}  # fmt: skip


def _together(bench: Bench, server: RtspServer, program: str, clip: Path,
              kinds: Mapping[str, Mapping[str, Any]]) -> tuple[Together, str]:  # fmt: skip
    """Serve a clip to `motion` and a daemon of each kind; returns what they used, and what `motion` wrote."""
    server.start(clip, loop=True)
    try:
        return _watch(bench, _motion(bench, program, server.url, clip), server.url, dict(kinds), {})
    finally:
        server.kill()


def _watch(bench: Bench, motion: Any, url: str, kinds: dict[str, Mapping[str, Any]],
           pids: dict[str, Callable[[], Iterable[int]]]) -> tuple[Together, str]:  # fmt: skip
    if kinds:
        kind, keys = kinds.popitem()
        with running(bench, cameras(url, fps=FPS, **keys)) as (daemon, _):
            return _watch(bench, motion, url, kinds, {kind: daemon.group, **pids})
    with motion as (pid, log):
        time.sleep(SETTLE_S)
        return _windows_of({**pids, "motion": lambda: [pid]}, pid, bench), log.read_text(errors="replace")


def _windows_of(pids: Mapping[str, Callable[[], Iterable[int]]], motion: int, bench: Bench) -> Together:
    cpu: dict[str, list[float]] = {kind: [] for kind in pids}
    mb = dict.fromkeys(pids, 0.0)
    threads, first = cpu_by_thread(motion), time.monotonic()
    for number in range(bench.rounds):
        began, before = time.monotonic(), {kind: cpu_seconds(of()) for kind, of in pids.items()}
        time.sleep(bench.window_s / 2)
        after, took = {kind: cpu_seconds(of()) for kind, of in pids.items()}, time.monotonic() - began
        for kind, of in pids.items():
            cpu[kind].append((after[kind] - before[kind]) / took)
            mb[kind] = max(mb[kind], sum(pss_mb(pid) for pid in of()))
        tell(f"  motion window {number + 1} of {bench.rounds}: "
             + ", ".join(f"{kind} {values[-1] * 100:.1f} %" for kind, values in cpu.items()))  # fmt: skip
    seconds = time.monotonic() - first
    used = {name: (spent - threads.get(name, 0.0)) / seconds for name, spent in cpu_by_thread(motion).items()}
    return Together(cpu, mb, used)


@contextmanager
def _motion(bench: Bench, program: str, url: str, clip: Path) -> Iterator[tuple[int, Path]]:
    """`motion` watching a camera: its pid and its log."""
    folder = bench.place()
    with av.open(str(clip)) as container:
        video = container.streams.video[0]
        size, rate = (video.width, video.height), float(video.average_rate or STATIC_FPS)
    config, path = folder / "motion.conf", folder / "motion.log"
    config.write_text(_CONFIG.format(url=url, capture_rate=round(rate * 4 / 3), width=size[0], height=size[1],
                                            fps=FPS, folder=folder))  # fmt: skip
    with path.open("wb") as log:
        child = subprocess.Popen([program, "-n", "-c", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        if not until(lambda: "connected" in path.read_text(errors="replace"), CONNECTED_WITHIN_S):
            raise RuntimeError(f"motion did not connect to the server: {path.read_text(errors='replace')[-2000:]}")
        yield child.pid, path
    finally:
        child.kill()
        child.wait()


def _busy_clip() -> Path:
    """Return OpenCV's pedestrians as H.264, made once; the demonstration where they are not."""
    if not VTEST.exists():
        return DEMO
    return made_once("vtest-720p.mp4", lambda path: encode(path, FPS, {"g": "20"}, _street()))


def _street() -> Iterator[Planes]:
    # Who comes late waits for a key picture: hence the short GOP.
    with av.open(str(VTEST)) as source:
        for frame in source.decode(video=0):
            yield np.asarray(frame.reformat(*SIZE, "yuv420p", interpolation="BICUBIC").to_ndarray(), np.uint8)


def _version(program: str) -> str:
    said = subprocess.run([program, "-h"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"motion Version ([^,\s]+)", said)
    return f"motion {found[1]}" if found else "motion of unknown version"


def _windows(bench: Bench) -> str:
    return f"{bench.rounds} windows of {bench.window_s / 2:.0f} s"
