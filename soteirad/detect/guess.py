"""Guess what a model is: its head from shapes and metadata, its input from what that family was trained with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from soteirad.detect.facts import Facts, Shape
from soteirad.errors import ModelError

HEADS = ("gfl", "yolox", "yolov5", "yolov8", "detr", "ssd", "end2end")
COCO, COCO_WITH_GAPS = 80, 90
LEVELS = ((8, 16, 32), (8, 16, 32, 64))
MOST_QUERIES = 1000

YOLO_INPUT = {"colour": "RGB", "std": [255.0] * 3, "resize": "letterbox_centre", "pad": 114}
INPUTS: dict[str, dict[str, Any]] = {
    "yolov5": YOLO_INPUT,
    "yolov8": YOLO_INPUT,
    "end2end": YOLO_INPUT,
    "yolox": {"colour": "BGR", "resize": "letterbox_top_left", "pad": 114},
    "detr": {"colour": "RGB", "std": [255.0] * 3, "resize": "stretch"},
    "ssd": {"colour": "RGB", "mean": [127.5] * 3, "std": [127.5] * 3, "resize": "stretch"},
    "nanodet": {"colour": "BGR", "mean": [103.53, 116.28, 123.675], "std": [57.375, 57.12, 58.395],
                "resize": "letterbox_centre", "pad": 0},
    "nanodet-plus": {"colour": "BGR", "mean": [103.53, 116.28, 123.675], "std": [57.375, 57.12, 58.395],
                     "resize": "stretch"},
    "picodet": {"colour": "RGB", "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375],
                "resize": "stretch", "interpolation": "cubic"},
}  # fmt: skip
"""How each family's published training code feeds its models."""


@dataclass(frozen=True)
class Guess:
    """A card's `head` and `input` sections, the number of classes, and why."""

    head: dict[str, Any]
    input: dict[str, Any]
    classes: int
    reasons: tuple[str, ...]


def guess(facts: Facts, head: str | None = None, classes: int | None = None) -> Guess:
    """Guess from a file's facts; `head` and `classes` are what the owner knows. Raises ModelError if nothing fits."""
    if head is not None and head not in HEADS:
        raise ModelError(f"there is no head '{head}': known heads are {', '.join(HEADS)}")
    count = classes or len(facts.labels) or None
    found = []
    for kind in [head] if head else HEADS:
        made = _TRIES[kind](facts, count)
        if made is not None:
            found.append(made)
    if not found:
        shapes = ", ".join(f"{n} {list(s)}" for n, s in facts.outputs.items())
        what = f"not those of the head '{head}'" if head else "of no head that is known"
        with_labels = f" (with {count} labels)" if count else ""
        raise ModelError(f"the outputs ({shapes}) are {what}{with_labels}: say --head and --labels if you know them; "
                         f"known heads are {', '.join(HEADS)}")  # fmt: skip
    spec, number, reason = found[0]
    family, feed, why = _feeding(facts, spec)
    width, height = facts.size
    return Guess(spec, {"width": width, "height": height, **feed}, number,
                 (f"head {spec['type']}: {reason}", f"input as {family}: {why}"))  # fmt: skip


Made = tuple[dict[str, Any], int, str]


def _gfl(facts: Facts, count: int | None) -> Made | None:
    shapes = list(facts.outputs.values())
    for strides in LEVELS:
        cells = _cells(facts, strides)
        pairs = [[_other(s, n) for s in shapes if n in s[1:]] for n in cells]
        if len(shapes) == 2 * len(strides) and all(len(p) == 2 for p in pairs):
            wide = set(pairs[0])
            for number in [count] if count else [COCO, *wide]:
                sides = wide - {number}
                if number in wide and len(sides) == 1 and (bins := _bins(next(iter(sides)))):
                    text = f"{len(strides)} levels of cells ({', '.join(map(str, cells))}), a pair of outputs each"
                    return {"type": "gfl", "strides": list(strides), "bins": bins}, number, text
        number = count or COCO
        if len(shapes) == 1 and sum(cells) in shapes[0][1:] and (bins := _bins(_other(shapes[0], sum(cells)) - number)):
            # Four levels in one output are NanoDet-Plus, which measures from the cells' corners.
            corner = {"centre": 0.0} if len(strides) == 4 else {}
            return ({"type": "gfl", "strides": list(strides), "bins": bins, **corner}, number,
                    f"{sum(cells)} cells with {number} classes and 4 x {bins} bins each")  # fmt: skip
    return None


def _yolox(facts: Facts, count: int | None) -> Made | None:
    n, columns = _single(facts)
    cells, transposed = sum(_cells(facts, LEVELS[0])), n and next(iter(facts.outputs.values()))[2] == n
    number = count or columns - 5
    if n == cells and columns == number + 5 and number > 0 and (count or not transposed):
        return {"type": "yolox", "strides": list(LEVELS[0])}, number, f"{n} rows, one for each cell, of 5 + {number}"
    return None


def _yolov5(facts: Facts, count: int | None) -> Made | None:
    n, columns = _single(facts)
    number = count or columns - 5
    if n == 3 * sum(_cells(facts, LEVELS[0])) and columns == number + 5 and number > 0:
        return {"type": "yolov5"}, number, f"{n} rows, three anchors for each cell, of 5 + {number}"
    return None


def _yolov8(facts: Facts, count: int | None) -> Made | None:
    n, columns = _single(facts)
    number = count or columns - 4
    if n == sum(_cells(facts, LEVELS[0])) and columns == number + 4 and number > 0:
        return {"type": "yolov8"}, number, f"{n} boxes, one for each cell, of 4 + {number}"
    return None


def _detr(facts: Facts, count: int | None) -> Made | None:
    shapes = list(facts.outputs.values())
    boxes = [s for s in shapes if len(s) == 3 and s[2] == 4]
    if not boxes or len(boxes) > 2 or boxes[0][1] > MOST_QUERIES or _is_ssd(facts):
        return None
    queries = boxes[0][1]
    shapes.remove(boxes[0])
    rest = shapes  # with four classes, scores look like boxes
    if rest == [(1, queries)] * 2:
        return {"type": "detr"}, count or COCO, f"labels, boxes and scores of {queries} queries"
    if len(rest) == 1 and len(rest[0]) == 3 and rest[0][1] == queries and count in (None, rest[0][2]):
        return {"type": "detr"}, rest[0][2], f"class scores and boxes of {queries} queries"
    return None


def _ssd(facts: Facts, count: int | None) -> Made | None:
    if not _is_ssd(facts):
        return None
    # TFLite_Detection_PostProcess gives boxes, classes, scores and count in this order.
    boxes, classes, scores, _ = facts.outputs
    spec = {"type": "ssd", "boxes": boxes, "classes": classes, "scores": scores}
    return spec, count or COCO_WITH_GAPS, "boxes, classes, scores and count, as TensorFlow Lite's own NMS gives them"


def _end2end(facts: Facts, count: int | None) -> Made | None:
    shapes = list(facts.outputs.values())
    if len(shapes) == 1 and len(shapes[0]) == 3 and shapes[0][2] == 6 and shapes[0][1] <= MOST_QUERIES:
        return {"type": "end2end"}, count or COCO, f"{shapes[0][1]} rows of corners, score and class"
    return None


_TRIES = {"gfl": _gfl, "yolox": _yolox, "yolov5": _yolov5, "yolov8": _yolov8, "detr": _detr, "ssd": _ssd,
          "end2end": _end2end}  # fmt: skip


def _feeding(facts: Facts, spec: dict[str, Any]) -> tuple[str, dict[str, Any], str]:
    kind = spec["type"]
    family = kind
    if kind == "gfl":
        family = "nanodet-plus" if "centre" in spec else "picodet" if len(spec["strides"]) == 4 else "nanodet"
    feed = dict(INPUTS[family])
    tensor = facts.tensor
    if tensor.scale:
        # A quantised input stores the pixel itself, or the pixel minus 128.
        shift = float(tensor.zero_point + (128 if tensor.dtype.kind == "i" else 0))
        feed |= {"mean": [shift] * 3, "std": [1 / tensor.scale] * 3}
        return family, feed, f"quantised pixels (scale {tensor.scale:g}, zero point {tensor.zero_point})"
    if tensor.dtype.kind in "iu":
        feed.pop("mean", None)
        feed.pop("std", None)
        return family, feed, "whole numbers: the model normalises the picture itself"
    return family, feed, "what models of this family were trained with; override it with --colour, --mean, --std, " \
                         "--resize or --pad"  # fmt: skip


def _is_ssd(facts: Facts) -> bool:
    shapes = list(facts.outputs.values())
    return len(shapes) == 4 and len(shapes[0]) == 3 and shapes[0][2] == 4 and shapes[1] == shapes[2] == shapes[0][:2]


def _cells(facts: Facts, strides: tuple[int, ...]) -> list[int]:
    width, height = facts.size
    return [-(-width // s) * -(-height // s) for s in strides]


def _single(facts: Facts) -> tuple[int, int]:
    """Return rows and columns of a lone output (1, rows, columns) or (1, columns, rows); zeros for others."""
    shapes = list(facts.outputs.values())
    if len(shapes) != 1 or len(shapes[0]) != 3:
        return 0, 0
    return max(shapes[0][1:]), min(shapes[0][1:])


def _other(shape: Shape, n: int) -> int:
    return shape[2] if shape[1] == n else shape[1]


def _bins(columns: int) -> int | None:
    """Return the bins for each side of a box, if this can be the width of four distributions."""
    return columns // 4 if columns % 4 == 0 and 5 <= columns // 4 <= 33 else None
