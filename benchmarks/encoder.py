"""What encoding a picture costs, where a stream cannot be shown as it is; and which hardware encoders open here."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

import av
import numpy as np

from benchmarks.clips import static_clip
from benchmarks.figure import Figure, missing
from benchmarks.live_camera import SIZES, encoder
from benchmarks.person_scene import FPS, PersonScene, Planes
from benchmarks.runs import Bench
from benchmarks.time_pattern import Stamp
from benchmarks.turns import in_turns, percentile

SIZE = (1280, 720)
PICTURES = 100
TARGET_MS = 20.0
THREADS = (1, 2)
HARDWARE = ("h264_vaapi", "h264_qsv", "h264_nvenc", "h264_amf", "h264_v4l2m2m", "h264_videotoolbox")
WHAT = "encoding a picture of 1280x720, libx264 ultrafast"
Taken = list[tuple[float, float]]
"""Milliseconds, wall and processor's, of each picture."""


def measure(bench: Bench) -> list[Figure]:
    """Measure libx264 with one thread and two on two kinds of pictures, and see which other encoders open."""
    count = PICTURES // 4 if bench.quick else PICTURES
    contents = {"a person who moves before a still room": person(count), "a still scene with noise": noise(count)}
    kinds: dict[str, Callable[[], _Spoken]] = {
        f"{threads}|{name}": partial(_encoded, pictures, threads)
        for name, pictures in contents.items() for threads in THREADS
    }  # fmt: skip
    taken = in_turns(kinds, bench.rounds, "encoder")
    opened = {name: error for name in HARDWARE if (error := why_not(name))}
    return figures({kind: [each for run in runs for each in run.taken] for kind, runs in taken.items()}, opened)


class _Spoken:
    """What one run took, and how it is told."""

    def __init__(self, taken: Taken) -> None:
        self.taken = taken

    def __str__(self) -> str:
        return f"{statistics.median(wall for wall, _ in self.taken):.1f} ms a picture"


def person(count: int) -> list[Planes]:
    """Return pictures of the scene that the live camera draws, planes of yuv420p."""
    scene = PersonScene(SIZE)
    return [scene.draw(Stamp(40 * number, number)) for number in range(count)]


def noise(count: int) -> list[Planes]:
    """Return pictures of the still clip, planes of yuv420p."""
    with av.open(str(static_clip())) as container:
        frames = container.decode(video=0)
        return [np.asarray(next(frames).to_ndarray(format="yuv420p"), np.uint8) for _ in range(count)]


def _encoded(pictures: Sequence[Planes], threads: int) -> _Spoken:
    context = encoder(SIZE, SIZES[SIZE], "ultrafast", threads)
    found: Taken = []
    for number, planes in enumerate(pictures):
        frame: Any = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        wall, processor = time.perf_counter(), time.process_time()
        context.encode(frame)
        found.append(((time.perf_counter() - wall) * 1000, (time.process_time() - processor) * 1000))
    return _Spoken(found[1:])  # the first one opens it


def why_not(name: str) -> str:
    """Return why an encoder cannot be used here, or "" if it can."""
    if name not in av.codecs_available:
        return "not in this FFmpeg"
    try:
        context: Any = av.CodecContext.create(name, "w")
        context.width, context.height, context.pix_fmt = *SIZE, "nv12"
        context.time_base = Fraction(1, FPS)
        context.encode(av.VideoFrame(*SIZE, "nv12"))
    except (av.FFmpegError, ValueError) as error:
        return "it does not open" if isinstance(error, av.FFmpegError) else str(error)
    return ""


def figures(taken: dict[str, Taken], closed: dict[str, str]) -> list[Figure]:
    """Return the costs, from what was taken by `threads|content`; `closed` says why an encoder did not open."""
    found = []
    for threads in THREADS:
        own = {kind.partition("|")[2]: runs for kind, runs in taken.items() if kind.startswith(f"{threads}|")}
        median = {name: percentile([wall for wall, _ in runs], 50) for name, runs in own.items()}
        parts = [f"{name} p50 {median[name]:.1f}, p95 {percentile([wall for wall, _ in runs], 95):.1f}, processor "
                 f"{percentile([own for _, own in runs], 50):.1f} ms" for name, runs in own.items()]  # fmt: skip
        note = f"zerolatency, {SIZES[SIZE] / 1e6:.0f} Mbit/s, by PyAV; the dearer of: {'; '.join(parts)}"
        what = f"{WHAT}, {threads} thread{'s' if threads > 1 else ''}, p50"
        found.append(Figure(f"encoder_{threads}", what, max(median.values()), TARGET_MS, "ms", note=note))
    open_here = [name for name in HARDWARE if name not in closed]
    said = f"open here, not measured: {', '.join(open_here)}" if open_here else "none opens here: " + "; ".join(
        f"{name}: {why}" for name, why in closed.items())  # fmt: skip
    return [*found, missing("encoder_hardware", "encoding in hardware", said)]
