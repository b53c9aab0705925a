"""What the golden pictures hold, and how much of it counts as found."""

from __future__ import annotations

import numpy as np
import pytest

from soteirad.detect.detection import Detections
from soteirad.detect.golden import Answer, golden_folder, read_image, shipped_images
from soteirad.detect.truth import Truth, read_truth, share_found

NAMES = ("person", "dog", "cat")
BOXES = [[0.1, 0.1, 0.5, 0.9], [0.6, 0.2, 0.8, 0.4], [0.6, 0.6, 0.7, 0.7]]
TRUTH = {"a.png": Truth(("person", "cat", "unicorn"), np.array(BOXES, np.float32))}


def answer(*rows: tuple[list[float], float, str], image: str = "a.png") -> Answer:
    found = Detections(np.array([r[0] for r in rows], np.float32).reshape(-1, 4),
                       np.array([r[1] for r in rows], np.float32),
                       np.array([NAMES.index(r[2]) for r in rows], np.int64))  # fmt: skip
    return Answer(image, found, {})


def test_there_is_truth_for_every_picture_that_ships_as_fractions_of_it() -> None:
    truth = read_truth()
    assert sorted(truth) == shipped_images()
    for objects in truth.values():
        assert len(objects.labels) == len(objects.boxes) > 0
        assert objects.boxes.dtype == np.float32
        assert (objects.boxes >= 0).all()
        assert (objects.boxes <= 1).all()
        assert (objects.boxes[:, :2] < objects.boxes[:, 2:]).all()


def test_a_box_of_the_truth_lies_where_its_pixels_say() -> None:
    """The person in the first picture: 281, 146 to 614, 480 of 640 x 480."""
    image = read_image(golden_folder() / "golden-1.png")
    assert image.shape == (480, 640, 3)
    objects = read_truth()["golden-1.png"]
    box = objects.boxes[objects.labels.index("person")]
    assert box.tolist() == pytest.approx([281 / 640, 146 / 480, 614 / 640, 1.0])


def test_objects_of_labels_that_the_model_does_not_know_are_not_counted() -> None:
    assert share_found(NAMES, [answer((BOXES[0], 0.9, "person"), (BOXES[1], 0.9, "cat"))], TRUTH) == (2, 2)
    assert share_found(("person",), [answer((BOXES[0], 0.9, "person"))], TRUTH) == (1, 1)
    assert share_found(("horse", "goat"), [answer()], TRUTH) is None


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ((BOXES[0], 0.9, "person"), 1),
        ((BOXES[0], 0.3, "person"), 1),
        ((BOXES[0], 0.29, "person"), 0),
        ((BOXES[0], 0.9, "cat"), 0),
        (([0.1, 0.1, 0.5, 0.52], 0.9, "person"), 1),
        (([0.1, 0.1, 0.5, 0.48], 0.9, "person"), 0),
        (([float("nan")] * 4, 0.9, "person"), 0),
    ],
    ids=["there", "at the least score", "faint", "other label", "more than half", "less than half", "NaN"],
)
def test_an_object_is_found_by_a_sure_box_of_its_label_that_overlaps_by_half(
    row: tuple[list[float], float, str], found: int
) -> None:
    assert share_found(NAMES, [answer(row)], TRUTH) == (found, 2)


def test_two_boxes_on_one_object_count_once_and_none_on_none() -> None:
    assert share_found(NAMES, [answer(*[(BOXES[0], 0.9, "person")] * 2)], TRUTH) == (1, 2)
    assert share_found(NAMES, [answer()], TRUTH) == (0, 2)


def test_a_picture_without_objects_adds_nothing() -> None:
    truth = {**TRUTH, "b.png": Truth((), np.zeros((0, 4), np.float32))}
    answers = [answer((BOXES[0], 0.9, "person")), answer((BOXES[0], 0.9, "person"), image="b.png")]
    assert share_found(NAMES, answers, truth) == (1, 2)
