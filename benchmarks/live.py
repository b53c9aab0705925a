"""From capture to an MQTT subscriber, stage by stage, with a live camera; and whether gate 3 holds up the others."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from benchmarks.figure import Figure, missing
from benchmarks.runs import Bench, cameras, running
from benchmarks.stream import FPS, Schedule, number_of, schedule, visits_stream
from benchmarks.turns import percentile, tell
from tests.brokers import Subscriber
from tests.daemon import epoch
from tests.shared_data import CHECKOUT

EVENT_WHAT = "frame sent by the camera -> event at a subscriber"
GATE3_WHAT = "frame received -> gate 3's result"
JITTER_WHAT = "time between two analysed frames while gate 3 looks"
PUBLISHED = "published: capture 5, gate 1 5, gate 2 3, gate 3 8-15 ms"
STAGES = ("decode", "motion", "scene", "wait", "detect")


@dataclass(frozen=True)
class Told:
    """An event at the subscriber. All times are monotonic seconds.

    `sent` is when the server handed out the frame that the event speaks of, `captured` what the daemon takes for that,
    `received` when the subscriber had the event; `latency` is the event's own `latency_ms`.
    """

    sent: float
    captured: float
    received: float
    latency: Mapping[str, float]

    @property
    def ms(self) -> dict[str, float]:
        """How long each part of its way took: to the daemon's reader, through the gates, and on to the subscriber."""
        arrival, total = (self.captured - self.sent) * 1000, self.latency["total"]
        whole = (self.received - self.sent) * 1000
        return {"whole": whole, "to the reader": arrival, "gates": total, "to the subscriber": whole - arrival - total}


def measure(bench: Bench) -> list[Figure]:
    """Measure events and looks of the daemon, then the gate thread of a camera process."""
    wanted, deadline = (4, 45.0) if bench.quick else (20, 190.0)
    place = bench.place()
    try:
        with visits_stream(place) as (server, began):
            told, diagnostics = _watch(bench, server.url, began, wanted, deadline)
            analysed = _analysed(server.url, 12.0 if bench.quick else 60.0)
    except pytest.skip.Exception as error:
        return [missing("capture_to_subscriber", EVENT_WHAT, str(error), 80),
                missing("capture_to_subscriber_p95", EVENT_WHAT, str(error), 150),
                missing("capture_to_gate3", GATE3_WHAT, str(error), 75),
                missing("jitter", JITTER_WHAT, str(error), 1.5)]  # fmt: skip
    return [*_to_subscriber(told), _to_gate3(told, diagnostics), _jitter(analysed)]


def _watch(bench: Bench, url: str, began: Path, wanted: int, seconds: float) -> tuple[list[Told], dict[str, Any]]:
    """Let the daemon watch until so many have entered; return these events and the last diagnostics."""
    state = bench.place()
    settings = {"objects": {"track": ["person"]}, "storage": {"path": str(state)}}
    with running(bench, cameras(url, fps=FPS), **settings) as (_, broker):
        subscriber = Subscriber(broker, "soteira/cam1/+")
        subscriber.start()
        until = time.monotonic() + seconds
        entered: list[tuple[dict[str, Any], float]] = []
        diagnostics: list[dict[str, Any]] = []
        while (len(entered) < wanted or not diagnostics) and time.monotonic() < until:
            time.sleep(1.0)
            messages = subscriber.messages()
            events = [(json.loads(m.payload), m.time) for m in messages if m.topic == "soteira/cam1/event"]
            entered = [(event, at) for event, at in events if event["event_type"] == "entered"]
            all_diagnostics = (json.loads(m.payload) for m in messages if m.topic == "soteira/cam1/diagnostics")
            diagnostics = [d for d in all_diagnostics if d["latency_ms"]]  # they come every 30 s
        time.sleep(1.0)  # the last one's picture
        subscriber.stop()
    return _told(entered, state, schedule(began)), diagnostics[-1]


def _told(entered: Sequence[tuple[dict[str, Any], float]], state: Path, when: Schedule) -> list[Told]:
    wall = time.time() - time.monotonic()
    found = []
    for event, at in entered:
        picture = next(state.rglob(Path(event["snapshot"]).name))
        sent = when.sent(number_of(picture.read_bytes()), at)
        found.append(Told(sent, epoch(event["time"]) - wall, at, event["latency_ms"]))
        tell(f"  entered: {json.dumps({k: round(v, 1) for k, v in found[-1].ms.items()})}")
    return found


def _to_subscriber(told: Sequence[Told]) -> list[Figure]:
    whole = [event.ms["whole"] for event in told]
    parts = {part: round(statistics.median(event.ms[part] for event in told), 1) for part in told[0].ms}
    stages = {stage: round(statistics.median(event.latency.get(stage, 0.0) for event in told), 1) for stage in STAGES}
    note = (f"{len(told)} entries at 1280x720, {FPS} fps, RTSP over TCP on loopback, the frame known by the number in "
            f"the event's snapshot. Medians: {_spoken(parts)}; of the gates: {_spoken(stages)}")  # fmt: skip
    detail = {"ms": [{k: round(v, 1) for k, v in event.ms.items()} for event in told], "stages": stages}
    return [
        Figure("capture_to_subscriber", f"{EVENT_WHAT}, p50", statistics.median(whole), 80, "ms", note=note,
               detail=detail),
        Figure("capture_to_subscriber_p95", f"{EVENT_WHAT}, p95", percentile(whole, 95), 150, "ms"),
    ]  # fmt: skip


def _to_gate3(told: Sequence[Told], diagnostics: Mapping[str, Any]) -> Figure:
    """All looks of the run (the last 500), by the daemon's own count; the way to the reader is not in it."""
    means, looks = diagnostics["stage_ms"], diagnostics["detector_runs"]
    way = statistics.median(event.ms["to the reader"] for event in told)
    note = (f"the daemon's own count over {looks} looks, p50 {diagnostics['latency_ms']['p50']:.0f} ms; before it "
            f"{way:.0f} ms to the reader. Means: {_spoken(means)}; {PUBLISHED}. Detector: "
            f"{diagnostics['detector']['backend']} {diagnostics['detector']['precision']}")  # fmt: skip
    detail = {"latency_ms": diagnostics["latency_ms"], "stage_ms": means, "detector": diagnostics["detector"]}
    return Figure("capture_to_gate3", f"{GATE3_WHAT}, p95", diagnostics["latency_ms"]["p95"], 75, "ms", note=note,
                  detail=detail)  # fmt: skip


def _spoken(ms: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.0f}" for name, value in ms.items()) + " ms"


def _analysed(url: str, seconds: float) -> dict[str, Any]:
    """Run a camera process that looks at every frame, and return when it did what."""
    command = [sys.executable, "-m", "benchmarks.analysed", url, str(seconds)]
    done = subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def intervals(times: Sequence[float]) -> list[float]:
    """Return the steps between times, in frame times."""
    return [(after - before) * FPS for before, after in pairwise(times)]


def _jitter(taken: Mapping[str, Any]) -> Figure:
    analysed, received = (intervals(taken[what]) for what in ("analysed", "received"))
    busy = sum(end - begin for begin, end in taken["looks"]) / (taken["analysed"][-1] - taken["analysed"][0])
    behind = [(done - came) * 1000 for came, done in zip(taken["received"], taken["analysed"], strict=True)]
    note = (f"{len(analysed)} intervals of a camera process that looks at every frame it can, gate 3 busy {busy:.0%} "
            f"of the time; longest {max(analysed):.2f}. The reader had them with p99 {percentile(received, 99):.2f}, "
            f"longest {max(received):.2f}, and from there to the end of gate 2 it took p50 "
            f"{statistics.median(behind):.0f}, p99 {percentile(behind, 99):.0f} ms")  # fmt: skip
    detail = {share: round(percentile(analysed, share), 3) for share in (50, 95, 99)}
    return Figure("jitter", f"{JITTER_WHAT}, p99, in frame times", percentile(analysed, 99), 1.5, note=note,
                  detail={"frame_times": detail, "busy": round(busy, 3), "dropped": taken["dropped"]})  # fmt: skip
