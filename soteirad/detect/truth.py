"""What the golden pictures hold, and how much of it a model found."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from soteirad.detect.detection import FloatArray
from soteirad.detect.golden import SCORE, Answer, golden_folder
from soteirad.detect.nms import iou_matrix

IOU = 0.5


@dataclass(frozen=True)
class Truth:
    """The objects of one picture: labels, and boxes (n, 4) float32 as fractions of the picture."""

    labels: tuple[str, ...]
    boxes: FloatArray


def read_truth() -> dict[str, Truth]:
    """Return the truth of each picture that ships, by its name."""
    document = json.loads((golden_folder() / "truth.json").read_text(encoding="utf-8"))
    return {image["file"]: _truth(image) for image in document["images"]}


def _truth(image: dict[str, object]) -> Truth:
    objects, width, height = image["objects"], image["width"], image["height"]
    size = np.array([width, height, width, height], np.float32)
    boxes = np.array([o["box"] for o in objects], np.float32).reshape(-1, 4)  # type: ignore[attr-defined]
    return Truth(tuple(o["label"] for o in objects), boxes / size)  # type: ignore[attr-defined]


def share_found(names: tuple[str, ...], answers: list[Answer], truth: dict[str, Truth]) -> tuple[int, int] | None:
    """Return how many objects of labels in `names` were found at `SCORE` and `IOU`, and how many there are.

    None when there are none of these labels.
    """
    found = there = 0
    for answer in answers:
        objects = truth[answer.image]
        sure = answer.found.select(answer.found.scores >= SCORE)
        indices = [names.index(label) if label in names else -1 for label in objects.labels]
        fits = (iou_matrix(objects.boxes, sure.boxes) >= IOU) & (np.array(indices)[:, None] == sure.classes[None, :])
        found += int(fits.any(axis=1).sum())
        there += sum(i >= 0 for i in indices)
    return (found, there) if there else None
