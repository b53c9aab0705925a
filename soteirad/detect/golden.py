"""The golden check: a model must give the reference's answers on known pictures before it is trusted.

The pictures ship with Soteira; the answers (detections and raw outputs of the reference, ONNX in FP32) lie beside each
model card, made by `soteirad models add` (for shipped models, by `scripts/make_golden_answers.py`).
"""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from soteirad.detect.backend import Backend, create_backend
from soteirad.detect.card import Format, ModelCard
from soteirad.detect.detection import Detections, FloatArray
from soteirad.detect.detector import Detector
from soteirad.detect.engine import Engine
from soteirad.detect.nms import iou_matrix
from soteirad.detect.preprocess import Picture, scale_picture
from soteirad.errors import ModelError
from soteirad.resources import resource

SCORE = 0.3
"""Detections from this score on are compared; one that is within the bound of it may be there or not."""


@dataclass(frozen=True)
class Bounds:
    """How far an engine may be from the reference: least IoU, largest score difference, least cosine."""

    iou: float
    score: float
    cosine: float


FLOAT_BOUNDS = Bounds(0.95, 0.03, 0.999)
INT8_BOUNDS = Bounds(0.80, 0.15, 0.97)
"""For files with 8-bit weights: quantised YOLOv8n moved scores by up to 0.1 and boxes by an IoU of 0.86."""


@dataclass(frozen=True)
class Answer:
    """What the reference gave on one picture: detections from a low score on, and raw parts (float16) by role."""

    image: str
    found: Detections
    parts: dict[str, NDArray[np.float16]]


@dataclass(frozen=True)
class Verdict:
    """How an engine did: the worst figures, and each thing that is wrong in words."""

    objects: int
    iou: float
    score: float
    cosine: float
    problems: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """True when nothing is wrong."""
        return not self.problems

    def __str__(self) -> str:
        return (f"{self.objects} objects, IoU at least {self.iou:.3f}, scores within {self.score:.3f}, "
                f"cosine {self.cosine:.5f}")  # fmt: skip


def golden_folder() -> Path:
    """Return the folder of the pictures that ship."""
    return resource("models") / "golden"


def shipped_images() -> list[str]:
    """Return the names of the pictures that ship."""
    return sorted(p.name for p in golden_folder().glob("*.png"))


def read_image(path: Path) -> Picture:
    """Return a picture as BGR. Raises ModelError when it cannot be read."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise ModelError(f"{path}: this picture is missing or cannot be read")
    return np.asarray(picture, np.uint8)


def read_shipped() -> dict[str, Picture]:
    """Return the pictures that ship, by name."""
    return {name: read_image(golden_folder() / name) for name in shipped_images()}


def make_answers(detector: Detector, images: dict[str, Picture]) -> list[Answer]:
    """Return what a loaded `golden_detector` gives on the pictures."""
    answers = []
    for name, picture in images.items():
        content, outputs = detector.infer(scale_picture(picture, detector.card.input))
        parts = {role: _halved(array) for role, array in detector.head.parts(outputs).items()}
        answers.append(Answer(name, detector.read(content, outputs), parts))
    return answers


def _halved(array: FloatArray) -> NDArray[np.float16]:
    """Return numbers as float16, the largest cut to what it can hold; the cosine takes no notice."""
    limit = np.finfo(np.float16).max
    return np.clip(array, -limit, limit).astype(np.float16)


def write_answers(path: Path, answers: list[Answer], engine: str) -> None:
    """Write answers to a .npz file; the same answers give the same bytes."""
    arrays: dict[str, Any] = {"meta": np.array(json.dumps({"engine": engine, "images": [a.image for a in answers]}))}
    for i, a in enumerate(answers):
        arrays |= {f"boxes_{i}": a.found.boxes, f"scores_{i}": a.found.scores, f"classes_{i}": a.found.classes}
        arrays |= {f"part_{i}_{role}": array for role, array in a.parts.items()}
    np.savez_compressed(path, **arrays)


def read_answers(card: ModelCard) -> list[Answer]:
    """Return the card's answers. Raises ModelError when it has none or they cannot be read."""
    if card.golden is None:
        raise ModelError(f"{card.name}: the card has no golden answers: make them with `soteirad models add`")
    path = card.folder / card.golden
    try:
        with np.load(path, allow_pickle=False) as file:
            names = json.loads(str(file["meta"]))["images"]
            answers = [
                Answer(_picture_name(name), Detections(file[f"boxes_{i}"], file[f"scores_{i}"], file[f"classes_{i}"]),
                       {k.removeprefix(f"part_{i}_"): file[k] for k in file.files if k.startswith(f"part_{i}_")})
                for i, name in enumerate(names)
            ]  # fmt: skip
            _require_sense(answers, len(card.class_names))
            return answers
    except (OSError, KeyError, ValueError, TypeError, EOFError, MemoryError, IndexError, zipfile.BadZipFile,
            zlib.error) as error:
        raise ModelError(f"{path}: the golden answers cannot be read ({error}): make them again with "
                         f"`soteirad models add`") from error  # fmt: skip


def _picture_name(name: object) -> str:
    if not isinstance(name, str) or Path(name).name != name:
        raise ValueError("a picture's name is no file name")
    return name


def _require_sense(answers: list[Answer], classes: int) -> None:
    """Raise ValueError unless there are answers, of the shapes and classes that a comparison relies on."""
    for a in answers:
        n = len(a.found.scores)
        if a.found.boxes.shape != (n, 4) or a.found.scores.shape != (n,) or a.found.classes.shape != (n,):
            raise ValueError("the shapes are wrong")
        if n and not (a.found.classes.min() >= 0 and a.found.classes.max() < classes):
            raise ValueError("there is a class that has no label")
    if not answers or not all(a.parts for a in answers):
        raise ValueError("there is nothing to compare with")


def load_images(card: ModelCard, answers: list[Answer]) -> dict[str, Picture]:
    """Return the pictures that the answers speak of: the card's own, else those that ship. Raises ModelError."""
    own = {a.image: card.folder / a.image for a in answers}
    return {n: read_image(path if path.is_file() else golden_folder() / n) for n, path in own.items()}


def golden_detector(card: ModelCard, runs: Engine | Backend) -> Detector:
    """Return a detector for golden pictures, not loaded: all labels, and scores from well below `SCORE`."""
    backend = create_backend(card, runs) if isinstance(runs, Engine) else runs
    return Detector(card, backend, card.class_names, min_score=SCORE / 2, nms_iou=0.6)


def bounds_for(card: ModelCard, own: Format) -> Bounds:
    """Return the bounds for a file: wider when it has 8-bit weights and the reference, the ONNX file, has not."""
    eight_bit = own in card.files and card.files[own].weights == "int8"
    return INT8_BOUNDS if eight_bit and "onnx" in card.files and card.files["onnx"].weights != "int8" else FLOAT_BOUNDS


def check(detector: Detector, answers: list[Answer], images: dict[str, Picture], bounds: Bounds) -> Verdict:
    """Run a loaded golden detector on the pictures and compare it with the answers."""
    own = make_answers(detector, images)
    return compare(answers, own, bounds, detector.card.class_names)


def compare(reference: list[Answer], found: list[Answer], bounds: Bounds, names: tuple[str, ...]) -> Verdict:
    """Compare answers, picture by picture."""
    problems: list[str] = []
    objects, worst_iou, worst_score, worst_cosine = 0, 1.0, 0.0, 1.0
    for ours, theirs in zip(reference, found, strict=True):
        count, iou, score, wrong = _compare_boxes(ours.found, theirs.found, bounds, names)
        objects, worst_iou, worst_score = objects + count, min(worst_iou, iou), max(worst_score, score)
        problems += [f"{ours.image}: {w}" for w in wrong]
        for role, part in ours.parts.items():
            similarity = cosine(part, theirs.parts.get(role))
            worst_cosine = min(worst_cosine, similarity)
            if not similarity >= bounds.cosine:
                problems.append(f"{ours.image}: the raw {role} have a cosine of {similarity:.5f}, not {bounds.cosine}")
    return Verdict(objects, worst_iou, worst_score, worst_cosine, tuple(problems))


def cosine(a: NDArray[Any], b: NDArray[Any] | None) -> float:
    """Return the cosine of two arrays as vectors: 1 for two of zeros, 0 for other shapes or numbers not finite."""
    if b is None or a.shape != b.shape:
        return 0.0
    x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    sizes = float(np.linalg.norm(x) * np.linalg.norm(y))
    if not np.isfinite(sizes):
        return 0.0
    if not sizes:
        return float(not x.any() and not y.any())
    return float(x @ y) / sizes


def _compare_boxes(reference: Detections, found: Detections, bounds: Bounds,
                   names: tuple[str, ...]) -> tuple[int, float, float, list[str]]:  # fmt: skip
    """Return objects matched, worst IoU, worst score difference, and what is wrong."""
    sure, ours = reference.select(reference.scores >= SCORE), found.select(found.scores >= SCORE)
    missing, iou, score = _match(sure, found, bounds)
    extra, _, _ = _match(ours, reference, bounds)
    wrong = [_words("missing or moved", sure, i, names) for i in missing]
    wrong += [_words("not in the reference", ours, i, names) for i in extra]
    return len(sure) - len(missing), iou, score, wrong


def _match(wanted: Detections, there: Detections, bounds: Bounds) -> tuple[list[int], float, float]:
    """Return which of `wanted` have no match in `there`, and the worst IoU and score difference of the matches.

    One whose score is within the bound of `SCORE` may have none.
    """
    if not len(wanted):
        return [], 1.0, 0.0
    overlap: FloatArray = iou_matrix(wanted.boxes, there.boxes)
    difference = np.abs(wanted.scores[:, None] - there.scores[None, :])
    fits = (wanted.classes[:, None] == there.classes[None, :]) & (overlap >= bounds.iou) & (difference <= bounds.score)
    matched = fits.any(axis=1)
    missing = np.nonzero(~matched & (wanted.scores >= SCORE + bounds.score))[0].tolist()
    if not matched.any():
        return missing, 1.0, 0.0
    # Of several that fit, the one that overlaps most.
    best = np.where(fits, overlap, -1.0).argmax(axis=1)
    rows = np.nonzero(matched)[0]
    return missing, float(overlap[rows, best[rows]].min()), float(difference[rows, best[rows]].max())


def _words(what: str, found: Detections, index: int, names: tuple[str, ...]) -> str:
    return f"{names[found.classes[index]]} {found.scores[index]:.2f} is {what}"
