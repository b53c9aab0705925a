"""Average precision with pycocotools, and its verdict on every detection at IoU 0.5, label by label."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soteirad.errors import SoteiraError
from soteirad.evaluate.curves import Judged, Values
from soteirad.evaluate.dataset import Annotated, Dataset

MOST_BOXES = 100
CURVE_IOU = 0.5
PERSON = "person"


@dataclass(frozen=True)
class Found:
    """All detections on a data set, one a row: `photos` and `labels` are its numbers, `boxes` x, y, width, height."""

    photos: NDArray[np.int64]
    labels: NDArray[np.int64]
    boxes: Values
    scores: Values


@dataclass(frozen=True)
class Verdict:
    """Average precisions in percent by name (None: no such objects), and the judged detections by label."""

    ap: dict[str, float | None]
    judged: dict[str, Judged]


def need_pycocotools() -> None:
    """Raise SoteiraError when pycocotools is missing, before anything long starts."""
    try:
        import pycocotools.cocoeval  # noqa: F401
    except ImportError:
        raise SoteiraError("pycocotools is not installed: install it with `pip install 'soteirad[eval]'`") from None


def judge(data: Dataset, found: Found) -> Verdict:
    """Return COCO's average precisions and its matching, over all labels that have objects.

    The labels are handed to pycocotools one after the other, since they do not touch each other there: it needs about
    a kilobyte for each detection, and the whole val2017 gives hundreds of thousands.
    """
    tables, judged = {}, {}
    truth: dict[int, list[Annotated]] = {}
    for o in data.objects:
        truth.setdefault(o.category_id, []).append(o)
    for label in data.counts:
        number = data.labels[label]
        evaluation = _evaluate(number, truth[number], found)
        tables[label] = evaluation.eval["precision"][:, :, 0, :, 0]
        judged[label] = _judged(evaluation)
    return Verdict(_summary(tables), judged)


def _evaluate(number: int, truth: list[Annotated], found: Found) -> Any:
    from pycocotools.cocoeval import COCOeval

    mine = found.labels == number
    results = [
        {"image_id": photo, "category_id": number, "bbox": box, "area": box[2] * box[3], "score": score}
        for photo, box, score in zip(
            found.photos[mine].tolist(), found.boxes[mine].tolist(), found.scores[mine].tolist(), strict=True
        )
    ]
    objects = [
        {"image_id": o.image_id, "category_id": number, "bbox": list(o.bbox), "iscrowd": o.iscrowd,
         "area": o.bbox[2] * o.bbox[3] if o.area is None else o.area}
        for o in truth
    ]  # fmt: skip
    photos = sorted({r["image_id"] for r in (*results, *objects)})
    with _silence():
        evaluation = COCOeval(_coco(photos, number, objects), _coco(photos, number, results), "bbox")
        evaluation.params.maxDets = [MOST_BOXES]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _coco(photos: list[int], number: int, records: list[dict[str, Any]]) -> Any:
    from pycocotools.coco import COCO

    coco = COCO()
    # Counted from 1: pycocotools takes a match with number 0 for none.
    coco.dataset = {"images": [{"id": p} for p in photos], "categories": [{"id": number}],
                    "annotations": [{**r, "id": i} for i, r in enumerate(records, 1)]}  # fmt: skip
    coco.createIndex()
    return coco


def _judged(evaluation: Any) -> Judged:
    """Return the verdicts at IoU 0.5 on all sizes; what lies on a crowd is neither right nor wrong, and left out."""
    params = evaluation.params
    if params.iouThrs[0] != CURVE_IOU or params.areaRngLbl[0] != "all":
        raise RuntimeError("pycocotools changed the order of its results")
    images = [e for e in evaluation.evalImgs[: len(params.imgIds)] if e is not None]
    counted = ~np.concatenate([e["dtIgnore"][0] for e in images]).astype(bool)
    scores = np.concatenate([np.asarray(e["dtScores"], np.float64) for e in images])
    hits = np.concatenate([e["dtMatches"][0] for e in images]) > 0
    return Judged(scores[counted], hits[counted], sum(int((e["gtIgnore"] == 0).sum()) for e in images))


def _summary(tables: dict[str, Values]) -> dict[str, float | None]:
    """Return the figures of COCO's summary from precision tables (IoU, recall, size) by label; -1 is "no objects"."""
    every = np.stack(list(tables.values()))
    return {
        "ap": _mean(every[..., 0]),
        "ap50": _mean(every[:, 0, :, 0]),
        "ap75": _mean(every[:, 5, :, 0]),
        "ap_small": _mean(every[..., 1]),
        "ap_medium": _mean(every[..., 2]),
        "ap_large": _mean(every[..., 3]),
        "person_ap50": _mean(tables[PERSON][0, :, 0]) if PERSON in tables else None,
    }


def _mean(table: Values) -> float | None:
    there = table[table > -1]
    return 100 * float(there.mean()) if there.size else None


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """pycocotools reports its progress with print."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
