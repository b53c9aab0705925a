"""The fixed structure of a view: a small picture cut into tiles, how much of it another picture keeps, and what became
of the rest."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Numbers = NDArray[np.float32]
Shift = tuple[float, float]
"""How far the picture's content moved to the right and down, in fractions of its width and height."""

WIDTH, HEIGHT, TILE = 160, 96, 16
MIN_TEXTURE = 16.0
"""Mean edge strength (Sobel, grey levels) from which a tile can be recognised."""
MIN_TILES = 4
"""A picture with fewer textured tiles is bare: nothing in it can be recognised."""
MIN_CORRELATION = 0.35
MIN_SHARPNESS = 0.5
"""Share of the reference's sharpness that a textured tile must keep; brightness and noise hardly touch it."""
FLAT_CHANGE = 20.0
"""Grey levels by which a flat tile's mean must differ."""
LOST_SHARE = 0.75
CHANGED_SHARE = 0.5
BLURRED_SHARE = 0.25
"""Out of focus: this share of the textured tiles is blurred, and `LOST_SHARE` blurred or lost."""

_WINDOW = cv2.createHanningWindow((WIDTH, HEIGHT), cv2.CV_32F)
"""What fades out the picture's border, which a displacement replaces."""

MIN_SHIFT = 0.04
"""A view that is displaced by this share of the picture is another one, though much of it still correlates."""
FOUND_CORRELATION = 0.5
FOUND_SHARE = 0.6
"""A displacement is believed when this share of the textured tiles, put back by it, correlates so well. What drives
through an empty picture reaches 0.46, real displacements 0.64 and more, unrelated pictures 0.05."""
STAYED_SHARE = 0.12
"""... and no more than this share fits where it was. Somebody who fills much of a plain picture and walks leaves 0.2
and more of it in its place, a camera that was moved 0.05 at most (measured)."""
MIN_FOUND = 8
"""So many textured tiles must be left in view to believe it."""
COARSE_LIKENESS, COARSE_GAIN = 0.8, 0.3
"""Out of focus, the light and dark parts stay where they were, and keep this share of their contrast."""


class Seen(Enum):
    """What became of a view."""

    COVERED = "covered"
    DEFOCUSED = "defocused"
    MOVED = "moved"


@dataclass(frozen=True, eq=False)
class Structure:
    """A small smoothed picture (96, 160) and its tiles.

    `edges` (tiles, 2 * tile * tile); for each tile its mean edge strength, mean grey and sharpness: fine detail
    (Laplacian) for each unit of edge, which a change of gain leaves alone.
    """

    small: Numbers
    edges: Numbers
    texture: Numbers
    mean: Numbers
    sharpness: Numbers

    @classmethod
    def of(cls, grey: Grey) -> Structure:
        """Return the structure of a luma picture of any size."""
        small = cv2.resize(grey, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        return cls._of_smooth(np.asarray(cv2.GaussianBlur(small.astype(np.float32), (5, 5), 0), np.float32))

    @classmethod
    def _of_smooth(cls, smooth: Numbers) -> Structure:
        right, down = _slopes(smooth)
        planes = np.stack([right, down]).reshape(2, HEIGHT // TILE, TILE, WIDTH // TILE, TILE)
        edges = planes.transpose(1, 3, 0, 2, 4).reshape(-1, 2 * TILE * TILE)
        texture = _tile_means(np.abs(right) + np.abs(down)) / np.float32(2)
        fine = _tile_means(np.abs(np.asarray(cv2.Laplacian(smooth, cv2.CV_32F), np.float32)))
        return cls(smooth, edges, texture, _tile_means(smooth), fine / (texture + np.float32(1)))

    def put_back(self, shift: Shift) -> Structure:
        """Return the structure as it would be without a displacement; what is out of view is flat."""
        moves = np.array([[1, 0, -shift[0] * WIDTH], [0, 1, -shift[1] * HEIGHT]], np.float64)
        return self._of_smooth(np.asarray(cv2.warpAffine(self.small, moves, (WIDTH, HEIGHT)), np.float32))

    def against(self, reference: Structure, shift_from: float = 0.2) -> Difference:
        """Return how much of a reference this picture has lost; see `compare`."""
        return compare(reference, self, shift_from)

    def shifted_from(self, reference: Structure) -> Shift | None:
        """Return how far this picture is displaced from a reference; see `shift_between`."""
        return shift_between(reference, self)

    @cached_property
    def textured(self) -> NDArray[np.bool_]:
        """Which tiles can be recognised, (tiles,)."""
        return self.texture >= MIN_TEXTURE

    @cached_property
    def norms(self) -> Numbers:
        """The Euclidean norm of each tile's edges, (tiles,)."""
        return np.asarray(np.sqrt(np.einsum("ij,ij->i", self.edges, self.edges)), np.float32)

    @cached_property
    def outline(self) -> Numbers:
        """The strength of the picture's edges, which light changes less than its greys, (96, 160), faded at the border.

        `phaseCorrelate` could do the fading, and would do it in this array each time that it is given.
        """
        return np.asarray(cv2.magnitude(*_slopes(self.small)) * _WINDOW, np.float32)

    @cached_property
    def bare(self) -> bool:
        """Whether too little can be recognised to tell this view from another."""
        return bool(np.count_nonzero(self.textured) < MIN_TILES)


@dataclass(frozen=True)
class Difference:
    """How much of a reference a picture has lost, in shares from 0 to 1.

    `lost`: of the reference's textured tiles, those whose structure is gone; `unfit`: those gone or blurred; `changed`:
    of all tiles. `shift` says where to, if the structure was displaced as a whole. `gone`: it is not the same view.
    """

    lost: float
    unfit: float
    changed: float
    gone: bool
    shift: Shift | None = None


NO_DIFFERENCE = Difference(0.0, 0.0, 0.0, False)


def compare(reference: Structure, seen: Structure, shift_from: float = 0.2) -> Difference:
    """Compare a picture with a reference; a bare reference differs from nothing.

    A displacement is looked for where at least `shift_from` of the structure is lost.
    """
    if reference.bare:
        return NO_DIFFERENCE
    textured, now_textured = reference.textured, seen.textured
    correlation = _correlation(reference, seen)
    lost = (textured | now_textured) & (correlation < MIN_CORRELATION)
    flat = ~textured & ~now_textured & (np.abs(reference.mean - seen.mean) >= FLAT_CHANGE)
    blurred = textured & ~lost & (seen.sharpness < MIN_SHARPNESS * reference.sharpness)
    lost_share, changed = _share(lost[textured]), _share(lost | flat)
    unfit = _share((lost | blurred)[textured])
    out_of_focus = unfit >= LOST_SHARE and _share(blurred[textured]) >= BLURRED_SHARE
    shift = shift_between(reference, seen) if lost_share >= shift_from and not seen.bare else None
    displaced = shift is not None and max(abs(shift[0]), abs(shift[1])) >= MIN_SHIFT
    gone = out_of_focus or displaced or (lost_share >= LOST_SHARE and changed >= CHANGED_SHARE)
    return Difference(lost_share, unfit, changed, gone, shift)


def shift_between(reference: Structure, seen: Structure) -> Shift | None:
    """Return how far the whole picture was displaced, or None where no single displacement explains it.

    The phase correlation always has an answer; it is believed if the fixed structure is found where it says. What moves
    through the picture leaves the rest where it was.
    """
    (dx, dy), _ = cv2.phaseCorrelate(reference.outline, seen.outline)
    x, y = round(dx), round(dy)
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[max(0, -y) : HEIGHT - max(0, y), max(0, -x) : WIDTH - max(0, x)] = True
    whole = inside.reshape(HEIGHT // TILE, TILE, WIDTH // TILE, TILE).all(axis=(1, 3)).reshape(-1)
    tiles = reference.textured & whole
    if np.count_nonzero(tiles) < MIN_FOUND:
        return None
    shift = dx / WIDTH, dy / HEIGHT
    found = _correlation(reference, seen.put_back(shift))[tiles] >= FOUND_CORRELATION
    stayed = ~found & (_correlation(reference, seen)[tiles] >= FOUND_CORRELATION)
    return shift if _share(found) >= FOUND_SHARE and _share(stayed) <= STAYED_SHARE else None


def _correlation(reference: Structure, seen: Structure) -> Numbers:
    """Return the normalised correlation of the edges in each tile, (tiles,)."""
    norms = reference.norms * seen.norms
    return np.asarray(np.einsum("ij,ij->i", reference.edges, seen.edges) / np.maximum(norms, 1e-6), np.float32)


def what_became_of(reference: Structure, seen: Structure) -> Seen:
    """Say what happened to a camera whose view was `reference` and is now `seen`."""
    textured = seen.textured
    sharp = float(np.median(seen.sharpness[textured])) if textured.any() else 0.0
    if not seen.bare and sharp >= MIN_SHARPNESS * float(np.median(reference.sharpness[reference.textured])):
        return Seen.MOVED
    spread = float(np.std(reference.mean))
    alike = likeness(reference.mean, seen.mean)
    gain = alike * float(np.std(seen.mean)) / max(spread, 1e-6)
    return Seen.DEFOCUSED if alike >= COARSE_LIKENESS and gain >= COARSE_GAIN else Seen.COVERED


def likeness(a: Numbers, b: Numbers) -> float:
    """Return the correlation of two arrays of one shape, -1 to 1; 0 where one of them is flat."""
    a, b = a - a.mean(), b - b.mean()
    norms = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    return float(np.sum(a * b)) / norms if norms > 1e-6 else 0.0


def _slopes(plane: Numbers) -> tuple[Numbers, Numbers]:
    """Return a plane's Sobel derivatives, to the right and down."""
    right, down = (cv2.Sobel(plane, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    return np.asarray(right, np.float32), np.asarray(down, np.float32)


def _tile_means(plane: Numbers) -> Numbers:
    """Return the mean of a float32 plane (96, 160) in each tile, (tiles,)."""
    means = cv2.resize(plane, (WIDTH // TILE, HEIGHT // TILE), interpolation=cv2.INTER_AREA)
    return np.asarray(means, np.float32).reshape(-1)


def _share(which: NDArray[np.bool_]) -> float:
    """Return the share that is true. For 60 tiles numpy's mean takes ten times as long (measured)."""
    return np.count_nonzero(which) / which.size
