"""The order of pictures: decoding times for those of which only presentation times are known. Pure.

RTP carries presentation times alone. In the order of decoding they jump back where there are B-frames; the decoding
times are the same times in rising order, so much earlier that no picture is shown before it is decoded (ITU-T H.264,
C.4).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

DEEPEST = 16
"""H.264 and H.265 reorder no more pictures."""
_NEAR_S = 3.0
"""Pictures that are further apart are in no order: the camera has set its clock."""


def depth_of(shown: Sequence[float]) -> int:
    """Return by how many pictures decoding has to be ahead, of presentation times in the order of decoding."""
    deepest = 0
    for index, time in enumerate(shown):
        ahead = sum(time < earlier < time + _NEAR_S for earlier in shown[max(0, index - DEEPEST) : index])
        deepest = max(deepest, ahead)
    return deepest


class DecodingTimes:
    """Gives decoding times, beginning with a key picture that is the first one shown, too.

    `depth` is what `depth_of` says, `step` the seconds between two pictures.
    """

    def __init__(self, depth: int, step: float) -> None:
        self._depth = depth
        self._step = step
        self._waiting: list[float] = []
        self._given = 0
        self._first = 0.0

    def next(self, shown: float) -> float:
        """Return the decoding time of the picture with this presentation time (seconds)."""
        if not self._depth:
            return shown
        if self._given == 0:
            self._first = shown
        heapq.heappush(self._waiting, shown)
        self._given += 1
        if self._given <= self._depth:
            return self._first - (self._depth + 1 - self._given) * self._step
        return heapq.heappop(self._waiting)
