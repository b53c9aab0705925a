"""The whole detector on real photographs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
from skimage import data

from soteirad.detect.card import load_card
from soteirad.detect.detection import Detections
from soteirad.detect.detector import Detector
from soteirad.errors import ModelError
from tests.shared_data import shared

pytest.importorskip("pycocotools", reason="the accuracy test needs pycocotools: install the extra `dev`")

NAME = "nanodet-g-416"


@pytest.fixture(scope="module")
def detector() -> Iterator[Detector]:
    detector = Detector.create(load_card(NAME), ["cat", "person"], min_score=0.1)
    detector.load()
    yield detector
    detector.close()


def look(detector: Detector, rgb: np.ndarray) -> Detections:
    height, width = rgb.shape[:2]
    size = detector.picture_size(width, height)
    return detector.detect(cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), size, interpolation=cv2.INTER_AREA))


def test_the_astronaut_is_a_person_above_0_6(detector: Detector) -> None:
    found = look(detector, data.astronaut())
    assert found.classes[0] == detector.card.class_index("person")
    assert found.scores[0] > 0.6
    x1, y1, x2, y2 = found.boxes[0]
    assert x1 < 0.25
    assert y1 < 0.1
    assert x2 > 0.7
    assert y2 > 0.9


def test_chelsea_is_a_cat_and_the_coffee_holds_neither_cat_nor_person(detector: Detector) -> None:
    found = look(detector, data.chelsea())
    assert found.classes[0] == detector.card.class_index("cat")
    assert found.scores[0] > 0.4
    assert not (look(detector, data.coffee()).scores > 0.4).any()


def test_detections_come_best_first_within_the_frame_and_only_of_the_wanted_labels(detector: Detector) -> None:
    found = look(detector, data.astronaut())
    assert (np.diff(found.scores) <= 0).all()
    assert (found.scores >= 0.1).all()
    assert found.boxes.min() >= 0
    assert found.boxes.max() <= 1
    assert set(found.classes.tolist()) <= {detector.card.class_index(label) for label in ("person", "cat")}


def test_an_object_keeps_its_place_when_the_frame_has_another_aspect(detector: Detector) -> None:
    """The photograph stands in the left half of a frame twice as wide."""
    square, wide = data.astronaut(), np.zeros((512, 1024, 3), np.uint8)
    wide[:, :512] = square
    alone, beside = look(detector, square).boxes[0], look(detector, wide).boxes[0]
    assert beside * [2, 1, 2, 1] == pytest.approx(alone, abs=0.06)


def test_an_unknown_label_is_refused_before_the_model_is_opened() -> None:
    with pytest.raises(ModelError, match="does not know the label 'unicorn'"):
        Detector.create(load_card(NAME), ["person", "unicorn"], min_score=0.1)


@pytest.mark.slow
def test_the_accuracy_on_128_coco_images_is_the_measured_one(record_property: Callable[[str, object], None]) -> None:
    from tests.detect.scripts import load_script

    found = load_script("eval_detector").measure(shared("coco-mini/instances.json").parent, NAME)
    record_property("coco_mini", {k: round(v, 2) for k, v in found.items()})
    expected = load_card(NAME).measured
    assert (expected["ap"], expected["ap50"], expected["person_ap50"]) == (26.9, 43.5, 61.5)
    assert found == {k: pytest.approx(expected[k], abs=0.3) for k in ("ap", "ap50", "person_ap50")}
