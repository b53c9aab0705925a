"""Live video from the camera's picture to the browser's screen: how late it is, by which part, and where its boxes lie.

A camera draws its pictures live and writes the time into them (`live_camera`); the real daemon watches it over RTSP,
and a headless Chromium plays its video on the real page. All clocks are one machine's. A sensor's exposure and a
screen's own delay are not in it.
"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest

from benchmarks.figure import Figure, missing
from benchmarks.glass_figures import (
    TARGET_MS,
    WHAT,
    Arrivals,
    Run,
    capture_figures,
    overlay_figures,
    stage_figures,
    whole_figures,
)
from benchmarks.glass_page import Shown, watch
from benchmarks.live_camera import SIZES, LiveCamera, live_camera
from benchmarks.person_scene import BOX_FPS
from benchmarks.runs import Bench, cameras, running
from benchmarks.time_pattern import age_ms, read_stamp
from benchmarks.turns import tell
from soteirad.capture.source import open_source
from tests.brokers import Subscriber, free_port
from tests.web.browser import chromium
from tests.web.client import Page

MAIN = (1280, 720)
WARM_UP_S = 5.0
DIAGNOSTICS_S = 45.0


def measure(bench: Bench) -> list[Figure]:
    """Measure each size of picture, the stages of 1280x720."""
    found: list[Figure] = []
    for size in [MAIN] if bench.quick else sorted(SIZES, reverse=True):
        name = "{}x{}".format(*size)
        try:
            with live_camera(bench.place(), size) as camera:
                got = arrivals(camera.url, 5.0 if bench.quick else 20.0)
                found += capture_figures(name, got, camera.encoding_ms()) if size == MAIN else []
                shown, stages = _play(bench, camera, 15.0 if bench.quick else 60.0)
        except (Exception, pytest.skip.Exception, pytest.fail.Exception) as error:
            tell(f"  {name}: {error}")
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            found.append(missing(f"glass_{name}", f"{WHAT}, {name}", why, TARGET_MS))
            continue
        run = Run(camera.scene, got, shown, stages)
        found += [*whole_figures(name, run), *overlay_figures(name, run)]
        found += stage_figures(run) if size == MAIN else []
    return found


def arrivals(url: str, seconds: float) -> Arrivals:
    """Read a live camera as the daemon does, and return how old its pictures were by then."""
    source, found = open_source(url), Arrivals([], [])
    source.open()
    try:
        settled = time.monotonic() + 3.0
        while (now := time.monotonic()) < settled + seconds:
            frame = source.read()
            arrived = time.time() * 1000
            plane = frame.video.planes[0]
            luma = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            stamp = read_stamp(luma[: frame.video.height, : frame.video.width])
            if stamp is not None and now >= settled:
                found.age.append(age_ms(arrived, stamp.ms))
                found.decode.append(frame.decode_ms)
    finally:
        source.close()
    return found


def _play(bench: Bench, camera: LiveCamera, seconds: float) -> tuple[Shown, dict[str, float]]:
    """Let the daemon watch and a browser play; return what was shown, and the daemon's means for a look."""
    state, port = bench.place(), free_port()
    settings = {"objects": {"track": ["person"]}, "storage": {"path": str(state)},
                "web": {"enabled": True, "listen": f"127.0.0.1:{port}"}}  # fmt: skip
    with running(bench, cameras(camera.url, fps=BOX_FPS), **settings) as (_, broker), chromium() as browser:
        subscriber = Subscriber(broker, "soteira/cam1/diagnostics")
        subscriber.start()
        api = Page(state, port)
        api.wait_ready()

        def prepare(page: Any) -> None:
            page.goto(f"http://127.0.0.1:{port}/#token={api.token}")

        shown = watch(browser, prepare, "article[data-camera=cam1]", WARM_UP_S, seconds)
        until = time.monotonic() + DIAGNOSTICS_S
        stages: dict[str, float] = {}
        while not stages and time.monotonic() < until:
            time.sleep(0.5)
            told = [json.loads(message.payload) for message in subscriber.messages()]
            stages = next((dict(d["stage_ms"]) for d in reversed(told) if d["latency_ms"]), {})
        subscriber.stop()
    return shown, stages
