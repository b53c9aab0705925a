"""Polygons and boxes in fractions of the frame."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Polygon = Sequence[float]
"""x1, y1, x2, y2, ... in fractions of the frame, 0-1."""
Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in fractions of the frame; what is expected may reach out of it."""


def polygon_mask(polygons: Sequence[Polygon], width: int, height: int) -> NDArray[np.uint8]:
    """Return a (height, width) uint8 mask: 255 inside any of the polygons, 0 elsewhere."""
    mask = np.zeros((height, width), np.uint8)
    size = np.array([width, height], np.float64)
    for polygon in polygons:
        points = np.asarray(polygon, np.float64).reshape(-1, 2) * size
        cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 255)
    return mask


def inside(polygon: Polygon, x: float, y: float) -> bool:
    """Say whether the point lies in the polygon or on its edge."""
    points = np.asarray(polygon, np.float32).reshape(-1, 1, 2)
    return bool(cv2.pointPolygonTest(points, (x, y), False) >= 0)
