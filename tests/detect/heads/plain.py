"""What a head should find, written as loops over numbers, and how two findings are compared."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest

from soteirad.detect.backend import Outputs
from soteirad.detect.heads import Candidates, Head

Found = tuple[float, int, tuple[float, ...]]
"""Score, class and box."""


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def corners(x: float, y: float, width: float, height: float) -> tuple[float, ...]:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def decode(head: Head, outputs: Outputs, classes: Iterable[int], min_score: float) -> list[Found]:
    """Bind, decode and return the candidates in order; checks what every head promises of the arrays."""
    head.bind(outputs)
    wanted = np.array(sorted(classes), np.int64)
    before = {name: array.copy() for name, array in outputs.items()}
    found: Candidates = head.decode(outputs, wanted, min_score)
    assert all(np.array_equal(outputs[name], array) for name, array in before.items()), "outputs are not changed"
    boxes, scores, labels = found
    assert boxes.shape == (len(scores), 4)
    assert scores.shape == labels.shape == (len(scores),)
    assert boxes.dtype == np.float32
    assert scores.dtype == np.float32
    assert labels.dtype == np.int64
    return sorted((s, c, tuple(b)) for s, c, b in zip(scores.tolist(), labels.tolist(), boxes.tolist(), strict=True))


def assert_same(found: list[Found], expected: list[Found]) -> None:
    """Compare with what loops found; there has to be something."""
    assert expected, "a test that finds nothing proves nothing"
    expected = sorted(expected)
    assert [c for _, c, _ in found] == [c for _, c, _ in expected]
    assert [s for s, _, _ in found] == pytest.approx([s for s, _, _ in expected], abs=1e-5)
    boxes = np.array([b for _, _, b in found]), np.array([b for _, _, b in expected])
    assert np.abs(boxes[0] - boxes[1]).max() < 2e-3
