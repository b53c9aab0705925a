#!/usr/bin/env python3
"""Print what gates 1 and 2 cost on this machine, and how well gate 1 finds CDnet's motorway.

    python scripts/bench_gates.py [--shared FOLDER]

SSIM is timed against the usual one made of scipy's convolve2d, the two taking turns, so that a busy machine slows
both. CDnet's highway is measured if FOLDER (default: `shared` beside the checkout, or SOTEIRA_SHARED) holds it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
from scipy.signal import convolve2d

from soteirad.capture.frame import Frame
from soteirad.gates.motion import MotionGate, MotionMap, MotionMeter
from soteirad.gates.scene import Moments, SceneGate, Sight, histogram, ssim
from soteirad.gates.structure import Structure
from soteirad.gates.view import ViewWatch
from soteirad.senses import SCENE_SIZE

ROOT = Path(__file__).resolve().parent.parent
LINES = 180


def plain_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """SSIM by five two-dimensional convolutions with an 11x11 Gaussian, in float64."""
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    a, b = a.astype(np.float64), b.astype(np.float64)

    def blur(image: np.ndarray) -> np.ndarray:
        return convolve2d(image, window, mode="valid")

    mean_a, mean_b = blur(a), blur(b)
    variance_a, variance_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    above = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float((above / ((mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2))).mean())


def ms(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def large_frames(count: int) -> list[Frame]:
    """Return frames of the demo clip at 1280x720, as a camera's decoder gives them."""
    frames = []
    with av.open(str(ROOT / "tests" / "data" / "demo.mp4")) as container:
        for index, video in enumerate(container.decode(video=0)):
            if index >= 60 and len(frames) < count:
                large = video.reformat(width=1280, height=720, format="yuv420p")
                frames.append(Frame(index, float(video.time), 0.0, 0.0, 0.0, large))
            if len(frames) == count:
                break
    return frames


def bench_ssim(frames: list[Frame], rounds: int = 15) -> None:
    a, b = (cv2.resize(f.grey(LINES), SCENE_SIZE) for f in (frames[0], frames[-1]))
    reference = Moments(a)
    ours, whole, plain = [], [], []
    for _ in range(rounds):
        ours.append(ms(lambda: reference.similarity(Moments(b))))
        plain.append(ms(lambda: plain_ssim(a, b)))
        whole.append(ms(lambda: ssim(a, b)))
    fast, both, slow = map(statistics.median, (ours, whole, plain))
    print(f"SSIM at {a.shape[1]}x{a.shape[0]}: {ssim(a, b):.6f} here, {plain_ssim(a, b):.6f} by convolve2d")
    print(f"  against a kept reference {fast:.2f} ms, of two pictures {both:.2f} ms, convolve2d {slow:.1f} ms")
    print(f"  ratio {slow / fast:.0f}x (two pictures {slow / both:.0f}x)")


def bench_gates(frames: list[Frame]) -> None:
    meter, motion, changes = MotionMeter(), MotionGate(min_blob=0.005), MotionMap()
    scene, view = SceneGate(), ViewWatch()
    times: dict[str, list[float]] = {"grey": [], "motion": [], "colour": [], "scene": [], "view": []}
    for frame in frames:
        times["grey"].append(ms(lambda f=frame: f.grey(LINES)))
        grey = frame.grey(LINES)
        times["motion"].append(ms(lambda g=grey, f=frame: changes.step(motion.step(meter.step(g)), f.time)))
        times["colour"].append(ms(lambda f=frame: f.bgr(*SCENE_SIZE)))
        bgr = frame.bgr(*SCENE_SIZE)
        times["scene"].append(ms(lambda g=grey, c=bgr, f=frame: scene.step(Sight(histogram(c), g), f.time, f.time)))
        times["view"].append(ms(lambda g=grey, f=frame: view.step(Structure.of(g), f.time)))
    print(f"a 1280x720 frame, median of {len(frames)}:")
    for stage, values in times.items():
        print(f"  {stage:<7}{statistics.median(values):6.2f} ms")


def highway(shared: Path) -> None:
    clip, folder = shared / "clips" / "cdnet-highway.avi", shared / "highway"
    if not clip.exists() or not folder.exists():
        print(f"CDnet highway: not measured, {clip.name} or {folder.name}/ is not in the shared folder")
        return
    region = cv2.imread(str(folder / "ROI.bmp"), cv2.IMREAD_GRAYSCALE) > 0
    meter, hits, false, missed = MotionMeter(), 0, 0, 0
    with av.open(str(clip)) as container:
        for index, video in enumerate(container.decode(video=0)):
            changed = meter.step(video.to_ndarray(format="gray")).mask > 0
            truth_file = folder / "groundtruth" / f"gt{index + 1:06d}.png"
            if not truth_file.exists():
                continue
            truth = cv2.imread(str(truth_file), cv2.IMREAD_GRAYSCALE)
            judged, moving = region & np.isin(truth, (0, 50, 255)), truth == 255
            hits += np.count_nonzero(changed & moving & judged)
            false += np.count_nonzero(changed & ~moving & judged)
            missed += np.count_nonzero(~changed & moving & judged)
    precision, recall = hits / (hits + false), hits / (hits + missed)
    print(f"CDnet highway at 240 lines: F-measure {2 * precision * recall / (precision + recall):.4f}, "
          f"precision {precision:.4f}, recall {recall:.4f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("SOTEIRA_SHARED") or ROOT.parent / "shared")
    parser.add_argument("--shared", type=Path, default=default)
    arguments = parser.parse_args()
    frames = large_frames(150)
    bench_ssim(frames)
    bench_gates(frames)
    highway(arguments.shared)


if __name__ == "__main__":
    main()
