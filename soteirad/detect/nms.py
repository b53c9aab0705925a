"""Non-maximum suppression and the IoU that it and the tracker share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from soteirad.detect.detection import Detections, FloatArray, IntArray


def iou_matrix(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the intersection over union of boxes (n, 4) with boxes (m, 4), shape (n, m); empty boxes give 0."""
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.maximum(bottom_right - top_left, np.float32(0))
    overlap = sides[..., 0] * sides[..., 1]
    union = areas(a)[:, None] + areas(b)[None, :] - overlap
    return np.where(union > 0, overlap / np.maximum(union, 1e-12), 0.0).astype(np.float32)


def iou_of(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the intersection over union of two boxes (x1, y1, x2, y2): for a few, numpy takes twenty times as long."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(0.0, width) * max(0.0, height)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return both / max(union, 1e-12) if union > 0 else 0.0


def areas(boxes: FloatArray) -> FloatArray:
    """Return the areas of boxes (n, 4); an inverted box has none."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], np.float32(0))
    result: FloatArray = sides[:, 0] * sides[:, 1]
    return result


MOST_CANDIDATES = 3000
"""More than these are not looked at: at scores near zero a head gives tens of thousands, which took OpenCV seconds."""


def nms(boxes: FloatArray, scores: FloatArray, classes: IntArray, iou: float, limit: int = 100) -> Detections:
    """Keep, class by class, the best of boxes that overlap by more than `iou`; at most `limit`, best first."""
    if not len(scores):
        return Detections.empty()
    if len(scores) > MOST_CANDIDATES:
        best = np.argpartition(-scores, MOST_CANDIDATES)[:MOST_CANDIDATES]
        boxes, scores, classes = boxes[best], scores[best], classes[best]
    # OpenCV keeps classes apart by moving each past the largest coordinate: that works for positive ones only.
    rectangles = np.subtract(boxes, boxes.min(), dtype=np.float64)
    rectangles[:, 2:] -= rectangles[:, :2]
    # Its types say lists, but it copies arrays of these kinds at once. Rectangles it takes from a list alone.
    arrays: tuple[Any, Any] = scores.astype(np.float32, copy=False), classes.astype(np.int32)
    kept = cv2.dnn.NMSBoxesBatched(rectangles.tolist(), *arrays, 0.0, iou)
    order = np.asarray(kept, np.int64)[:limit]  # the best comes first
    return Detections(boxes[order], scores[order], classes[order])


def best(boxes: FloatArray, scores: FloatArray, classes: IntArray, limit: int = 100) -> Detections:
    """Return the `limit` best, for heads whose boxes need no suppression."""
    order = np.argsort(-scores, kind="stable")[:limit]
    return Detections(boxes[order], scores[order], classes[order])


def one_label(boxes: FloatArray, scores: FloatArray, classes: IntArray, limit: int = 100) -> Detections:
    """Keep of candidates with one and the same box the best; at most `limit`, best first."""
    ordered = best(boxes, scores, classes, len(scores))
    _, first = np.unique(ordered.boxes, axis=0, return_index=True)
    return ordered.select(np.sort(first)[:limit])
