"""The person who slides to and fro is where their box is said to be, and the default detector finds them there."""

from __future__ import annotations

from itertools import pairwise

import av
import cv2
import numpy as np
import pytest

from benchmarks.person_scene import FPS, PersonScene
from benchmarks.time_pattern import Stamp, read_stamp
from soteirad.detect.backend import create_backend
from soteirad.detect.card import load_card
from soteirad.detect.detector import Detector
from soteirad.detect.engine import Engine

SIZE = (640, 360)


@pytest.fixture(scope="module")
def scene() -> PersonScene:
    pytest.importorskip("skimage", reason="the person's photograph is in scikit-image: pip install scikit-image")
    return PersonScene(SIZE)


@pytest.mark.parametrize("number", [0, 1, 40, 71, 72, 73, 143, 144, 1000])
def test_what_changes_between_two_pictures_lies_in_their_boxes_and_the_stamp(scene: PersonScene, number: int) -> None:
    first, second = (scene.draw(Stamp(7, n))[: SIZE[1]].astype(int) for n in (number, number + 30))
    changed = np.argwhere((first != second)[32:])
    boxes = [scene.box(n) for n in (number, number + 30)]
    x1, x2 = min(box[0] for box in boxes) * SIZE[0], max(box[2] for box in boxes) * SIZE[0]
    assert changed[:, 1].min() >= x1 - 1 and changed[:, 1].max() <= x2
    assert changed[:, 0].min() + 32 >= boxes[0][1] * SIZE[1] - 1
    assert changed[:, 1].min() <= x1 + 8 and changed[:, 1].max() >= x2 - 8


def test_the_person_stays_in_the_picture_and_moves_at_one_speed(scene: PersonScene) -> None:
    boxes = [scene.box(n) for n in range(500)]
    assert min(box[0] for box in boxes) >= 0 and max(box[2] for box in boxes) <= 1
    steps = {round(abs(after[0] - before[0]) * SIZE[0], 6) for before, after in pairwise(boxes)}
    assert steps == {6.0}
    assert scene.stride == pytest.approx(6 * FPS / 10 / SIZE[0])
    assert scene.forward(1) and not scene.forward(80) and scene.forward(150)
    assert [scene.turned(n) for n in (0, 5, 72, 80)] == [0, 5, 0, 8]


def test_a_picture_carries_its_stamp(scene: PersonScene) -> None:
    assert read_stamp(scene.draw(Stamp(123456, 9))[: SIZE[1]]) == (123456, 9)


def test_the_default_detector_finds_the_person_where_the_box_is(scene: PersonScene) -> None:
    card = load_card("nanodet-g-416")
    detector = Detector(card, create_backend(card, Engine("onnx", "fp32")), ["person"], 0.3)
    detector.load()
    for number in range(0, 144, 24):
        picture = av.VideoFrame.from_ndarray(scene.draw(Stamp(0, number)), format="yuv420p").to_ndarray(format="bgr24")
        found = detector.detect(cv2.resize(picture, detector.picture_size(*SIZE)))
        assert found.scores[0] >= 0.6
        assert found.boxes[0].tolist() == pytest.approx(scene.box(number), abs=0.03)
