"""`models convert`: FP16 weights for a model, in its own format or another, proven before it is kept."""

from __future__ import annotations

import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from soteirad.detect.backends.mil import MilBackend
from soteirad.detect.card import Format, ModelCard, ModelFile, file_digest, load_card
from soteirad.detect.engine import Engine
from soteirad.detect.golden import (
    FLOAT_BOUNDS,
    Answer,
    check,
    golden_detector,
    load_images,
    read_answers,
    read_shipped,
)
from soteirad.detect.preprocess import Picture
from soteirad.errors import ModelError
from soteirad.resources import resource
from soteirad.tools.models import answer

ENGINES: dict[Format, Engine] = {"onnx": Engine("onnx", "fp32"), "tflite": Engine("litert", "fp32"),
                                 "coreml": Engine("coreml", "fp16", 1, "all")}  # fmt: skip
TRANSLATED = " (of its program, translated back; on a Mac the golden check decides at the first start)"
SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "tflite": ".tflite", "coreml": ".mlpackage"}


@dataclass(frozen=True)
class Converted:
    """A converted model: its file, its card, sizes in bytes, and how it was proven."""

    path: Path
    card_path: Path
    size_before: int
    size_after: int
    proof: str

    def document(self) -> dict[str, Any]:
        """Return what `models convert --json` prints."""
        return {"file": str(self.path), "card": str(self.card_path), "size_before": self.size_before,
                "size_after": self.size_after, "proof": self.proof}  # fmt: skip


def convert_model(model: str, to: Format, out: Path | None) -> Converted:
    """Convert a card's ONNX file to `to` with FP16 weights, and write a card for it into `out`.

    `out` is the card's own folder without it, or the current folder for a model that ships. Raises ModelError, and
    writes nothing, when the conversion fails or does not give the golden answers.
    """
    card = load_card(model)
    card.verify_file("onnx")
    source = card.file_path("onnx")
    name = f"{card.name}-{to}-fp16"
    folder = out or (Path.cwd() if card.folder == resource("models").resolve() else card.folder)
    with tempfile.TemporaryDirectory(prefix="soteira-convert-") as scratch:
        made = Path(scratch) / f"{name}{SUFFIXES[to]}"
        _convert(source, made, to)
        labels = shutil.copy(card.folder / card.labels, scratch)
        draft = card.model_copy(update={
            "name": name, "files": {to: ModelFile(file=made.name, weights="fp16")}, "labels": Path(labels).name,
            "folder": Path(scratch),
        })  # fmt: skip
        proof = _prove(card, draft, to)
        target = folder / made.name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _replace(made, target)
            card_path = _write_card(card, draft, folder, to, target)
        except OSError as error:
            raise ModelError(f"{error.filename}: the converted model cannot be written ({error.strerror}): choose a "
                             f"folder with --out") from error  # fmt: skip
    return Converted(target, card_path, file_digest(source)[0], file_digest(target)[0], proof)


def _convert(source: Path, target: Path, to: Format) -> None:
    if to == "tflite":
        from soteirad.convert.tflite import onnx_to_tflite

        onnx_to_tflite(source, target)
    elif to == "coreml":
        from soteirad.convert.coreml import onnx_to_coreml

        onnx_to_coreml(source, target)
    else:
        from soteirad.convert.onnx_fp16 import onnx_to_fp16

        onnx_to_fp16(source, target)


def _prove(card: ModelCard, draft: ModelCard, to: Format) -> str:
    """Return how well a converted model agrees with its source. Raises ModelError when it does not."""
    answers, images = _answers(card)
    # Core ML predicts on a Mac only: elsewhere its program is translated back and run, with FP16 rounding.
    translated = to == "coreml" and platform.system() != "Darwin"
    engine = ENGINES[to]
    detector = golden_detector(draft, MilBackend(draft, engine) if translated else engine)
    detector.load()
    try:
        verdict = check(detector, answers, images, FLOAT_BOUNDS)
    finally:
        detector.close()
    if not verdict.passed:
        raise ModelError(f"{card.name}: the {to} model does not give the golden answers ({verdict}): "
                         f"{'; '.join(verdict.problems[:3])}. Nothing was written")  # fmt: skip
    return f"{verdict}{TRANSLATED if translated else ''}"


def _answers(card: ModelCard) -> tuple[list[Answer], dict[str, Picture]]:
    """Return the card's golden answers and pictures, or the source's own answers on the pictures that ship."""
    if card.golden is not None:
        answers = read_answers(card)
        return answers, load_images(card, answers)
    images = read_shipped()
    return answer(card, images), images


def _write_card(card: ModelCard, draft: ModelCard, folder: Path, to: Format, target: Path) -> Path:
    """Write the card of the converted file, with labels and golden answers beside it; returns the card's path."""
    beside = [card.labels]
    if card.golden is not None:
        own = [a.image for a in read_answers(card) if (card.folder / a.image).is_file()]
        beside += [card.golden, *own]
    for file in beside:
        target_file = folder / Path(file).name
        if not (target_file.exists() and target_file.samefile(card.folder / file)):
            shutil.copy(card.folder / file, target_file)
    data = draft.model_dump(mode="json", exclude={"folder", "measured"}, exclude_defaults=True)
    data["files"] = {to: {"file": target.name, "weights": "fp16", "sha256": file_digest(target)[1]}}
    data["head"] = draft.head.model_dump(mode="json")
    data["labels"], data["golden"] = Path(card.labels).name, card.golden and Path(card.golden).name
    path = folder / f"{draft.name}.yaml"
    text = yaml.safe_dump({k: v for k, v in data.items() if v}, sort_keys=False, width=110)
    path.write_text(f"# Made by `soteirad models convert` from {card.name}.\n{text}", encoding="utf-8")
    return path


def _replace(made: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    shutil.move(made, target)
