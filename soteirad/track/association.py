"""Association of boxes: how alike two boxes are, and the one-to-one pairing of the most alike.

Boxes are plain floats: there are few that come near each other, and numpy takes a microsecond for each step with any.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from soteirad.detect.nms import iou_of
from soteirad.gates.geometry import Box


class Likeness(NamedTuple):
    """A track's expected box compared with a found box.

    `overlap` is the IoU, 0-1. `nearness` is 1 - centre distance / mean diagonal: 1 is the same centre, 0 one diagonal
    away (boxes that overlap are nearer). `ratio` is the larger area over the smaller, from 1; `larger` says whether the
    found box has it. Widths and heights are fractions of the frame, so the measures lean a little towards the frame's
    shorter side.
    """

    overlap: float
    nearness: float
    ratio: float
    larger: bool

    @classmethod
    def of(cls, expected: Box, found: Box) -> Likeness:
        """Compare two boxes."""
        ours, theirs, common = _area(expected) or 1e-9, _area(found) or 1e-9, _common(expected, found)
        ratio = ours / theirs if ours > theirs else theirs / ours
        return cls(common / (ours + theirs - common), nearness(expected, found), ratio, theirs > ours)


class Candidate(NamedTuple):
    """A track (its index is `row`) and a detection (`column`) that may be the same object.

    Candidates go in order: those of an earlier `turn` first, among them those with less `distance`, which is any
    measure of how unlike they are.
    """

    turn: int
    distance: float
    row: int
    column: int


def match(candidates: Iterable[Candidate]) -> list[tuple[int, int]]:
    """Pair rows with columns one to one, in the candidates' order."""
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for _, _, row, column in sorted(candidates):
        if row not in pairs and column not in taken:
            pairs[row] = column
            taken.add(column)
    return list(pairs.items())


def nearness(a: Box, b: Box) -> float:
    """Return 1 - centre distance / mean diagonal of two boxes; see `Likeness`."""
    distance = math.hypot(a[0] + a[2] - b[0] - b[2], a[1] + a[3] - b[1] - b[3])  # twice, as is the sum of diagonals
    return 1.0 - distance / max(math.hypot(a[2] - a[0], a[3] - a[1]) + math.hypot(b[2] - b[0], b[3] - b[1]), 1e-9)


def meeting(box: Box, others: Sequence[Box]) -> list[int]:
    """Return which of the others (by index) have any area in common with a box."""
    # Most boxes are apart, and a call for each pair to say so would cost more than all that follows.
    x1, y1, x2, y2 = box
    return [i for i, b in enumerate(others) if b[0] < x2 and x1 < b[2] and b[1] < y2 and y1 < b[3]]


def echoes(boxes: Sequence[Box], overlap: float) -> list[bool]:
    """Say which boxes, best first, overlap a better one that is no echo itself by more than the IoU `overlap`.

    Non-maximum suppression leaves such boxes, since two people may stand close; most often they are second boxes on
    one object.
    """
    clear: list[tuple[Box, float]] = []
    echo = []
    for box in boxes:
        (x1, y1, x2, y2), area = box, _area(box)
        for other, size in clear:
            # As in `meeting`; and the IoU is at most the smaller area over the larger.
            if other[0] >= x2 or x1 >= other[2] or other[1] >= y2 or y1 >= other[3]:
                continue
            if area * overlap < size and size * overlap < area and iou_of(box, other) > overlap:
                echo.append(True)
                break
        else:
            echo.append(False)
            clear.append((box, area))
    return echo


def covered(found: Box, held: Iterable[Box], like: float = 4.0) -> float:
    """Return the largest intersection over the smaller area of a found box with one of `held`, 0-1.

    Only boxes of up to `like` times each other's area count: half a body has a box inside the whole body's, a car
    behind a car is another object.
    """
    ours, most = _area(found), 0.0
    for box in held:
        common = _common(found, box)
        if common > 0:
            smaller, larger = sorted((ours, _area(box)))
            if larger <= like * smaller:
                most = max(most, common / max(smaller, 1e-9))
    return most


def hidden_share(box: Box, other: Box) -> float:
    """Return the share of a box that another one covers."""
    return _common(box, other) / max(_area(box), 1e-9)


def _area(box: Box) -> float:
    width, height = box[2] - box[0], box[3] - box[1]
    return width * height if width > 0 and height > 0 else 0.0


def _common(a: Box, b: Box) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0
