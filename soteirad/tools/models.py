"""`models list` and `models add`: which models there are, and a card for a model of the owner's."""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import ValidationError

from soteirad.detect.card import (
    NAME,
    ModelCard,
    external_files,
    file_digest,
    load_card,
    problems_of,
    read_labels,
    shipped_cards,
)
from soteirad.detect.detector import REFERENCE
from soteirad.detect.engine import Engine
from soteirad.detect.facts import Facts, read_facts
from soteirad.detect.golden import (
    SCORE,
    Answer,
    golden_detector,
    make_answers,
    read_image,
    read_shipped,
    write_answers,
)
from soteirad.detect.guess import COCO, COCO_WITH_GAPS, Guess, guess
from soteirad.detect.preprocess import Picture, scale_picture
from soteirad.detect.truth import read_truth, share_found
from soteirad.errors import ModelError
from soteirad.resources import resource

LEAST_FOUND = 0.3
"""A model that knows labels of the golden pictures has to find this share of their objects: sound ones find half."""


LARGEST_FRACTION = 2.0
"""Boxes whose coordinates all stay under this are fractions of the input, not pixels."""


@dataclass(frozen=True)
class Wishes:
    """What the owner says of a model, where the guess would be wrong; None means guess."""

    name: str | None = None
    head: str | None = None
    labels: Path | None = None
    size: tuple[int, int] | None = None
    colour: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    resize: str | None = None
    pad: int | None = None
    images: tuple[Path, ...] = field(default=())
    accept: bool = False


@dataclass(frozen=True)
class Added:
    """A new card, why it says what it says, and what the model found on each golden picture."""

    card_path: Path
    card: ModelCard
    reasons: tuple[str, ...]
    answers: list[Answer]
    found: tuple[int, int] | None
    """Objects found and objects there, of labels that the model knows; None when it knows none of the pictures'."""


    def document(self) -> dict[str, Any]:
        """Return what `models add --json` prints."""
        return {"card": str(self.card_path), "head": self.card.head.model_dump(),
                "input": self.card.input.model_dump(), "reasons": list(self.reasons), "found": self.found,
                "detections": {a.image: self.detections(a) for a in self.answers}}  # fmt: skip

    def detections(self, answer: Answer) -> list[dict[str, Any]]:
        """Return what was surely found on a picture: label, score and box (fractions of the picture)."""
        found = answer.found.select(answer.found.scores >= SCORE)
        rows = zip(found.classes.tolist(), found.scores.tolist(), found.boxes.tolist(), strict=True)
        return [
            {"label": self.card.class_names[c], "score": round(s, 3), "box": [round(v, 3) for v in box]}
            for c, s, box in rows
        ]


def three_numbers(flag: str, text: str | None) -> tuple[float, ...] | None:
    """Return the numbers of a flag such as `--mean 0,0,0`; one number counts for all three. Raises ModelError."""
    if text is None:
        return None
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) not in (1, 3) or not np.isfinite(values).all():
        raise ModelError(f"{flag} {text}: write one number, or three with commas between them, such as {flag} 0,0,0")
    return values * 3 if len(values) == 1 else values


def list_models() -> list[dict[str, Any]]:
    """Return what there is to say of each shipped model."""
    cards = [load_card(name) for name in shipped_cards()]
    return [
        {"name": c.name, "head": c.head.type, "input": f"{c.input.width}x{c.input.height}",
         "files": {k: f.weights for k, f in c.files.items()}, "labels": len(c.class_names), "licence": c.licence,
         "measured": c.measured}
        for c in cards
    ]  # fmt: skip


def add_model(file: Path, wishes: Wishes) -> Added:
    """Guess what `file` is, try it on the golden pictures and write its card beside it. Raises ModelError.

    Nothing is written when the model finds too little of what the pictures hold, unless `wishes.accept`.
    """
    file = file.absolute()
    name = _card_name(file, wishes.name)
    facts = read_facts(file, wishes.size)
    known = read_labels(wishes.labels) if wishes.labels else facts.labels
    made = guess(facts, wishes.head, len(known) or None)
    labels, why = _labels(known, made, wishes.labels)
    _check_pictures(wishes.images, file.parent)
    images = {path.name: read_image(path) for path in wishes.images} or read_shipped()
    with tempfile.TemporaryDirectory() as folder:
        for each in [file, *external_files(file)]:
            (Path(folder) / each.name).symlink_to(each)
        draft = _draft(name, file, facts, made, wishes)
        (Path(folder) / draft["labels"]).write_text("\n".join(labels) + "\n", encoding="utf-8")
        try:
            card, answers, settled = _try_out(_card(draft, Path(folder)), facts, images)
        except ModelError as error:  # it speaks of where the model was tried
            raise ModelError(str(error).replace(folder, str(file.parent))) from error
    found = None if wishes.images else share_found(card.class_names, answers, read_truth())
    reasons = (*made.reasons, why, *settled)
    if found and found[0] < LEAST_FOUND * found[1] and not wishes.accept:
        raise ModelError(
            f"{file}: this model found {found[0]} of {found[1]} objects that it should know on the golden pictures: "
            f"either the guess is wrong ({'; '.join(reasons)}), or the model is broken. Correct the guess with flags, "
            f"or use --accept if these pictures mean nothing to it. Nothing was written"
        )
    path = _write(file, {**draft, "head": card.head.model_dump()}, labels, answers, wishes)
    return Added(path, load_card(str(path)), reasons, answers, found)


def reference_engine(card: ModelCard) -> Engine:
    """Return the engine whose answers count: ONNX in FP32, or LiteRT for a card that has no ONNX file."""
    return REFERENCE if "onnx" in card.files else Engine("litert", "fp32")


def answer(card: ModelCard, images: dict[str, Picture]) -> list[Answer]:
    """Return the reference's answers of a card on pictures. Raises ModelError."""
    detector = golden_detector(card, reference_engine(card))
    detector.load()
    try:
        return make_answers(detector, images)
    finally:
        detector.close()


def _card_name(file: Path, wished: str | None) -> str:
    """Return the card's name: the wished one, or the file's with what a name cannot have replaced. Raises ModelError.

    A card of that name beside the file must not be that of another file.
    """
    name = wished or re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-._") or "model"
    if not NAME.fullmatch(name):
        raise ModelError(f"--name {name}: use letters a-z and A-Z, digits and . _ -, beginning with a letter or digit")
    path = file.parent / f"{name}.yaml"
    if path.is_file() and file.name not in [f.file for f in load_card(str(path)).files.values()]:
        raise ModelError(f"{path}: this card is that of another model: choose another name with --name")
    return name


def _check_pictures(pictures: tuple[Path, ...], folder: Path) -> None:
    """Raise ModelError when two pictures have one name, or one has the name of another picture beside the model."""
    for i, picture in enumerate(pictures):
        there = folder / picture.name
        if picture.name in [p.name for p in pictures[:i]] or (there.exists() and not there.samefile(picture)):
            raise ModelError(f"{picture}: there is another picture of this name: rename one of them")


def _draft(name: str, file: Path, facts: Facts, made: Guess, wishes: Wishes) -> dict[str, Any]:
    feed = dict(made.input)
    for key in ("colour", "mean", "std", "resize", "pad"):
        value = getattr(wishes, key)
        if value is not None:
            feed[key] = list(value) if isinstance(value, tuple) else value
    return {
        "name": name,
        "description": facts.metadata.get("description", ""),
        "files": {facts.format: {"file": file.name, "weights": facts.weights, "sha256": file_digest(file)[1]}},
        "head": made.head,
        "input": feed,
        "labels": f"{name}.labels.txt",
        "golden": f"{name}.golden.npz",
        "licence": facts.metadata.get("license", ""),
    }


def _card(draft: dict[str, Any], folder: Path) -> ModelCard:
    try:
        return ModelCard.model_validate({**draft, "folder": folder})
    except ValidationError as error:
        raise ModelError(f"the flags do not make a model card: {problems_of(error)}") from error


def _try_out(card: ModelCard, facts: Facts, images: dict[str, Picture]) -> tuple[ModelCard, list[Answer], list[str]]:
    """Settle by real outputs what shapes do not tell (units, logits); returns the card, its answers and the reasons."""
    detector = golden_detector(card, reference_engine(card))
    detector.load()
    try:
        outputs = [detector.infer(scale_picture(p, card.input))[1] for p in images.values()]
    finally:
        detector.close()
    parts = [detector.head.parts(o) for o in outputs]
    if not all(np.isfinite(array).all() for part in parts for array in part.values()):
        raise ModelError(f"{card.name}: the model gives numbers that are not finite (NaN or infinity) on the golden "
                         f"pictures: it is broken, or needs another mean and std")  # fmt: skip
    head, settled = card.head.model_dump(), []
    classes = np.arange(len(card.class_names))
    if head.get("boxes") == "pixels":
        boxes = [detector.head.decode(o, classes, SCORE / 2)[0] for o in outputs]
        largest = max((float(b.max()) for b in boxes if len(b)), default=0.0)
        if 0 < largest <= LARGEST_FRACTION:
            head["boxes"] = "fraction"
            settled.append(f"boxes in fractions: the largest coordinate is {largest:.2f}")
    if head.get("scores") == "probability":
        low, high = min(p["scores"].min() for p in parts), max(p["scores"].max() for p in parts)
        if low < 0 or high > 1:
            head["scores"] = "logit"
            settled.append(f"scores are logits: they go from {low:.1f} to {high:.1f}")
    if settled:
        card = _card({**card.model_dump(), "head": head}, card.folder)
    return card, answer(card, images), settled


def _labels(known: tuple[str, ...], made: Guess, own: Path | None) -> tuple[tuple[str, ...], str]:
    """Return as many labels as the model has classes, and where they come from. Raises ModelError."""
    if len(known) == made.classes:
        return known, f"labels: {len(known)}, from {own or 'the metadata of the model'}"
    if known:
        raise ModelError(f"the model has {made.classes} classes and {own or 'its metadata'} names {len(known)}: "
                         f"give one for each with --labels")  # fmt: skip
    lists = {COCO: "coco-80.txt", COCO_WITH_GAPS: "coco-90.txt"}
    if made.classes in lists:
        name = lists[made.classes]
        return read_labels(resource("models") / name), f"labels: {made.classes} classes are taken for those of COCO"
    raise ModelError(f"the model has {made.classes} classes and no names for them: give a text file with one name on "
                     f"each line with --labels")  # fmt: skip


def _write(file: Path, draft: dict[str, Any], labels: tuple[str, ...], answers: list[Answer], wishes: Wishes) -> Path:
    """Write card, labels and answers beside the model file; returns the card's path. Raises ModelError."""
    folder = file.parent
    path = folder / f"{draft['name']}.yaml"
    text = yaml.safe_dump({k: v for k, v in draft.items() if v}, sort_keys=False, width=110)
    try:
        (folder / draft["labels"]).write_text("\n".join(labels) + "\n", encoding="utf-8")
        write_answers(folder / draft["golden"], answers, "reference")
        for image in wishes.images:
            if not (folder / image.name).exists():
                shutil.copy(image, folder / image.name)
        path.write_text(f"# Made by `soteirad models add`. Correct what it guessed wrong, and add it again.\n{text}",
                        encoding="utf-8")  # fmt: skip
    except OSError as error:
        raise ModelError(f"{error.filename}: the card cannot be written beside the model ({error.strerror}): copy the "
                         f"model to a folder that you may write to") from error  # fmt: skip
    return path
