"""The whole detector on real photographs and on outputs that no sound model gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from skimage import data

from soteirad.detect.card import ModelCard, load_card
from soteirad.detect.detection import Detections
from soteirad.detect.detector import Detector
from soteirad.detect.engine import Engine
from soteirad.detect.golden import golden_folder, read_image
from soteirad.detect.preprocess import scale_picture
from soteirad.detect.truth import IOU, read_truth
from soteirad.errors import ModelError
from tests.detect.small import GivenBackend, make_card
from tests.detect.test_nms import plain_iou
from tests.shared_data import shared

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


@pytest.mark.parametrize("image", ["golden-1.png", "golden-2.png"])
def test_the_person_and_the_cat_of_the_golden_pictures_are_found_where_they_are(
    detector: Detector, image: str
) -> None:
    found = detector.detect(scale_picture(read_image(golden_folder() / image), detector.card.input))
    truth, seen = read_truth()[image], 0
    names = [detector.card.class_names[c] for c in found.classes]
    for label, box in zip(truth.labels, truth.boxes.tolist(), strict=True):
        if label in ("person", "cat"):
            overlaps = [plain_iou(box, b) for b, n in zip(found.boxes.tolist(), names, strict=True) if n == label]
            assert max(overlaps, default=0.0) >= IOU, (label, box)
            seen += 1
    assert seen >= 1


def test_a_picture_without_anything_gives_no_detections_of_the_right_shape(detector: Detector) -> None:
    found = detector.detect(np.zeros((234, 416, 3), np.uint8))
    assert (found.boxes.shape, found.scores.shape, found.classes.shape) == ((0, 4), (0,), (0,))


def test_an_unknown_label_is_refused_before_the_model_is_opened() -> None:
    with pytest.raises(ModelError, match="does not know the label 'unicorn'"):
        Detector.create(load_card(NAME), ["person", "unicorn"], min_score=0.1)


def test_a_detector_that_is_not_loaded_or_was_closed_says_so() -> None:
    detector, picture = Detector.create(load_card(NAME), ["person"], min_score=0.1), np.zeros((416, 416, 3), np.uint8)
    with pytest.raises(ModelError, match=f"{NAME}: the model is not loaded"):
        detector.detect(picture)
    detector.load()
    detector.detect(picture)
    detector.close()
    with pytest.raises(ModelError, match=f"{NAME}: the model is not loaded"):
        detector.detect(picture)


def test_the_detections_do_not_hang_on_the_number_of_threads(detector: Detector) -> None:
    other = Detector.create(load_card(NAME), ["cat", "person"], min_score=0.1, engine=Engine("onnx", "fp32", threads=2))
    other.load()
    one, two = look(detector, data.astronaut()), look(other, data.astronaut())
    assert np.array_equal(one.classes, two.classes)
    assert two.boxes == pytest.approx(one.boxes, abs=1e-4)
    other.close()


# Outputs that are given


def given(folder: Path, head: dict[str, Any], outputs: dict[str, np.ndarray], labels: tuple[str, ...] | None = None,
          **options: Any) -> Detections:  # fmt: skip
    card: ModelCard = make_card(folder, head)
    detector = Detector(card, GivenBackend(outputs), labels or card.class_names, 0.3, **options)
    detector.load()
    return detector.detect(np.zeros((32, 64, 3), np.uint8))


def rows_v8(*rows: list[float]) -> dict[str, np.ndarray]:
    return {"o": np.array([rows], np.float32)}


def test_boxes_that_are_not_finite_are_none_and_the_others_stay(tmp_path: Path) -> None:
    nan, inf = float("nan"), float("inf")
    found = given(tmp_path, {"type": "yolov8"}, rows_v8(
        [nan, 8, 4, 4, 0.9, 0, 0], [8, inf, 4, 4, 0.8, 0, 0], [8, 8, nan, 4, 0.7, 0, 0], [8, 8, 4, inf, 0.7, 0, 0],
        [8, 8, 4, 4, nan, 0.6, 0], [8, 16, 8, 8, 0, 0, nan],
    ))  # fmt: skip
    assert found.classes.tolist() == [1]
    assert found.boxes.tolist() == [pytest.approx([6 / 64, 6 / 32, 10 / 64, 10 / 32])]


@pytest.mark.parametrize("head", ["yolov8", "end2end", "detr"])
def test_outputs_of_nan_alone_give_no_detections(tmp_path: Path, head: str) -> None:
    columns = {"yolov8": 7, "end2end": 6, "detr": 4}[head]
    outputs = {"o": np.full((1, 50, columns), np.nan, np.float32)}
    if head == "detr":
        outputs |= {"labels": np.zeros((1, 50), np.int64), "scores": np.full((1, 50), 0.9, np.float32)}
    assert len(given(tmp_path, {"type": head}, outputs)) == 0


def queries() -> dict[str, np.ndarray]:
    """One box under two labels, and another box."""
    box, other = [8, 8, 24, 24], [8, 8, 24, 28]
    return {
        "labels": np.array([[0, 2, 1, 0]], np.int64),
        "boxes": np.array([[box, box, other, other]], np.float32),
        "scores": np.array([[0.5, 0.9, 0.6, 0.2]], np.float32),
    }


def test_a_box_under_several_labels_keeps_its_best_one(tmp_path: Path) -> None:
    found = given(tmp_path, {"type": "detr"}, queries())
    assert found.classes.tolist() == [2, 1]
    assert found.scores.tolist() == pytest.approx([0.9, 0.6])


def test_every_label_of_a_box_is_kept_when_that_is_asked_for(tmp_path: Path) -> None:
    found = given(tmp_path, {"type": "detr"}, queries(), every_label=True)
    assert found.classes.tolist() == [2, 1, 0]
    assert found.scores.tolist() == pytest.approx([0.9, 0.6, 0.5])


def test_the_best_label_is_the_best_of_those_that_are_wanted(tmp_path: Path) -> None:
    found = given(tmp_path, {"type": "detr"}, queries(), labels=("label1", "label0"))
    assert found.classes.tolist() == [1, 0]


def test_boxes_of_models_without_nms_stay_though_they_overlap(tmp_path: Path) -> None:
    rows = {"o": np.array([[[8, 8, 24, 24, 0.5, 1], [8, 8, 24, 24, 0.9, 1]]], np.float32)}
    assert given(tmp_path, {"type": "end2end"}, rows).scores.tolist() == pytest.approx([0.9, 0.5])


def test_boxes_of_models_with_nms_overlap_by_no_more_than_asked(tmp_path: Path) -> None:
    outputs = rows_v8([16, 16, 16, 16, 0.9, 0, 0], [18, 16, 16, 16, 0.8, 0, 0], [18, 16, 16, 16, 0, 0.7, 0])
    assert given(tmp_path, {"type": "yolov8"}, outputs, nms_iou=0.7).classes.tolist() == [0, 1]
    assert given(tmp_path, {"type": "yolov8"}, outputs, nms_iou=0.9).classes.tolist() == [0, 0, 1]


def test_no_more_than_a_hundred_detections_come_whatever_the_head(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    boxes, scores = rng.uniform(0, 64, (1, 500, 4)), rng.uniform(0.4, 1, (1, 500))
    ends = np.concatenate([boxes, scores[:, :, None], np.zeros((1, 500, 1))], axis=2).astype(np.float32)
    detr = {"labels": np.zeros((1, 500), np.int64), "boxes": boxes, "scores": scores}
    sizes, others = np.full((1, 500, 2), 0.1), np.zeros((1, 500, 2))
    small = np.concatenate([boxes[..., :2], sizes, scores[..., None], others], axis=2)
    for head, outputs in (("end2end", {"o": ends}), ("detr", detr), ("yolov8", {"o": small.astype(np.float32)})):
        found = given(tmp_path, {"type": head}, {n: a.astype(a.dtype) for n, a in outputs.items()})
        assert len(found) == 100
        assert found.scores.tolist() == pytest.approx(sorted(scores[0].tolist(), reverse=True)[:100]), head


@pytest.mark.parametrize("head", ["yolov8", "end2end"])
def test_outputs_in_half_precision_give_detections_in_single(tmp_path: Path, head: str) -> None:
    columns = 7 if head == "yolov8" else 6
    rows = np.full((1, 8, columns), 0.9, np.float16)
    rows[..., :4] = [8, 8, 16, 16]
    found = given(tmp_path, {"type": head}, {"o": rows})
    assert len(found) >= 1
    assert (found.boxes.dtype, found.scores.dtype, found.classes.dtype) == (np.float32, np.float32, np.int64)


def test_the_backend_gets_the_whole_canvas_and_loading_compares_outputs_with_the_card(tmp_path: Path) -> None:
    card, backend = make_card(tmp_path, {"type": "yolov8"}, input={"pad": 114}), GivenBackend(rows_v8([0.0] * 7))
    detector = Detector(card, backend, card.class_names, 0.3)
    detector.load()
    detector.detect(np.full((32, 64, 3), 9, np.uint8))
    assert backend.pictures[0].shape == (64, 64, 3)
    assert (backend.pictures[0][:32] == 9).all()
    assert (backend.pictures[0][32:] == 114).all()
    with pytest.raises(ModelError, match="no output of the model is"):
        Detector(card, GivenBackend(rows_v8([0.0] * 9)), card.class_names, 0.3).load()


@pytest.mark.slow
def test_the_accuracy_on_128_coco_images_is_the_measured_one(record_property: Callable[[str, object], None]) -> None:
    pytest.importorskip("pycocotools", reason="the accuracy test needs pycocotools: install the extra `dev`")
    from tests.detect.coco import measure

    card = load_card(NAME)
    found = measure(card, shared("coco-mini/instances.json").parent, nms_iou=0.6)
    record_property("coco_mini", {k: round(v, 2) for k, v in found.items()})
    assert (card.measured["ap"], card.measured["ap50"], card.measured["person_ap50"]) == (26.9, 43.5, 61.5)
    assert found == {k: pytest.approx(card.measured[k], abs=0.3) for k in ("ap", "ap50", "person_ap50")}
