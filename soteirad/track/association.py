"""Association of boxes: how alike two boxes are, and the one-to-one pairing of the most alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soteirad.detect.nms import areas, iou_matrix

Boxes = NDArray[np.float32]
Matrix = NDArray[np.float32]
Pairs = list[tuple[int, int]]


@dataclass(frozen=True)
class Likeness:
    """Every track's expected box (n) compared with every found box (m); all matrices are (n, m).

    `overlap` is the IoU, 0-1. `nearness` is 1 - centre distance / mean diagonal: 1 is the same centre, 0 one diagonal
    away. `ratio` is the larger area over the smaller, from 1. Widths and heights are fractions of the frame, so the
    measures lean a little towards the frame's shorter side.
    """

    overlap: Matrix
    nearness: Matrix
    ratio: Matrix

    @classmethod
    def of(cls, expected: Boxes, found: Boxes) -> Likeness:
        """Compare boxes (n, 4) with boxes (m, 4)."""
        ours, theirs = _centres(expected), _centres(found)
        offset = ours[:, None] - theirs[None, :]
        distance = np.sqrt(offset[..., 0] ** 2 + offset[..., 1] ** 2)
        diagonal = (_diagonals(expected)[:, None] + _diagonals(found)[None, :]) / 2
        size = np.maximum(areas(expected), 1e-9)[:, None] / np.maximum(areas(found), 1e-9)[None, :]
        near = 1.0 - distance / np.maximum(diagonal, 1e-9)
        return cls(iou_matrix(expected, found), near.astype(np.float32), np.maximum(size, 1 / size))


def match(score: Matrix, minimum: float = -np.inf) -> Pairs:
    """Pair rows with columns one to one, the highest score first; only finite scores from `minimum` on."""
    left = np.where(score >= minimum, score, -np.inf)
    pairs: Pairs = []
    while left.size:
        row, column = divmod(int(left.argmax()), left.shape[1])
        if not np.isfinite(left[row, column]):
            break
        pairs.append((row, column))
        left[row, :] = -np.inf
        left[:, column] = -np.inf
    return pairs


def echoes(boxes: Boxes, overlap: float) -> NDArray[np.bool_]:
    """Say which boxes (n, 4), best first, overlap a better one that is no echo itself by more than the IoU `overlap`.

    Non-maximum suppression leaves such boxes, since two people may stand close; most often they are second boxes on
    one object.
    """
    over = iou_matrix(boxes, boxes) > overlap
    echo = np.zeros(len(boxes), bool)
    for i in range(1, len(boxes)):
        echo[i] = bool((over[i, :i] & ~echo[:i]).any())
    return echo


def covered(found: Boxes, held: Boxes, like: float = 4.0) -> NDArray[np.float32]:
    """Return, for each found box (n, 4), the largest intersection over the smaller area with one of `held` (m, 4).

    0-1; only boxes of up to `like` times each other's area count: half a body has a box inside the whole body's, a car
    behind a car is another object.
    """
    if not len(held):
        return np.zeros(len(found), np.float32)
    ours, theirs = areas(found)[:, None], areas(held)[None, :]
    smaller, larger = np.minimum(ours, theirs), np.maximum(ours, theirs)
    share = np.where(larger <= like * smaller, _common(found, held) / np.maximum(smaller, 1e-9), 0.0)
    result: NDArray[np.float32] = share.max(axis=1)
    return result


def hidden_shares(box: NDArray[np.float32], others: Boxes) -> NDArray[np.float32]:
    """Return the share of one box (4,) that each of the boxes (n, 4) covers, shape (n,)."""
    result: NDArray[np.float32] = _common(box[None], others)[0] / max(float(areas(box[None])[0]), 1e-9)
    return result


def _common(a: Boxes, b: Boxes) -> Matrix:
    """Return the common area of boxes (n, 4) and (m, 4), shape (n, m)."""
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    result: Matrix = np.maximum(sides[..., 0], 0) * np.maximum(sides[..., 1], 0)
    return result


def _centres(boxes: Boxes) -> Boxes:
    result: Boxes = (boxes[:, :2] + boxes[:, 2:]) * np.float32(0.5)
    return result


def _diagonals(boxes: Boxes) -> Boxes:
    result: Boxes = np.hypot(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    return result
