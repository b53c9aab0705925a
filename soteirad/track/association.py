"""One-to-one association of boxes: by overlap first, by distance for what is left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from soteirad.detect.nms import areas

Boxes = NDArray[np.float32]
Pairs = list[tuple[int, int]]


def match(score: NDArray[np.float32], minimum: NDArray[np.float32] | float) -> Pairs:
    """Pair rows with columns one to one, the highest score first, where `score` reaches `minimum`."""
    allowed = np.where(score >= minimum, score, -np.inf)
    pairs: Pairs = []
    while allowed.size:
        row, column = np.unravel_index(int(np.argmax(allowed)), allowed.shape)
        if not np.isfinite(allowed[row, column]):
            break
        pairs.append((int(row), int(column)))
        allowed[row, :] = -np.inf
        allowed[:, column] = -np.inf
    return pairs


def nearness(tracks: Boxes, found: Boxes, growth: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return 1 - centre distance / mean diagonal, -inf where the areas differ by more than the factor `growth` (n, 1).

    1 is the same centre, 0 one diagonal away. Widths and heights are compared in fractions of the frame, so the
    measure leans a little towards the frame's shorter side.
    """
    distance = np.linalg.norm(_centres(tracks)[:, None] - _centres(found)[None, :], axis=2)
    diagonal = (_diagonals(tracks)[:, None] + _diagonals(found)[None, :]) / 2
    ours, theirs = np.maximum(areas(tracks), 1e-9)[:, None], np.maximum(areas(found), 1e-9)[None, :]
    alike = np.maximum(ours / theirs, theirs / ours) <= growth
    result: NDArray[np.float32] = np.where(alike, 1.0 - distance / np.maximum(diagonal, 1e-9), -np.inf)
    return result


def covered(found: Boxes, tracks: Boxes) -> NDArray[np.float32]:
    """Return, for each found box, the largest intersection over the smaller area with a track box of like size.

    0-1; like size is up to 4 times the area: half a body has a box inside the whole body's, a car behind a car is
    another object.
    """
    if not len(tracks):
        return np.zeros(len(found), np.float32)
    top_left = np.maximum(found[:, None, :2], tracks[None, :, :2])
    bottom_right = np.minimum(found[:, None, 2:], tracks[None, :, 2:])
    both = np.prod(np.clip(bottom_right - top_left, 0.0, None), axis=2)
    ours, theirs = areas(found)[:, None], areas(tracks)[None, :]
    smaller, larger = np.minimum(ours, theirs), np.maximum(ours, theirs)
    share = np.where(larger <= 4 * smaller, both / np.maximum(smaller, 1e-9), 0.0)
    result: NDArray[np.float32] = share.max(axis=1)
    return result


def inside_share(box: NDArray[np.float32], others: Boxes) -> NDArray[np.float32]:
    """Return the share of one box (4,) that each of the boxes (n, 4) covers, shape (n,)."""
    both = np.prod(np.clip(np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]), 0.0, None), axis=1)
    result: NDArray[np.float32] = both / max(float(areas(box[None])[0]), 1e-9)
    return result


def _centres(boxes: Boxes) -> Boxes:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def _diagonals(boxes: Boxes) -> Boxes:
    result: Boxes = np.linalg.norm(boxes[:, 2:] - boxes[:, :2], axis=1)
    return result
