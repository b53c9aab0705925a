"""Run models over a data set: which model in which arithmetic, what each found, and how they compare."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np

from soteirad.detect.backend import create_backend
from soteirad.detect.card import ModelCard, load_card
from soteirad.detect.choice import PRECISIONS, device_of
from soteirad.detect.detector import Detector
from soteirad.detect.engine import Engine, Precision
from soteirad.detect.preprocess import scale_picture
from soteirad.errors import SoteiraError
from soteirad.evaluate.ap import CURVE_IOU, MOST_BOXES, Found, judge, need_pycocotools
from soteirad.evaluate.curves import CURVES, POINTS, CurveName, Curves, Difference, difference
from soteirad.evaluate.dataset import Dataset

MIN_SCORE = 0.01
NMS_IOU = 0.65

Step = Callable[[str], None]
"""Called after each picture with the name of the run."""

_SUFFIX = re.compile(r"^(?P<model>.+)@(?P<backend>[a-z]+)(?::(?P<precision>[a-z0-9]+))?$")
@dataclass(frozen=True)
class Run:
    """A model and the engine that runs it."""

    card: ModelCard
    engine: Engine

    @property
    def name(self) -> str:
        """Model and engine, to tell runs apart."""
        return f"{self.card.name} {self.engine}"


@dataclass(frozen=True)
class Measured:
    """What came out of one run; `executed` counts the layers by arithmetic, where the backend tells it."""

    run: Run
    ap: dict[str, float | None]
    curves: Curves
    seconds: float
    executed: dict[str, int]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Evaluation:
    """All runs on one data set; the first is the base that the others are compared with."""

    data: Dataset
    measured: tuple[Measured, ...]
    nms_iou: float

    def differences(self, other: Measured) -> dict[CurveName, Difference]:
        """Return how far each curve of a run lies from that of the first run."""
        return {name: difference(self.measured[0].curves, other.curves, name) for name in CURVES}

    def document(self) -> dict[str, Any]:
        """Return everything as plain data for JSON."""
        base = self.measured[0]
        return {
            "data": {"name": self.data.name, "images": len(self.data.photos), "labels": len(self.data.counts),
                     "objects": sum(self.data.counts.values())},
            "settings": {"min_score": MIN_SCORE, "nms_iou": self.nms_iou, "max_boxes": MOST_BOXES,
                         "curve_iou": CURVE_IOU, "points": POINTS},
            "runs": [_plain(m) for m in self.measured],
            "differences": [
                {"base": base.run.name, "other": m.run.name,
                 "ap": {k: _minus(m.ap[k], base.ap[k]) for k in base.ap},
                 "curves": {k: asdict(d) for k, d in self.differences(m).items()}}
                for m in self.measured[1:]
            ],
        }  # fmt: skip


def parse_runs(models: Sequence[str], backends: Sequence[str] = (), precisions: Sequence[str] = (),
               threads: int = 1) -> list[Run]:  # fmt: skip
    """Return the runs that the command line asks for. Raises SoteiraError.

    A model written `card@backend:precision` is run so and only so (fp32 when only a backend is named). The others run
    with each of `backends` in each of `precisions`; without them with onnxruntime, or with LiteRT where the card has no
    ONNX file, in fp32.
    """
    runs = []
    for text in models:
        suffix = _SUFFIX.match(text)
        card = load_card(suffix["model"] if suffix else text)
        asked = [suffix["backend"]] if suffix else list(backends) or ["onnx" if "onnx" in card.files else "litert"]
        arithmetic = [suffix["precision"] or usual(suffix["backend"])] if suffix else list(precisions) or ["fp32"]
        runs += [Run(card, _engine(text, b, p, threads)) for b in asked for p in arithmetic]
    return runs


def usual(backend: str) -> str:
    """Return the arithmetic of a backend when none is named: fp32, or fp16 for Core ML, which has no other."""
    return "fp16" if backend == "coreml" else "fp32"


def _engine(text: str, backend: str, precision: str, threads: int) -> Engine:
    names = (("backend", backend, tuple(PRECISIONS)), ("precision", precision, get_args(Precision)))
    for kind, value, known in names:
        if value not in known:
            raise SoteiraError(f"{text}: there is no {kind} '{value}': use one of {', '.join(known)}")
    engine = Engine(backend, precision, threads, device_of(backend))  # type: ignore[arg-type]
    computes = PRECISIONS[engine.backend]
    if precision not in computes:  # it would change nothing, and be printed as if it had
        raise SoteiraError(f"{text}: {backend} computes in {' or '.join(computes)}, not in {precision}")
    return engine


def evaluate(runs: Sequence[Run], data: Dataset, step: Step = lambda _: None, nms_iou: float = NMS_IOU) -> Evaluation:
    """Run each model over the data, one after the other. Raises SoteiraError, as early as it can."""
    need_pycocotools()
    for run in runs[1:]:
        detector, _ = _open(run, data, nms_iou)
        detector.close()
    return Evaluation(data, tuple(_measure(run, data, nms_iou, step) for run in runs), nms_iou)


def _measure(run: Run, data: Dataset, nms_iou: float, step: Step) -> Measured:
    detector, executed = _open(run, data, nms_iou)
    began = time.monotonic()
    try:
        found = _detect(detector, data, lambda: step(run.name))
    finally:
        detector.close()
    seconds = time.monotonic() - began
    verdict = judge(data, found)
    return Measured(run, verdict.ap, Curves.of(verdict.judged), seconds, executed, tuple(_notes(run.card, data)))


def _open(run: Run, data: Dataset, nms_iou: float) -> tuple[Detector, dict[str, int]]:
    """Return a loaded detector for the labels that the data has too, and the arithmetic of its layers if known."""
    common = [label for label in run.card.class_names if label in data.labels]
    if not common:
        raise SoteiraError(
            f"{run.card.name}: none of its labels ({_some(run.card.class_names)}) is a label of {data.name} "
            f"({_some(tuple(data.labels))}): labels are compared by name, so write the data's names into the label file"
        )
    backend = create_backend(run.card, run.engine)
    detector = Detector(run.card, backend, common, MIN_SCORE, nms_iou, every_label=True)
    detector.load()
    return detector, backend.executed_precisions()


def _detect(detector: Detector, data: Dataset, step: Callable[[], None]) -> Found:
    """Return what the detector finds on all photographs; pictures are dropped at once, and rows are packed."""
    numbers = np.array([data.labels.get(name, -1) for name in detector.card.class_names], np.int64)
    photos, labels, boxes, scores = [], [], [], []
    for photo in data.photos:
        found = detector.detect(scale_picture(data.read(photo), detector.card.input))
        corners = found.boxes.astype(np.float64) * [photo.width, photo.height, photo.width, photo.height]
        photos.append(np.full(len(found), photo.id, np.int64))
        labels.append(numbers[found.classes])
        boxes.append(np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1))
        scores.append(found.scores.astype(np.float64))
        step()
    return Found(np.concatenate(photos), np.concatenate(labels), np.concatenate(boxes), np.concatenate(scores))


def _notes(card: ModelCard, data: Dataset) -> list[str]:
    unknown = tuple(label for label in data.counts if label not in card.class_names)
    if not unknown:
        return []
    share = f"{len(unknown)} of {len(data.counts)} labels of the data"
    return [f"{share} are unknown to the model and count as never found: {_some(unknown)}"]


def _some(names: tuple[str, ...], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _plain(measured: Measured) -> dict[str, Any]:
    best, confidence = measured.curves.best_f1()
    return {
        "name": measured.run.name, "model": measured.run.card.name, "backend": measured.run.engine.backend,
        "precision": measured.run.engine.precision, "threads": measured.run.engine.threads,
        "executed": measured.executed, "seconds": round(measured.seconds, 2), "notes": list(measured.notes),
        "ap": {k: None if v is None else round(v, 4) for k, v in measured.ap.items()},
        "best_f1": {"f1": round(best, 6), "confidence": round(confidence, 6)},
        "curves": {k: measured.curves.mean[k].round(6).tolist() for k in CURVES},
        "pooled_curves": {k: measured.curves.pooled[k].round(6).tolist() for k in CURVES},
    }  # fmt: skip


def _minus(other: float | None, base: float | None) -> float | None:
    return None if other is None or base is None else round(other - base, 4)
