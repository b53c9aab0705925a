"""The lines of live video in the benchmark's result: how late it is, by which stage, and where its boxes lie. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.figure import Figure, missing
from benchmarks.glass_page import Shown
from benchmarks.live_camera import SIZES
from benchmarks.person_scene import BOX_FPS, FPS, PersonScene
from benchmarks.shown import (
    TURN_FRAMES,
    ages,
    box_ages,
    longest_ms,
    overlay_errors,
    overlay_lags,
    overlay_waits,
    sent_share,
    shown_share,
)
from benchmarks.turns import percentile

WHAT = "picture drawn by the camera -> shown by a browser"
TARGET_MS = 1000.0
PUBLISHED = {"capture": "30 ms", "inference": "15-75 ms", "encode": "20 ms", "transport": "100-150 ms",
             "display": "100-130 ms", "whole": "0.5-2 s for surveillance"}  # fmt: skip
MEAN = "the daemon's own mean of its looks; beside the video and not before it"


@dataclass(frozen=True)
class Arrivals:
    """How long (ms) after it was drawn each picture was decoded by the daemon's own reader, and what decoding took."""

    age: list[float]
    decode: list[float]


@dataclass(frozen=True)
class Run:
    """What one camera gave: without a browser, in the browser, and by the daemon's own count (`stage_ms`)."""

    scene: PersonScene
    arrivals: Arrivals
    shown: Shown
    stage_ms: Mapping[str, float]


def whole_figures(name: str, run: Run) -> list[Figure]:
    """Return how late the video of one size was."""
    whole, shown, bit_rate = ages(run.shown).whole, run.shown, SIZES[run.scene.size]
    said = "" if shown.states == ["Live"] else f"; the page said {', '.join(shown.states)}"
    note = (f"{len(whole)} pictures, 25 a second, H.264 at {bit_rate / 1e6:.0f} Mbit/s over RTSP (TCP, loopback), from "
            f"the system's clock in the picture to the browser's `expectedDisplayTime`; published range "
            f"{PUBLISHED['whole']}. {shown_share(shown.frames):.0%} of the camera's pictures were shown, none "
            f"stood for more than {longest_ms(shown.frames):.0f} ms, and the player stalled {shown.stalls} times; "
            f"{sent_share(shown):.2f} pieces a picture{said}")  # fmt: skip
    rates = [frame["rate"] for frame in shown.frames]
    detail = {"p99": _finite(percentile(whole, 99)), "max": _finite(max(whole)), "starts": shown.starts,
              "stalls": shown.stalls,
              "playback_rate": [min(rates), max(rates)], "unread": len(shown.frames) - len(whole)}  # fmt: skip
    return [
        Figure(f"glass_{name}_p95", f"{WHAT}, {name}, p95", percentile(whole, 95), TARGET_MS, "ms", note=note,
               detail=detail),
        Figure(f"glass_{name}_p50", f"{WHAT}, {name}, p50", percentile(whole, 50), None, "ms"),
        Figure(f"glass_{name}_opening", f"click on Live video -> first picture, {name}", shown.opening_ms, None, "ms",
               note="once; the camera sends a key frame every 2 s, and a new viewer gets all since the last one"),
    ]  # fmt: skip


def overlay_figures(name: str, run: Run) -> list[Figure]:
    """Return how well the boxes lay on what they are about."""
    errors = overlay_errors(run.shown.frames, run.scene)
    lags, waits, looks = overlay_lags(run.shown.frames, run.scene), overlay_waits(run.shown), box_ages(run.shown)
    within = sum(error <= 1.0 for error in errors) / len(errors)
    boxless = sum(math.isinf(error) for error in errors) / len(errors)
    note = (f"middle of the drawn box against the person's in the picture under it, in steps that they take in 100 ms; "
            f"{_halves(lags, 2)} behind; {boxless:.1%} of the pictures had no box. The look that a box is from was "
            f"{_halves(looks, 1)} frames before the overlay's own picture, and overlays came {_halves(waits, 0)} ms "
            f"after its piece")  # fmt: skip
    detail = {"error_frames": _spread([error for error in errors if math.isfinite(error)])}
    straight = overlay_errors(run.shown.frames, run.scene, TURN_FRAMES)
    near = sum(error <= 1.0 for error in straight) / len(straight) if straight else None
    return [
        Figure(f"overlay_{name}", f"boxes within 1 frame at {BOX_FPS} a second of who they are about, {name}", within,
               0.95, best="high", note=note, detail=detail),
        Figure(f"overlay_{name}_straight", f"the same, but for {TURN_FRAMES / FPS} s after they turned round", near,
               None, best="high", note=f"they turn on the spot every {run.scene.turn_s:.1f} s: no box foresees that"),
    ]  # fmt: skip


def capture_figures(name: str, got: Arrivals, own: Sequence[float]) -> list[Figure]:
    """Return the first stage, which needs no browser; `own` is what the camera took for drawing and encoding (ms)."""
    note = (f"published {PUBLISHED['capture']}; {name}, {len(got.age)} pictures, p95 {percentile(got.age, 95):.0f} ms, "
            f"read from the picture by the daemon's own reader. Drawing and encoding in the camera are "
            f"{percentile(own, 50):.0f} ms of it, decoding {percentile(got.decode, 50):.1f} ms")  # fmt: skip
    detail = {"camera_ms": _spread(own), "decode_ms": _spread(got.decode), "age_ms": _spread(got.age)}
    return [Figure("stage_capture", "stage: capture (drawn -> decoded in the daemon), p50", percentile(got.age, 50),
                   None, "ms", note=note, detail=detail)]  # fmt: skip


def stage_figures(run: Run) -> list[Figure]:
    """Return the stages behind capture, each beside its published figure."""
    parts, before = ages(run.shown), run.arrivals
    ahead = statistics.median(frame["ahead"] for frame in run.shown.frames) * 1000
    packet = percentile(before.age, 50) - percentile(before.decode, 50)
    return [
        _own_stage(run, "gates", ("motion", "scene"), MEAN),
        _own_stage(run, "inference", ("wait", "detect"), f"published {PUBLISHED['inference']}; {MEAN}"),
        Figure("stage_transport", "stage: remux and transport (packet -> the browser's WebSocket), p50",
               statistics.median(parts.arrival) - packet, None, "ms",
               note=f"published: encode {PUBLISHED['encode']}, transport {PUBLISHED['transport']}; camera process, "
               "pipe, hub, WebSocket on loopback; a difference of medians: drawn -> WebSocket less drawn -> packet",
               detail={"drawn_to_websocket_ms": _spread(parts.arrival)}),
        Figure("stage_display", "stage: display (WebSocket -> screen), p50", statistics.median(parts.player), None,
               "ms", note=f"published {PUBLISHED['display']}; the player's buffer, Chromium's decoder in software and "
               f"its compositor; p95 {percentile(parts.player, 95):.0f} ms; behind the "
               f"picture that is shown {ahead:.0f} ms of video lie ready", detail={"ms": _spread(parts.player)}),
    ]  # fmt: skip


def _own_stage(run: Run, name: str, keys: Sequence[str], note: str) -> Figure:
    key, what = f"stage_{name}", f"stage: {name}"
    if not any(part in run.stage_ms for part in keys):
        return missing(key, what, "no diagnostics came")
    return Figure(key, what, sum(run.stage_ms.get(part, 0.0) for part in keys), None, "ms", note=note)


def _halves(values: Sequence[float], digits: int) -> str:
    return f"p50 {percentile(values, 50):.{digits}f}, p95 {percentile(values, 95):.{digits}f}"


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    return {str(p): _finite(percentile(values, p)) for p in (50, 95, 99)}


def _finite(value: float) -> float | None:
    return round(value, 2) if math.isfinite(value) else None
