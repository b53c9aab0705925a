"""Polygons and boxes in fractions of the frame, and regions of masks."""

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


def set_part(mask: NDArray[np.uint8]) -> tuple[slice, slice] | None:
    """Return the smallest rectangle that holds all that is set in a uint8 mask (height, width); None if nothing is."""
    left, top, width, height = cv2.boundingRect(mask)
    return (slice(top, top + height), slice(left, left + width)) if width else None


def regions(mask: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the 8-connected regions of a uint8 mask in which something is set.

    That is each pixel's region (height, width), from 1, and each region's pixel count (regions,), from region 1.
    """
    # OpenCV's own choice of algorithm takes 1.2 to 1.6 times as long in a rectangle of what is set (measured).
    _, labels, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(mask, 8, cv2.CV_32S, cv2.CCL_BBDT)
    return np.asarray(labels, np.int32), np.asarray(stats[1:, cv2.CC_STAT_AREA], np.int32)
