"""A still room in which a person slides to and fro at a known speed: where they are follows from a picture's number.

The person is the cut-out of the demonstration, which the default detector finds at every place with a score above 0.7.
"""

from __future__ import annotations

from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.time_pattern import Stamp, write_stamp
from tests.shared_data import DEMO

FPS = 25
BOX_FPS = 10
"""Boxes are judged in frames of this rate: as many are analysed."""
STEP, MARGIN, SCALE = 6, 6, 0.56
"""Pixels between two pictures and beside the turns, and the cut-out's scale, all for a picture 640 wide."""

Planes = NDArray[np.uint8]


class PersonScene:
    """Pictures of one size, 16:9 and a multiple of 640 wide. Boxes are x1, y1, x2, y2 in fractions of the frame."""

    def __init__(self, size: tuple[int, int]) -> None:
        from skimage import data

        from scripts.make_demo_clip import ASTRONAUT, cut_out

        self.size, width = size, size[0]
        zoom = width / 640
        photograph: Any = data
        sprite = cut_out(photograph.astronaut(), ASTRONAUT, SCALE * zoom)
        across, down = (2 * (int(side) // 2) for side in sprite.alpha.shape[::-1])
        self._person = across, down
        self._step, self._margin = round(STEP * zoom), round(MARGIN * zoom)
        self._steps: int = (width - across - 2 * self._margin) // self._step
        with av.open(str(DEMO)) as container:
            room = next(container.decode(video=0)).to_ndarray(format="bgr24")
        self._room = _planes(np.asarray(cv2.resize(room, size, interpolation=cv2.INTER_CUBIC), np.uint8))
        colour = np.clip(sprite.colour[:down, :across], 0, 255).astype(np.uint8)
        alpha = sprite.alpha[:down, :across]
        small = cv2.resize(alpha, (across // 2, down // 2), interpolation=cv2.INTER_AREA)
        layers = zip(_parts(_planes(colour), (across, down)), (alpha, small, small), strict=True)
        self._layers = [(part * opacity, 1.0 - opacity) for part, opacity in layers]

    def box(self, number: float) -> tuple[float, float, float, float]:
        """Return where the person is in a picture; between two pictures, where they would be then."""
        width, height = self.size
        left = self._margin + self._step * self._phase(number)
        return left / width, 1.0 - self._person[1] / height, (left + self._person[0]) / width, 1.0

    def forward(self, number: float) -> bool:
        """Whether the person moves to the right."""
        return number % (2 * self._steps) < self._steps

    @property
    def stride(self) -> float:
        """How far (share of the width) the person moves in a frame time of `BOX_FPS`."""
        return self._step * FPS / BOX_FPS / self.size[0]

    @property
    def turn_s(self) -> float:
        """Seconds from one turn to the next."""
        return self._steps / FPS

    def turned(self, number: float) -> float:
        """Return how many pictures ago the person turned."""
        return number % self._steps

    def draw(self, stamp: Stamp) -> Planes:
        """Return the picture of that number with its stamp, planes of yuv420p (height * 3 / 2, width)."""
        picture = self._room.copy()
        left = self._margin + self._step * int(self._phase(stamp.number))
        for part, (colour, rest), share in zip(_parts(picture, self.size), self._layers, (1, 2, 2), strict=True):
            down, across = rest.shape
            place = part[-down:, left // share : left // share + across]
            place[:] = np.rint(colour + place * rest)
        write_stamp(picture[: self.size[1]], stamp)
        return picture

    def _phase(self, number: float) -> float:
        at = number % (2 * self._steps)
        return min(at, 2 * self._steps - at)


def _planes(bgr: NDArray[np.uint8]) -> Planes:
    return np.asarray(av.VideoFrame.from_ndarray(bgr, format="bgr24").to_ndarray(format="yuv420p"), np.uint8)


def _parts(planes: Planes, size: tuple[int, int]) -> tuple[Planes, Planes, Planes]:
    """Return views of luma and chroma (height, width) of planes of yuv420p."""
    (width, height), flat = size, planes.reshape(-1)
    luma, half = width * height, (height // 2, width // 2)
    return (flat[:luma].reshape(height, width), flat[luma : luma * 5 // 4].reshape(half),
            flat[luma * 5 // 4 : luma * 3 // 2].reshape(half))  # fmt: skip
