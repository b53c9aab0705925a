#!/usr/bin/env python3
"""Measure a detector on a folder of COCO images: AP, AP50 and person AP50 with pycocotools.

    python scripts/eval_detector.py COCO_FOLDER [--model NAME]

COCO_FOLDER holds `images/*.jpg` and `instances.json`. Confidence 0.01, NMS IoU 0.6, at most 100 boxes an image.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
from pathlib import Path

import cv2
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from soteirad.detect.card import load_card
from soteirad.detect.detector import Detector


def detections_of(folder: Path, truth: COCO, model: str) -> list[dict[str, object]]:
    """Run the detector on every image; returns COCO result records."""
    card = load_card(model)
    detector = Detector.create(card, card.class_names, min_score=0.01, nms_iou=0.6)
    detector.load()
    names = {c["name"]: c["id"] for c in truth.loadCats(truth.getCatIds())}
    results: list[dict[str, object]] = []
    for image in truth.loadImgs(truth.getImgIds()):
        picture = cv2.imread(str(folder / "images" / image["file_name"]))
        height, width = picture.shape[:2]
        found = detector.detect(cv2.resize(picture, detector.picture_size(width, height)))
        for box, score, index in zip(found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True):
            x1, y1, x2, y2 = box[0] * width, box[1] * height, box[2] * width, box[3] * height
            results.append({"image_id": image["id"], "category_id": names[card.class_names[index]],
                            "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score})  # fmt: skip
    return results


def measure(folder: Path, model: str) -> dict[str, float]:
    """Return AP, AP50 and person AP50, in percent."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "instances.json"))
        found = truth.loadRes(detections_of(folder, truth, model))
        everything, person = COCOeval(truth, found, "bbox"), COCOeval(truth, found, "bbox")
        person.params.catIds = truth.getCatIds(catNms=["person"])
        for run in (everything, person):
            run.evaluate()
            run.accumulate()
            run.summarize()
    return {"ap": 100 * everything.stats[0], "ap50": 100 * everything.stats[1], "person_ap50": 100 * person.stats[1]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="nanodet-g-416")
    arguments = parser.parse_args()
    print(json.dumps({k: round(v, 2) for k, v in measure(arguments.folder, arguments.model).items()}))
