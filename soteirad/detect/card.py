"""Model cards: what a model is, how to feed it and how to read it, from YAML and checked before a file is opened."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from soteirad.digest import digest_of
from soteirad.errors import ModelError
from soteirad.resources import resource

Format = Literal["onnx", "tflite", "coreml"]
Weights = Literal["fp32", "fp16", "int8"]


class _Part(BaseModel):
    """Frozen, and unknown keys are errors, so that a typing mistake is not read as a default."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _inside(name: str) -> str:
    """Accept the name of a file in the card's own folder or below: a card may come from anywhere."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or not name.isprintable():
        raise ValueError("a file in the card's folder or below it is needed")
    return name


NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
FileName = Annotated[str, AfterValidator(_inside)]
Stride = Annotated[int, Field(gt=0, le=1024)]


class ModelFile(_Part):
    """One file that holds the network."""

    file: FileName = Field(description="relative to the card")
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$", description="checked at load when given")
    weights: Weights = Field(description="how the file stores its weights")


class InputSpec(_Part):
    """The picture that the network wants. Its axes and number type are read from the model file itself."""

    width: int = Field(gt=0, le=8192, description="pixels")
    height: int = Field(gt=0, le=8192, description="pixels")
    colour: Literal["BGR", "RGB"] = Field(description="channel order")
    mean: tuple[float, float, float] = Field(
        default=(0.0, 0.0, 0.0), description="subtracted from 0-255, in the order of `colour`"
    )
    std: tuple[float, float, float] = Field(
        default=(1.0, 1.0, 1.0), description="what the difference is divided by, in the order of `colour`"
    )
    resize: Literal["letterbox_top_left", "letterbox_centre", "stretch"] = Field(
        description="how a picture of another aspect gets to width x height"
    )
    interpolation: Literal["linear", "cubic", "area"] = Field(
        default="linear", description="how photographs were scaled when the accuracy was measured"
    )
    pad: int = Field(default=0, ge=0, le=255, description="value around a letterboxed picture")

    @model_validator(mode="after")
    def _no_zero_std(self) -> InputSpec:
        if not all(self.std):
            raise ValueError("std must not hold a zero")
        return self


class GflSpec(_Part):
    """Generalised focal loss: NanoDet, PicoDet."""

    type: Literal["gfl"]
    strides: tuple[Stride, ...] = Field(min_length=1, max_length=8, description="input pixels for each cell, by level")
    bins: int = Field(gt=1, le=64, description="bins of the box distribution for each side")
    scores: Literal["probability", "logit"] = "probability"
    centre: float = Field(default=0.5, ge=0, le=1, description="a cell's centre, in strides from its corner")


class YoloxSpec(_Part):
    """YOLOX before its grid is added."""

    type: Literal["yolox"]
    strides: tuple[Stride, ...] = Field(min_length=1, max_length=8, description="input pixels for each cell, by level")


class YoloV5Spec(_Part):
    """YOLOv5 with its anchors applied: centre, size, objectness, classes in each row."""

    type: Literal["yolov5"]
    boxes: Literal["pixels", "fraction"] = Field(default="pixels", description="unit of the boxes")


class YoloV8Spec(_Part):
    """YOLOv8, YOLO11 and YOLOv5u: centre, size, classes."""

    type: Literal["yolov8"]
    boxes: Literal["pixels", "fraction"] = Field(default="pixels", description="unit of the boxes")


class DetrSpec(_Part):
    """DETR queries (RT-DETR, D-FINE, DEIM): labels, boxes and scores, or class logits and boxes."""

    type: Literal["detr"]
    scores: Literal["probability", "logit"] = "probability"


class SsdSpec(_Part):
    """SSD whose last operation is TensorFlow Lite's NMS; the outputs' names, since their shapes do not tell."""

    type: Literal["ssd"]
    boxes: str
    classes: str
    scores: str


class EndToEndSpec(_Part):
    """YOLOv10 and other networks without NMS: corners, score and class in each row."""

    type: Literal["end2end"]
    boxes: Literal["pixels", "fraction"] = Field(default="pixels", description="unit of the boxes")


HeadSpec = Annotated[
    GflSpec | YoloxSpec | YoloV5Spec | YoloV8Spec | DetrSpec | SsdSpec | EndToEndSpec, Field(discriminator="type")
]


class ModelCard(_Part):
    """A detector's card."""

    name: str = Field(pattern=f"^{NAME.pattern}$")
    description: str = ""
    files: dict[Format, ModelFile] = Field(min_length=1, description="the network, in each format that there is")
    head: HeadSpec = Field(description="how raw outputs become boxes")
    input: InputSpec
    labels: FileName = Field(description="text file with one class name a line, relative to the card")
    golden: FileName | None = Field(default=None, description="the reference's answers, relative to the card")
    licence: str = ""
    source: str = ""
    measured: dict[str, Any] = Field(default_factory=dict, description="accuracy as measured, and how")
    folder: Path = Field(exclude=True)

    def file_path(self, format_: Format) -> Path:
        """Return where the network lies in that format. Raises ModelError when the card has none."""
        if format_ not in self.files:
            convert = "make one with `soteirad models convert`"
            remedy = "every conversion starts from one" if format_ == "onnx" else convert
            raise ModelError(f"{self.name}: the card has no {format_} file, only {', '.join(self.files)}: {remedy}")
        return self.folder / self.files[format_].file

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Class names by index. Raises ModelError when the label file cannot be read or holds none."""
        return read_labels(self.folder / self.labels)

    def class_index(self, label: str) -> int:
        """Return the class index of `label`. Raises ModelError naming the labels that there are."""
        if label in self.class_names:
            return self.class_names.index(label)
        raise ModelError(
            f"the model {self.name} does not know the label '{label}': it knows {', '.join(self.class_names)}"
        )

    def verify_file(self, format_: Format | None = None) -> list[str]:
        """Check that a model file (all of them without `format_`) is there and is the card's; returns the sha256.

        Raises ModelError.
        """
        digests = []
        for each in [format_] if format_ else list(self.files):
            path, wanted = self.file_path(each), self.files[each].sha256
            size, digest = file_digest(path)
            if wanted and digest != wanted:
                raise ModelError(
                    f"{path}: the model file is damaged or is another one: it has {size} bytes and its sha256 is "
                    f"not the card's: install it again, or correct sha256 in the card if you changed it on purpose"
                )
            digests.append(digest)
        return digests


def read_labels(path: Path) -> tuple[str, ...]:
    """Return the class names of a text file, one on each line. Raises ModelError."""
    try:
        text = _read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: the label file cannot be read ({error})") from error
    names = tuple(printable(line) for line in text.splitlines() if line.strip())
    if not names:
        raise ModelError(f"{path}: the label file is empty: write one class name on each line")
    return names


def printable(name: str) -> str:
    """Return a class name on one line, without what a terminal would obey."""
    return "".join(c if c.isprintable() else " " for c in name).strip() or "?"


def _read_text(path: Path) -> str:
    if not path.is_file() and path.exists():
        raise OSError("it is no regular file")
    if path.stat().st_size > MOST_TEXT:
        raise OSError(f"it has more than {MOST_TEXT} bytes")
    return path.read_text(encoding="utf-8")


MOST_TEXT = 1 << 20
"""Bytes of a card or label file."""

EXTERNAL_DATA = re.compile(rb"\x0a\x08location\x12(.)([^\x00-\x1f]{1,255})", re.DOTALL)
"""An ONNX tensor's entry that names the file, beside the model, which holds its numbers."""


def file_digest(path: Path) -> tuple[int, str]:
    """Return size in bytes and sha256 of a model: its file and those it names, or a folder's. Raises ModelError."""
    try:
        inside = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else None
        return digest_of([path, *external_files(path)] if inside is None else inside)
    except OSError as error:
        raise ModelError(f"{path}: the model file cannot be read ({error.strerror})") from error


def external_files(path: Path) -> list[Path]:
    """Return the files beside an ONNX model that hold its numbers. Raises ModelError and OSError."""
    if path.exists() and not path.is_file():
        raise ModelError(f"{path}: a model file is needed, this is something else")
    if path.suffix.lower() != ".onnx":
        return []
    names = {text[: length[0]].decode("utf-8", "replace") for length, text in EXTERNAL_DATA.findall(path.read_bytes())}
    for name in names:
        if PurePosixPath(name).name != name:
            raise ModelError(f"{path}: the model keeps its numbers in '{printable(name)}', which is not beside it")
    return [path.parent / name for name in sorted(names)]


class _CardLoader(yaml.SafeLoader):
    """Refuses aliases, with which a few lines grow to gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("a card has no aliases (*name)")
        return super().compose_node(parent, index)


def shipped_cards() -> list[str]:
    """Return the names of the cards that come with Soteira."""
    return sorted(p.stem for p in resource("models").glob("*.yaml"))


def load_card(model: str) -> ModelCard:
    """Load a shipped card by name, or any card by the path of its .yaml file. Raises ModelError."""
    is_path = model.endswith((".yaml", ".yml")) or "/" in model
    path = Path(model) if is_path else resource("models") / f"{model}.yaml"
    try:
        text = _read_text(path)
    except FileNotFoundError:
        known = ", ".join(shipped_cards())
        raise ModelError(
            f"{model}: there is no such model card: use a shipped one ({known}), or the path of a card file, "
            f"which `soteirad models add` makes for a model of your own"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: the model card cannot be read ({error})") from error
    try:
        data = yaml.load(text, _CardLoader)  # noqa: S506 - a SafeLoader
        if not isinstance(data, dict):
            raise ModelError(f"{path}: a model card is a mapping of keys to values")
        return ModelCard.model_validate({**data, "folder": path.resolve().parent})
    except (yaml.YAMLError, RecursionError) as error:
        raise ModelError(f"{path}: the model card is not valid YAML: {error}") from error
    except ValidationError as error:
        raise ModelError(f"{path}: the model card is wrong: {problems_of(error)}") from error


def problems_of(error: ValidationError) -> str:
    """Return all that is wrong with a card on one line: each key and what it needs."""
    rows = ((".".join(map(str, e["loc"])), e["msg"].removeprefix("Value error, ")) for e in error.errors())
    return "; ".join(f"{key}: {text}" for key, text in rows)
