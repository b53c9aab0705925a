"""The published pipeline that is measured beside ours: it is what its description says, and works."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import beside_motion
from benchmarks.published import SceneGate, Tracker, play, ssim
from benchmarks.runs import Bench
from soteirad.detect.detection import Detections
from soteirad.gates import scene


def detections(*boxes: tuple[float, float, float, float]) -> Detections:
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.full(len(boxes), 0.9, np.float32),
                      np.zeros(len(boxes), np.int64))  # fmt: skip


def test_its_similarity_is_the_same_number_as_ours() -> None:
    rng = np.random.default_rng(3)
    one = cv2.GaussianBlur(rng.integers(0, 256, (90, 160), np.uint8), (9, 9), 0)
    for noise in (0, 5, 60):
        other = np.clip(one + rng.normal(0, noise, one.shape), 0, 255).astype(np.uint8)
        assert ssim(one, other) == pytest.approx(scene.ssim(one, other), abs=1e-3)


def test_its_scene_gate_waits_two_seconds_without_motion_and_ever_longer_with_it_up_to_half_a_second() -> None:
    gate, picture = SceneGate(), np.zeros((36, 64, 3), np.uint8)
    runs = []
    for index in range(60):
        before = gate.runs
        gate.step(picture, index / 10, moving=index >= 30)
        runs += [index] if gate.runs > before else []
    assert runs == [0, 20, 30, 33, 37, 42, 47, 52, 57]


def test_its_tracker_confirms_at_the_second_hit_in_a_row_and_follows_what_moves() -> None:
    tracker = Tracker()
    assert tracker.step(detections((0.0, 0, 0.2, 1))) == []
    assert tracker.step(detections()) == []
    assert tracker.step(detections((0.0, 0, 0.2, 1))) == []
    assert len(tracker.step(detections((0.05, 0, 0.25, 1)))) == 1
    later = [tracker.step(detections((0.05 + 0.05 * step, 0, 0.25 + 0.05 * step, 1))) for step in range(1, 6)]
    assert later == [[]] * 5


def test_its_tracker_gives_a_detection_to_one_track_only() -> None:
    tracker = Tracker()
    tracker.step(detections((0.0, 0, 0.20, 1), (0.02, 0, 0.22, 1)))
    assert len(tracker.step(detections((0.02, 0, 0.22, 1)))) == 1


def test_it_finds_the_person_of_a_visit(visit_clip: Path) -> None:
    told = play(visit_clip, ["person", "cat"])
    assert [entry["label"] for entry in told["entries"]] == ["person"]
    assert told["frames"] == told["analysed"] == 180
    assert 0 < told["detector_runs"] < told["motion"]


def test_motion_that_is_not_installed_is_told_as_a_figure_without_a_value(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    (figure,) = beside_motion.measure(Bench(tmp_path))
    assert (figure.key, figure.value, figure.target) == ("motion", None, 1.0)
    assert "not installed" in figure.note
