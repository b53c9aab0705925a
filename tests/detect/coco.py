"""AP of a card's reference engine on a folder of COCO images, with pycocotools."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from soteirad.detect.card import ModelCard
from soteirad.detect.detector import Detector
from soteirad.detect.golden import read_image
from soteirad.detect.preprocess import scale_picture
from soteirad.tools.models import reference_engine

MOST_BOXES = 100


def measure(card: ModelCard, folder: Path, nms_iou: float, every: int = 1) -> dict[str, float]:
    """Return AP, AP50 and person AP50 in percent, at confidence 0.01 and at most 100 boxes an image.

    With `every` of n only each n-th image is looked at.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    detector = Detector.create(card, card.class_names, 0.01, nms_iou, reference_engine(card), every_label=True)
    detector.load()
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "instances.json"))
        ids = {c["name"]: c["id"] for c in truth.loadCats(truth.getCatIds())}
        images = sorted(truth.getImgIds())[::every]
        rows = []
        for image in truth.loadImgs(images):
            found = detector.detect(scale_picture(read_image(folder / "images" / image["file_name"]), card.input))
            width, height = image["width"], image["height"]
            for (x1, y1, x2, y2), score, c in zip(found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(),
                                                  strict=True):  # fmt: skip
                if card.class_names[c] in ids:
                    box = [x1 * width, y1 * height, (x2 - x1) * width, (y2 - y1) * height]
                    rows.append({"image_id": image["id"], "category_id": ids[card.class_names[c]], "bbox": box,
                                 "score": score})  # fmt: skip
        detector.close()
        judged = COCOeval(truth, truth.loadRes(rows), "bbox")
        # COCO's AP is that of objects of any size.
        judged.params.areaRng, judged.params.areaRngLbl = judged.params.areaRng[:1], judged.params.areaRngLbl[:1]
        judged.params.maxDets, judged.params.imgIds = [MOST_BOXES], images
        judged.evaluate()
        judged.accumulate()
    precision = judged.eval["precision"][..., 0, 0]  # IoU, recall, category
    person = judged.params.catIds.index(ids["person"])
    figures = {"ap": precision, "ap50": precision[0], "person_ap50": precision[0, :, person]}
    return {name: 100 * float(table[table > -1].mean()) for name, table in figures.items()}
