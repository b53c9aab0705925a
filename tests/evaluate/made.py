"""Small data sets and evaluations, made for a test."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from soteirad.detect.card import load_card
from soteirad.detect.engine import Engine
from soteirad.evaluate.curves import Curves, Judged
from soteirad.evaluate.dataset import Annotated, Dataset, Photo
from soteirad.evaluate.run import Evaluation, Measured, Run
from tests.shared_data import shared

CARD = "nanodet-g-416"


def document(**changes: Any) -> dict[str, Any]:
    """One picture of 64x48 with a person and a cat."""
    made: dict[str, Any] = {
        "images": [{"id": 7, "width": 64, "height": 48, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "person"}, {"id": 17, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "bbox": [1, 2, 30, 40], "area": 1200, "iscrowd": 0},
            {"id": 2, "image_id": 7, "category_id": 17, "bbox": [40, 5, 10, 10], "area": 100, "iscrowd": 0},
        ],
    }
    return made | changes


def write_data(
    root: Path, content: object = None, annotations: str = "instances.json", pictures: str = "images"
) -> Path:
    """Write a data set with one grey picture; returns its folder."""
    (root / annotations).parent.mkdir(parents=True, exist_ok=True)
    (root / pictures).mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(document() if content is None else content)
    (root / annotations).write_text(text, encoding="utf-8")
    cv2.imwrite(str(root / pictures / "a.png"), np.full((48, 64, 3), 90, np.uint8))
    return root


def part_of_coco_mini(root: Path, images: int) -> Path:
    """Write a data set with the first pictures of coco-mini and their annotations; returns its folder."""
    source = shared("coco-mini")
    content = json.loads((source / "instances.json").read_text(encoding="utf-8"))
    content["images"] = content["images"][:images]
    kept = {image["id"] for image in content["images"]}
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in kept]
    (root / "images").mkdir(parents=True)
    for image in content["images"]:
        shutil.copy(source / "images" / image["file_name"], root / "images")
    (root / "instances.json").write_text(json.dumps(content), encoding="utf-8")
    return root


def made_judged(seed: int, labels: int = 6) -> dict[str, Judged]:
    rng = np.random.default_rng(seed)
    made = {}
    for i in range(labels):
        count = int(rng.integers(5, 60))
        scores = rng.uniform(0.01, 0.95, count).round(3)
        hits = rng.uniform(size=count) < scores
        made[f"label {i}"] = Judged(scores, hits, int(hits.sum()) + int(rng.integers(1, 9)))
    return made


def made_evaluation(note: str = "") -> Evaluation:
    """Three runs with curves of their own, no model needed; the third has the first one's."""
    data = Dataset("made <data>", Path(), (Photo(id=1, file_name="a.png", width=64, height=48),), {"label 0": 1},
                   (Annotated(image_id=1, category_id=1, bbox=(0, 0, 9, 9)),))  # fmt: skip
    card = load_card(CARD)
    ap: dict[str, float | None] = {"ap": 26.94, "ap50": 43.5, "ap75": 28.1, "ap_small": None, "ap_medium": 34.0,
                                   "ap_large": 47.7, "person_ap50": 61.46}  # fmt: skip
    runs = [
        Run(card, Engine("onnx", "fp32")),
        Run(card, Engine("openvino", "fp16")),
        Run(card, Engine("litert", "fp32")),
    ]
    changed = [{}, {"ap": 26.81}, {}]
    notes = (note,) if note else ()
    measured = [
        Measured(run, ap | changed[i], Curves.of(made_judged(i % 2)), 1.0, {"f16": 34} if i else {}, notes)
        for i, run in enumerate(runs)
    ]
    return Evaluation(data, tuple(measured), 0.65)
