"""Average precision label by label is what pycocotools gives for everything at once."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soteirad.evaluate.ap import Found, Verdict, judge
from soteirad.evaluate.curves import curves_of
from soteirad.evaluate.dataset import Annotated, Dataset, Photo

pytest.importorskip("pycocotools", reason="AP needs pycocotools: install the extra `eval`")


def made_data(seed: int, photos: int = 12) -> tuple[Dataset, Found]:
    """Objects of three sizes, some of them crowds, and detections near them, twice, or beside them."""
    rng = np.random.default_rng(seed)
    labels, objects, rows = {"person": 1, "cat": 4, "rare": 9, "absent": 11}, [], []
    for photo in range(photos):
        for number in (1, 4, *([9] if photo == 0 else [])):
            for _ in range(int(rng.integers(0, 5))):
                size = rng.choice([20.0, 60.0, 150.0])
                box = (*rng.uniform(0, 400, 2), *(size * rng.uniform(0.7, 1.3, 2)))
                objects.append(Annotated(image_id=photo, category_id=number, bbox=box, iscrowd=rng.uniform() < 0.1))
                for _ in range(int(rng.integers(0, 3))):
                    rows.append((photo, number, *(np.array(box) + rng.normal(0, size / 12, 4)), rng.uniform(0.01, 1)))
        rows.append((photo, int(rng.choice([1, 4, 9, 11])), *rng.uniform(1, 300, 4), rng.uniform(0.01, 1)))
    table = np.array(rows)
    pictures = tuple(Photo(id=i, file_name="-", width=640, height=640) for i in range(photos))
    data = Dataset("made", Path(), pictures, labels, tuple(objects))
    return data, Found(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:6], table[:, 6])


def directly(data: Dataset, found: Found, labels: list[int] | None = None) -> list[float]:
    """The twelve figures of pycocotools' own summary."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "info": {}, "images": [p.model_dump() for p in data.photos],
            "categories": [{"id": number, "name": name} for name, number in data.labels.items()],
            "annotations": [{**o.model_dump(), "id": i, "bbox": list(o.bbox), "area": o.area or o.bbox[2] * o.bbox[3]}
                            for i, o in enumerate(data.objects, 1)],
        }  # fmt: skip
        truth.createIndex()
        rows: list[dict[str, Any]] = [
            {"image_id": int(p), "category_id": int(c), "bbox": b.tolist(), "score": float(s)}
            for p, c, b, s in zip(found.photos, found.labels, found.boxes, found.scores, strict=True)
        ]
        evaluation = COCOeval(truth, truth.loadRes(rows), "bbox")
        evaluation.params.catIds = labels or truth.getCatIds()
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(x) for x in evaluation.stats]


@pytest.fixture(scope="module", params=[1, 2, 3])
def made(request: pytest.FixtureRequest) -> tuple[Dataset, Found, Verdict]:
    data, found = made_data(request.param)
    return data, found, judge(data, found)


def test_the_six_precisions_are_those_of_pycocotools_itself(made: tuple[Dataset, Found, Verdict]) -> None:
    data, found, verdict = made
    ours = [verdict.ap[k] for k in ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")]
    assert ours == pytest.approx([100 * x for x in directly(data, found)[:6]], abs=1e-9)


def test_the_persons_figure_is_that_of_pycocotools_for_this_label_alone(made: tuple[Dataset, Found, Verdict]) -> None:
    data, found, verdict = made
    assert verdict.ap["person_ap50"] == pytest.approx(100 * directly(data, found, [1])[1], abs=1e-9)


def test_ap50_is_the_mean_of_the_precision_recall_curves_at_101_points(made: tuple[Dataset, Found, Verdict]) -> None:
    verdict = made[2]
    assert 100 * np.mean([curves_of(j, 101)["pr"] for j in verdict.judged.values()]) == pytest.approx(
        verdict.ap["ap50"], abs=1e-6
    )


def test_crowds_are_neither_objects_nor_do_they_make_a_detection_wrong(made: tuple[Dataset, Found, Verdict]) -> None:
    data, found, verdict = made
    assert {label: j.objects for label, j in verdict.judged.items()} == data.counts
    crowd = next(o for o in data.objects if o.iscrowd)
    more = Found(np.append(found.photos, crowd.image_id), np.append(found.labels, crowd.category_id),
                 np.vstack([found.boxes, [crowd.bbox]]), np.append(found.scores, 0.999))  # fmt: skip
    assert judge(data, more).ap["ap"] == verdict.ap["ap"]


def test_without_objects_of_a_size_or_persons_there_is_no_figure_instead_of_a_zero() -> None:
    data = Dataset("one", Path(), (Photo(id=1, file_name="-", width=640, height=640),), {"cat": 3},
                   (Annotated(image_id=1, category_id=3, bbox=(0, 0, 200, 200)),))  # fmt: skip
    found = Found(np.array([1]), np.array([3]), np.array([[0.0, 0.0, 200.0, 200.0]]), np.array([0.9]))
    ap = judge(data, found).ap
    assert (ap["ap"], ap["ap_large"]) == (pytest.approx(100), pytest.approx(100))
    assert ap["ap_small"] is ap["ap_medium"] is ap["person_ap50"] is None


def test_a_model_that_finds_nothing_has_zero() -> None:
    data, _ = made_data(1)
    nothing = Found(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0))
    verdict = judge(data, nothing)
    assert verdict.ap["ap"] == 0
    assert all(not len(j.scores) for j in verdict.judged.values())
