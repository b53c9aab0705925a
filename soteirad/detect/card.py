"""Model cards: what a model is, how to feed it and how to read it, from YAML and checked before a file is opened."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from soteirad.errors import ModelError
from soteirad.resources import resource

Format = Literal["onnx", "tflite", "coreml"]
Weights = Literal["fp32", "fp16", "int8"]


class _Part(BaseModel):
    """Frozen, and unknown keys are errors, so that a typing mistake is not read as a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelFile(_Part):
    """One file that holds the network."""

    file: str = Field(min_length=1, description="relative to the card")
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
    strides: tuple[PositiveInt, ...] = Field(min_length=1, description="input pixels for each cell, level by level")
    bins: int = Field(gt=1, description="bins of the box distribution for each side")
    scores: Literal["probability", "logit"] = "probability"
    centre: float = Field(default=0.5, ge=0, le=1, description="a cell's centre, in strides from its corner")


class YoloxSpec(_Part):
    """YOLOX before its grid is added."""

    type: Literal["yolox"]
    strides: tuple[PositiveInt, ...] = Field(min_length=1, description="input pixels for each cell, level by level")


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

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    files: dict[Format, ModelFile] = Field(min_length=1, description="the network, in each format that there is")
    head: HeadSpec = Field(description="how raw outputs become boxes")
    input: InputSpec
    labels: str = Field(description="text file with one class name a line, relative to the card")
    golden: str | None = Field(default=None, description="the reference's answers, relative to the card")
    licence: str = ""
    source: str = ""
    measured: dict[str, Any] = Field(default_factory=dict, description="accuracy as measured, and how")
    folder: Path = Field(exclude=True)

    def file_path(self, format_: Format) -> Path:
        """Return where the network lies in that format. Raises ModelError when the card has none."""
        if format_ not in self.files:
            raise ModelError(
                f"{self.name}: the card has no {format_} file, only {', '.join(self.files)}: "
                f"make one with `soteirad models convert`"
            )
        return self.folder / self.files[format_].file

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Class names by index. Raises ModelError when the label file cannot be read or holds none."""
        path = self.folder / self.labels
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"{path}: the label file cannot be read ({error})") from error
        names = tuple(line.strip() for line in text.splitlines() if line.strip())
        if not names:
            raise ModelError(f"{path}: the label file is empty: write one class name on each line")
        return names

    def class_index(self, label: str) -> int:
        """Return the class index of `label`. Raises ModelError naming the labels that there are."""
        if label in self.class_names:
            return self.class_names.index(label)
        raise ModelError(
            f"the model {self.name} does not know the label '{label}': it knows {', '.join(self.class_names)}"
        )

    def verify_file(self, format_: Format | None = None) -> None:
        """Check that a model file (all of them without `format_`) is there and is the card's. Raises ModelError."""
        for each in [format_] if format_ else list(self.files):
            path, wanted = self.file_path(each), self.files[each].sha256
            size, digest = file_digest(path)
            if wanted and digest != wanted:
                raise ModelError(
                    f"{path}: the model file is damaged or is another one: it has {size} bytes and its sha256 is "
                    f"not the card's: install it again, or correct sha256 in the card if you changed it on purpose"
                )


def file_digest(path: Path) -> tuple[int, str]:
    """Return size in bytes and sha256 of a file, or of a folder's files in order of name. Raises ModelError."""
    digest, size = hashlib.sha256(), 0
    try:
        for part in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
            with part.open("rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
                    size += len(chunk)
    except OSError as error:
        raise ModelError(f"{path}: the model file cannot be read ({error.strerror})") from error
    return size, digest.hexdigest()


def shipped_cards() -> list[str]:
    """Return the names of the cards that come with Soteira."""
    return sorted(p.stem for p in resource("models").glob("*.yaml"))


def load_card(model: str) -> ModelCard:
    """Load a shipped card by name, or any card by the path of its .yaml file. Raises ModelError."""
    is_path = model.endswith((".yaml", ".yml")) or "/" in model
    path = Path(model) if is_path else resource("models") / f"{model}.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        known = ", ".join(shipped_cards())
        raise ModelError(
            f"{model}: there is no such model card: use a shipped one ({known}), or the path of a card file, "
            f"which `soteirad models add` makes for a model of your own"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: the model card cannot be read ({error})") from error
    try:
        data = yaml.safe_load(text)
        if not isinstance(data, dict):
            raise ModelError(f"{path}: a model card is a mapping of keys to values")
        return ModelCard.model_validate({**data, "folder": path.resolve().parent})
    except yaml.YAMLError as error:
        raise ModelError(f"{path}: the model card is not valid YAML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ModelError(f"{path}: the model card is wrong: {problems}") from error
