"""The view watch: is the camera still looking at the same place?

Gate 2 opening asks for a look; this asks something else: whether the fixed structure of the picture is gone or
displaced (camera moved, covered, defocused). Brightness alone does not change structure, so a lamp does not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Edges = NDArray[np.float32]


class View(Enum):
    """What the view watch says of a picture."""

    SAME = "same"
    DOUBTFUL = "doubtful"
    CHANGED = "changed"


class ViewWatch:
    """Compares a small picture, tile by tile, with a reference.

    A tile with texture has lost its structure when the normalised correlation of its edges with the reference's falls
    under `MIN_CORRELATION`; a tile that is flat in both has changed when its brightness did; a tile that correlates but
    has lost its fine detail is blurred, and where most textured tiles are, the lens is out of focus. The view is
    doubtful while that is so, or while `LOST_SHARE` of the reference's textured tiles have lost their structure and
    `CHANGED_SHARE` of all tiles changed one way or the other, and changed when that lasted `HOLD_S`. The reference is
    renewed every `RENEW_S` while most of it still holds, so that daylight moving shadows never adds up to a change.
    """

    WIDTH, HEIGHT, TILE = 160, 96, 16
    MIN_CORRELATION = 0.35
    MIN_SHARPNESS = 0.5
    """Share of the reference's sharpness that a textured tile must keep; brightness and noise hardly touch it."""
    BLURRED_SHARE = 0.25
    """Out of focus: this share of the textured tiles is blurred, and `LOST_SHARE` blurred or lost."""
    LOST_SHARE = 0.75
    CHANGED_SHARE = 0.5
    RENEW_SHARE = 0.3
    HOLD_S = 2.0
    RENEW_S = 30.0
    MIN_TEXTURE = 16.0
    """Mean edge strength (Sobel, grey levels) from which a tile can be recognised."""
    MIN_TILES = 4
    """A reference with fewer textured tiles (night without light) cannot say that the view changed."""
    FLAT_CHANGE = 20.0
    """Grey levels by which a flat tile's mean must differ."""

    def __init__(self) -> None:
        self._reference: _Tiles | None = None
        self._since = 0.0
        self._doubt_since: float | None = None

    def step(self, grey: Grey, time: float) -> View:
        """Judge a luma picture at media time `time` (seconds); after CHANGED it is the new reference."""
        small = cv2.resize(grey, (self.WIDTH, self.HEIGHT), interpolation=cv2.INTER_AREA)
        seen = _Tiles.of(np.asarray(small, np.uint8), self.TILE)
        if self._reference is None:
            return self._renew(seen, time)
        lost, changed = self._compare(self._reference, seen)
        if lost < self.LOST_SHARE or changed < self.CHANGED_SHARE:
            self._doubt_since = None
            if lost <= self.RENEW_SHARE and time - self._since >= self.RENEW_S:
                self._renew(seen, time)
            return View.SAME
        if self._doubt_since is None:
            self._doubt_since = time
        if time - self._doubt_since < self.HOLD_S:
            return View.DOUBTFUL
        self._renew(seen, time)
        return View.CHANGED

    def _renew(self, seen: _Tiles, time: float) -> View:
        self._reference, self._since, self._doubt_since = seen, time, None
        return View.SAME

    def _compare(self, reference: _Tiles, seen: _Tiles) -> tuple[float, float]:
        """Return the share of textured tiles that lost their structure and the share of all tiles that changed."""
        textured, now_textured = reference.texture >= self.MIN_TEXTURE, seen.texture >= self.MIN_TEXTURE
        if np.count_nonzero(textured) < self.MIN_TILES:
            return 0.0, 0.0
        norms = np.linalg.norm(reference.edges, axis=1) * np.linalg.norm(seen.edges, axis=1)
        correlation = np.einsum("ij,ij->i", reference.edges, seen.edges) / np.maximum(norms, 1e-6)
        lost = (textured | now_textured) & (correlation < self.MIN_CORRELATION)
        flat = ~textured & ~now_textured & (np.abs(reference.mean - seen.mean) >= self.FLAT_CHANGE)
        blurred = textured & ~lost & (seen.sharpness < self.MIN_SHARPNESS * reference.sharpness)
        if np.mean((lost | blurred)[textured]) >= self.LOST_SHARE and np.mean(blurred[textured]) >= self.BLURRED_SHARE:
            return 1.0, 1.0
        return float(np.mean(lost[textured])), float(np.mean(lost | flat))


@dataclass(frozen=True)
class _Tiles:
    """A picture cut into tiles: edges (tiles, 2 * tile * tile), and for each tile its mean edge strength, mean grey and
    sharpness: fine detail (Laplacian) for each unit of edge, which a change of gain leaves alone."""

    edges: Edges
    texture: Edges
    mean: Edges
    sharpness: Edges

    @classmethod
    def of(cls, grey: Grey, tile: int) -> _Tiles:
        smooth = cv2.GaussianBlur(grey.astype(np.float32), (5, 5), 0)
        fine = np.abs(cv2.Laplacian(smooth, cv2.CV_32F))
        planes = np.stack([cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1), smooth, fine])
        _, height, width = planes.shape
        cut = planes.reshape(4, height // tile, tile, width // tile, tile).transpose(1, 3, 0, 2, 4)
        rows = cut.reshape(-1, 4, tile * tile)
        edges = rows[:, :2].reshape(len(rows), -1)
        texture, mean = np.abs(edges).mean(axis=1), rows[:, 2].mean(axis=1)
        return cls(edges, texture, mean, rows[:, 3].mean(axis=1) / (texture + 1.0))
