"""What live video and clips cost: packets alone, the hub and the camera process for each viewer, and the ring.

Cameras that keep clips and cameras that do not watch the same stream at the same time in one daemon, so that a busy
machine slows both; viewers take turns.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest

from benchmarks.figure import Figure, missing
from benchmarks.live_camera import LiveCamera, live_camera
from benchmarks.packets import TARGET, measure_packets
from benchmarks.processes import connected_to, private_mb, running_seconds
from benchmarks.runs import SETTLE_S, Bench, running
from benchmarks.turns import in_turns, tell
from soteirad.video.camera_video import CONFIRMED_S
from tests.brokers import free_port
from tests.daemon import Daemon
from tests.rtsp_server import RtspServer
from tests.shared_data import CHECKOUT
from tests.web.client import Page

SIZE = (1280, 720)
VIEWERS = (0, 1, 4)
EACH = 2
"""So many cameras of each kind."""
BEFORE_S = 60.0
"""The longest ring that can be set."""
VIEWER_WHAT = "CPU of each further viewer of one camera's live video"
RING_WHAT = "the ring / decoding, nothing in view that is followed"
MEMORY_WHAT = f"memory of a ring of {BEFORE_S:.0f} s"
_KEEP = {"enabled": True, "before": BEFORE_S, "after": 5, "max": 3600}
KINDS: Mapping[str, Mapping[str, Any]] = {
    "off": {"objects": {"track": ["cat"]}},
    "ring": {"objects": {"track": ["cat"]}, "clips": _KEEP},
}
"""A person is in view all the time, and these cameras follow cats: nothing is to be recorded."""


@dataclass(frozen=True)
class Cost:
    """Shares of a core that the hub and a camera process use."""

    hub: float
    camera: float

    def __str__(self) -> str:
        return f"hub {self.hub:.2%}, camera {self.camera:.2%} of a core"


def measure(bench: Bench) -> list[Figure]:
    """Measure packets, then viewers, then clips."""
    found = measure_packets(bench)
    parts: Mapping[str, tuple[Callable[[Bench, LiveCamera], list[Figure]], Sequence[str]]] = {
        "viewers": (_viewers, (VIEWER_WHAT,)), "clips": (_clips, (RING_WHAT, MEMORY_WHAT))}  # fmt: skip
    for name, (part, lines) in parts.items():
        try:
            with live_camera(bench.place(), SIZE) as camera:
                found += part(bench, camera)
        except (Exception, pytest.skip.Exception, pytest.fail.Exception) as error:
            tell(f"  {name}: {error}")
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            found += [missing(f"video_{name}_{number}", what, why) for number, what in enumerate(lines)]
    return found


def _viewers(bench: Bench, camera: LiveCamera) -> list[Figure]:
    state, port = bench.place(), free_port()
    sections = {"storage": {"path": str(state)}, "web": {"enabled": True, "listen": f"127.0.0.1:{port}"}}
    settings = {"cam1": {"source": camera.url, "fps": 10, "objects": {"track": ["cat"]}}}
    with running(bench, settings, **sections) as (daemon, _):
        page = Page(state, port)
        page.wait_ready()
        kinds = {str(count): partial(_watched, bench, camera, daemon, page, count) for count in VIEWERS}
        taken = in_turns(kinds, bench.rounds, "viewers")
    return viewer_figures(taken, camera.bit_rate())


def _watched(bench: Bench, camera: LiveCamera, daemon: Daemon, page: Page, count: int) -> Cost:
    """Return what so many viewers make the daemon use."""
    address = f"ws://127.0.0.1:{page.port}/api/cameras/cam1/live"
    hub = daemon.process.pid
    with viewers(address, page.token, count):
        time.sleep(SETTLE_S)
        cameras = connected_to(daemon.group(), urlsplit(camera.url).port or 0)
        before, began = (running_seconds([hub]), running_seconds(cameras)), time.monotonic()
        time.sleep(bench.window_s)
        after, took = (running_seconds([hub]), running_seconds(cameras)), time.monotonic() - began
    return Cost(*((late - early) / took for early, late in zip(before, after, strict=True)))


@contextmanager
def viewers(address: str, token: str, count: int) -> Iterator[None]:
    """So many viewers, all of whom have video."""
    if not count:
        yield
        return
    command = [sys.executable, "-m", "benchmarks.viewers", address, str(count)]
    process = subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)  # fmt: skip
    try:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        process.stdin.write(f"{token}\n")
        process.stdin.flush()
        if not process.stdout.readline():
            said = process.stderr.read().strip().splitlines()
            raise RuntimeError(f"the viewers got no video: {said[-1] if said else 'they ended'}")
        yield
    finally:
        process.kill()
        process.communicate()


def viewer_figures(taken: Mapping[str, Sequence[Cost]], bit_rate: float) -> list[Figure]:
    """Return what viewers cost, from costs by their number ("0", "1", "4")."""
    hub = {count: statistics.median(cost.hub for cost in costs) for count, costs in taken.items()}
    own = {count: statistics.median(cost.camera for cost in costs) for count, costs in taken.items()}
    few, many = VIEWERS[1], VIEWERS[-1]
    further = (hub[str(many)] + own[str(many)] - hub[str(few)] - own[str(few)]) / (many - few)
    spoken = ", ".join(f"{count}: {hub[count]:.2%} and {own[count]:.2%}" for count in taken)
    note = (f"of a core; hub and camera process with so many viewers: {spoken}; 1280x720, 25 pictures and "
            f"{bit_rate / 1e6:.1f} Mbit a second, medians of {len(taken['0'])} windows in turns")  # fmt: skip
    detail = {count: [vars(cost) for cost in costs] for count, costs in taken.items()}
    first = hub[str(few)] + own[str(few)] - hub["0"] - own["0"]
    return [
        Figure("viewer_further", VIEWER_WHAT, further * 100, None, "%", note=note, detail=detail),
        Figure("viewer_first", "CPU of the first viewer", first * 100, None, "%",
               note="of a core; with the pieces made and sent through the pipe"),
    ]  # fmt: skip


def _clips(bench: Bench, camera: LiveCamera) -> list[Figure]:
    """Let cameras of both kinds watch at once; each kind has an RTSP server of its own, by which it is known."""
    state = bench.place()
    with ExitStack() as stack:
        servers = {kind: RtspServer() for kind in KINDS}
        for server in servers.values():
            stack.callback(server.kill)
            server.start_live(camera.port)
        settings = {f"{kind}{n}": {"source": servers[kind].url, "fps": 2, **keys}
                    for kind, keys in KINDS.items() for n in range(EACH)}  # fmt: skip
        daemon, _ = stack.enter_context(running(bench, settings, storage={"path": str(state)}))
        floor = [stack.enter_context(_decoding(camera.url)) for _ in range(EACH)]
        time.sleep(SETTLE_S if bench.quick else BEFORE_S + SETTLE_S)
        pids = {kind: connected_to(daemon.group(), urlsplit(server.url).port or 0) for kind, server in servers.items()}
        assert all(len(found) == EACH for found in pids.values()), f"not {EACH} processes of each kind: {pids}"
        taken = [_window({**pids, "decode": floor}, bench.window_s) for _ in range(3 if bench.quick else 10)]
        mb = {kind: statistics.fmean(map(private_mb, found)) for kind, found in pids.items()}
    return clip_figures(taken, mb, camera.bit_rate())


def _window(pids: Mapping[str, Sequence[int]], seconds: float) -> dict[str, float]:
    """Return the share of a core that a process of each kind uses."""
    before, began = {kind: running_seconds(found) for kind, found in pids.items()}, time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    used = {kind: (running_seconds(found) - before[kind]) / took / len(found) for kind, found in pids.items()}
    tell("  " + ", ".join(f"{kind} {share:.2%}" for kind, share in used.items()))
    return used


@contextmanager
def _decoding(source: str) -> Iterator[int]:
    """A process that only decodes."""
    command = [sys.executable, "-m", "benchmarks.decode_only", source]
    child = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        yield child.pid
    finally:
        child.kill()
        child.communicate()


def clip_figures(taken: Sequence[Mapping[str, float]], mb: Mapping[str, float], bit_rate: float) -> list[Figure]:
    """Return what the ring costs, from shares of a core by kind in each window, and the kinds' memory."""
    median = {kind: statistics.median(window[kind] for window in taken) for kind in taken[0]}
    extra = statistics.median((window["ring"] - window["off"]) / window["decode"] for window in taken)
    note = (f"{EACH} cameras with clips less {EACH} without, on one stream of 1280x720 (25 pictures, "
            f"{bit_rate / 1e6:.1f} Mbit a second) in the same {len(taken)} windows, median; shares of a core: "
            f"{', '.join(f'{kind} {share:.2%}' for kind, share in median.items())}")  # fmt: skip
    payload = bit_rate / 8 * (BEFORE_S + CONFIRMED_S) / 1e6
    detail = {"windows": [dict(window) for window in taken]}
    return [
        Figure("clips_ring", RING_WHAT, extra, TARGET, note=note, detail=detail),
        Figure("clips_memory", MEMORY_WHAT, mb["ring"] - mb["off"], None, "MB",
               note=f"memory of its own (private), camera processes with a ring less those without; the packets in it "
               f"are {payload:.1f} MB", detail=dict(mb)),
    ]  # fmt: skip
