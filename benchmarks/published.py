"""The published pipeline that Soteira grew from, written anew from its description: what it costs, and what it sees.

A. Jindal, "150ms on CPU: How I Built Soteira's Real-Time Video Inference Pipeline" (2025, updated 2026). Run as a
process of its own:

    python -m benchmarks.published CLIP [--track person,cat] [--min-area 0.01] [--fps 10]

It plays the clip as fast as it goes with Soteira's model and engine and prints one JSON document. It reads with OpenCV
and leaves OpenCV's threads as they are. Where the description can be read in two ways, the cheaper one is taken, and
known faults that cost nothing to avoid are avoided: frames between the analysed ones are decoded but never converted,
pictures are scaled as `cv2.resize` does by itself, SSIM uses separable filters in floating point and is left out where
the colours have decided, a spike is worth one look at its rise, and the tracker moves its boxes, gives a detection to
one track only and forgets what it missed three times.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from soteirad.assembly import choose_engine, model_card
from soteirad.capture.sampler import Sampler
from soteirad.detect.detection import Detections
from soteirad.detect.detector import Detector
from soteirad.detect.nms import areas, iou_of
from soteirad.tools.check import replay_camera

Picture = NDArray[np.uint8]

LINES, HISTORY, VAR_THRESHOLD = 360, 300, 16
RATIO = 0.02
DISTANCE, SSIM = 0.20, 0.80
FASTEST_S, GROWTH, SLOWEST_S, SAFEGUARD_S, REFERENCE_S = 0.1, 1.5, 0.5, 2.0, 30.0
STRIDE, SPIKE_THRESHOLD, SPIKE_MEAN, SPIKE_WINDOW_S = 4, 3.0, 2.0, 1.0
SCORE, TRACK_IOU, CONFIRM, FORGET = 0.4, 0.5, 2, 3
_CROSS_3 = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
_CROSS_5 = cv2.getStructuringElement(cv2.MORPH_CROSS, (5, 5))
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


class MotionGate:
    """Gate 1: MOG2, erosion, dilation, and the share of the picture that changed."""

    def __init__(self) -> None:
        self._background = cv2.createBackgroundSubtractorMOG2(HISTORY, VAR_THRESHOLD, detectShadows=False)

    def step(self, small: Picture) -> float:
        """Return the changed share of the next picture (BGR), 0-1."""
        changed = cv2.dilate(cv2.erode(self._background.apply(small), _CROSS_3), _CROSS_5)
        return cv2.countNonZero(changed) / changed.size


class SceneGate:
    """Gate 2: a picture beside a reference, by colours or else by structure; it runs by a timer of its own."""

    def __init__(self) -> None:
        self._colours: NDArray[np.float32] | None = None
        self._grey: Picture | None = None
        self._since = self._last_run = self._last_motion = float("-inf")
        self._interval = FASTEST_S
        self.runs = 0

    def step(self, small: Picture, now: float, moving: bool) -> bool:
        """Say whether the picture (BGR) at `now` (seconds) is another scene; False where it is not due."""
        self._last_motion = now if moving else self._last_motion
        if now - self._last_run < (self._interval if moving else SAFEGUARD_S) - 1e-6:
            return False
        self._last_run = now
        self.runs += 1
        colours, grey = histogram(small), cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        if self._colours is None or self._grey is None:
            self._colours, self._grey, self._since = colours, grey, now
            return False
        opened = cosine_distance(self._colours, colours) >= DISTANCE or ssim(self._grey, grey) < SSIM
        if opened or now - max(self._since, self._last_motion) >= REFERENCE_S:
            self._colours, self._grey, self._since = colours, grey, now
        self._interval = FASTEST_S if opened else min(self._interval * GROWTH, SLOWEST_S)
        return opened


class Cadence:
    """When gate 3 looks: every fourth analysed frame with motion, at once on a spike or another scene."""

    def __init__(self) -> None:
        self._ratios: deque[tuple[float, float]] = deque()
        self._was_spike = False
        self._since_look = STRIDE

    def step(self, now: float, ratio: float, scene: bool) -> bool:
        """Say whether the detector looks at this analysed frame."""
        while self._ratios and now - self._ratios[0][0] > SPIKE_WINDOW_S:
            self._ratios.popleft()
        mean = sum(r for _, r in self._ratios) / len(self._ratios) if self._ratios else 0.0
        self._ratios.append((now, ratio))
        moving = ratio >= RATIO
        spike = moving and (ratio >= SPIKE_THRESHOLD * RATIO or ratio >= SPIKE_MEAN * mean)
        rise, self._was_spike = spike and not self._was_spike, spike
        self._since_look += 1
        look = scene or rise or (moving and self._since_look >= STRIDE)
        self._since_look = 0 if look else self._since_look
        return look


@dataclass
class Track:
    """Something that was detected: `hits` in a row until it is confirmed, then `missed` in a row."""

    label: int
    box: NDArray[np.float32]
    hits: int = 1
    missed: int = 0


class Tracker:
    """Gives detections to tracks, the best overlap first."""

    def __init__(self) -> None:
        self._tracks: list[Track] = []

    def step(self, found: Detections) -> list[Track]:
        """Take a look's detections; returns the tracks that they confirm."""
        pairs = sorted(
            ((overlap, t, d) for t, track in enumerate(self._tracks) for d in range(len(found))
             if found.classes[d] == track.label and (overlap := iou_of(track.box, found.boxes[d])) >= TRACK_IOU),
            reverse=True,
        )  # fmt: skip
        given: dict[int, int] = {}
        for _, t, d in pairs:
            if t not in given and d not in given.values():
                given[t] = d
        confirmed = []
        for t, track in enumerate(self._tracks):
            if t in given:
                track.box, track.missed, track.hits = found.boxes[given[t]], 0, track.hits + 1
                confirmed += [track] if track.hits == CONFIRM else []
            else:
                track.missed += 1
        self._tracks = [t for t in self._tracks if t.missed < (FORGET if t.hits >= CONFIRM else 1)]
        self._tracks += [Track(int(found.classes[d]), found.boxes[d])
                         for d in range(len(found)) if d not in given.values()]  # fmt: skip
        return confirmed


def histogram(bgr: Picture) -> NDArray[np.float32]:
    """Return the 32x32 hue-saturation histogram of a BGR picture, shape (1024,)."""
    hsv = cv2.cvtColor(bgr, cv2.COLOR_BGR2HSV)
    return cv2.calcHist([hsv], [0, 1], None, [32, 32], [0, 180, 0, 256]).reshape(-1)


def cosine_distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return 1 - cos(a, b)."""
    return 1.0 - float(a @ b) / max(float(np.linalg.norm(a)) * float(np.linalg.norm(b)), 1e-12)


def ssim(a: Picture, b: Picture) -> float:
    """Return the mean SSIM of two grey pictures, 11x11 Gaussian of sigma 1.5, where the whole window lies inside."""
    first, second = a.astype(np.float32), b.astype(np.float32)
    mean_a, mean_b = _blur(first), _blur(second)
    variance_a, variance_b = _blur(first * first) - mean_a * mean_a, _blur(second * second) - mean_b * mean_b
    covariance = _blur(first * second) - mean_a * mean_b
    above = (2 * mean_a * mean_b + _C1) * (2 * covariance + _C2)
    below = (mean_a * mean_a + mean_b * mean_b + _C1) * (variance_a + variance_b + _C2)
    return float(np.mean(above / below))


def _blur(image: NDArray[np.float32]) -> NDArray[np.float32]:
    return cv2.GaussianBlur(image, (11, 11), 1.5)[5:-5, 5:-5]


class Eye:
    """Gate 3's detector with its filters, which takes whole frames."""

    def __init__(self, detector: Detector, min_area: float) -> None:
        self._detector = detector
        self._min_area = min_area

    def look(self, frame: Picture) -> Detections:
        """Return what counts in a frame (BGR)."""
        height, width = frame.shape[:2]
        found = self._detector.detect(np.asarray(cv2.resize(frame, self._detector.picture_size(width, height))))
        return found.select((found.scores >= SCORE) & (areas(found.boxes) >= self._min_area))


def play(clip: Path, labels: Sequence[str] | None = None, min_area: float | None = None,
         fps: float = 10.0) -> dict[str, Any]:  # fmt: skip
    """Play a clip and return what it cost (first frame to last, all threads), how far frames came, and the entries."""
    _, camera = replay_camera(clip, None, None, "max", {"track": list(labels) if labels else None,
                                                        "min_area": min_area, "fps": fps})  # fmt: skip
    card = model_card(camera)
    choice = choose_engine(camera, card)
    assert choice is not None, "the default detector runs on this machine"
    detector = Detector.create(card, camera.objects.track, SCORE, camera.objects.nms_iou, choice.engine)
    detector.load()
    eye = Eye(detector, camera.objects.min_area)
    video = cv2.VideoCapture(str(clip))
    try:
        return _play(video, eye, Sampler(fps), card.class_names)
    finally:
        video.release()
        detector.close()


def _play(video: cv2.VideoCapture, eye: Eye, sampler: Sampler, names: Sequence[str]) -> dict[str, Any]:
    motion, scene, cadence, tracker = MotionGate(), SceneGate(), Cadence(), Tracker()
    interval = 1.0 / video.get(cv2.CAP_PROP_FPS)
    entries: list[dict[str, Any]] = []
    counts = {"frames": 0, "analysed": 0, "motion": 0, "detector_runs": 0}
    cpu = time.process_time()
    while video.grab():
        now = counts["frames"] * interval
        counts["frames"] += 1
        if not sampler.wants(now):
            continue
        frame = video.retrieve()[1]
        small = _small(frame)
        ratio = motion.step(small)
        opened = scene.step(small, now, ratio >= RATIO)
        counts["analysed"] += 1
        counts["motion"] += ratio >= RATIO
        if cadence.step(now, ratio, opened):
            counts["detector_runs"] += 1
            entries += [{"label": names[track.label], "time": round(now, 3)} for track in tracker.step(eye.look(frame))]
    return {**counts, "scene_runs": scene.runs, "entries": entries, "cpu_seconds": time.process_time() - cpu}


def _small(frame: Picture) -> Picture:
    height, width = frame.shape[:2]
    if height <= LINES:
        return frame
    return np.asarray(cv2.resize(frame, (round(width * LINES / height), LINES)), np.uint8)


def main() -> None:
    """Play what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--track", type=lambda text: text.split(","))
    parser.add_argument("--min-area", type=float)
    parser.add_argument("--fps", type=float, default=10.0)
    parser.add_argument("--threads", type=int, help="OpenCV's; without it, as many as it likes")
    wanted = parser.parse_args()
    if wanted.threads is not None:
        cv2.setNumThreads(wanted.threads)
    print(json.dumps(play(wanted.clip, wanted.track, wanted.min_area, wanted.fps)))


if __name__ == "__main__":
    main()
