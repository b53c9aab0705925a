"""Model cards: what a model file is and how to feed it, read from YAML and checked before the file is opened."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from soteirad.errors import ModelError
from soteirad.resources import resource


class InputSpec(BaseModel):
    """The model's picture input."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="name of the input in the graph")
    width: int = Field(gt=0, description="pixels")
    height: int = Field(gt=0, description="pixels")
    layout: Literal["NHWC"] = Field(description="order of the axes: batch, height, width, channel")
    dtype: Literal["uint8"] = Field(description="type of one channel value")
    colour: Literal["BGR"] = Field(description="channel order")
    normalised_in_graph: Literal[True] = Field(description="the graph itself subtracts mean and divides by std")
    mean: tuple[float, float, float] = Field(description="per channel, in the order of `colour`, 0-255")
    std: tuple[float, float, float] = Field(description="per channel, in the order of `colour`, 0-255")
    resize: Literal["letterbox_top_left"] = Field(description="keep the aspect, content at the top left")
    pad: int = Field(ge=0, le=255, description="value of the padding")


class ModelCard(BaseModel):
    """A detector's card. Unknown keys are errors, so that a typing mistake is not read as a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str = ""
    file: str = Field(description="model file, relative to the card")
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$", description="checked at load when given")
    head: Literal["gfl"] = Field(description="how raw outputs become boxes")
    strides: tuple[int, ...] = Field(min_length=1, description="pixels of the input for each cell, level by level")
    bins: int = Field(gt=1, description="bins of the box distribution for each side")
    scores: Literal["probability"] = Field(description="what the score output holds")
    input: InputSpec
    licence: str
    source: str
    labels: str = Field(description="text file with one class name a line, relative to the card")
    measured: dict[str, Any] = Field(default_factory=dict, description="accuracy as measured, and how")
    folder: Path = Field(exclude=True)

    @property
    def path(self) -> Path:
        """The model file."""
        return self.folder / self.file

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Class names by index. Raises ModelError when the label file cannot be read."""
        try:
            text = (self.folder / self.labels).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"{self.folder / self.labels}: the label file cannot be read ({error})") from error
        return tuple(line.strip() for line in text.splitlines() if line.strip())

    def class_index(self, label: str) -> int:
        """Return the class index of `label`. Raises ModelError naming the nearest labels when it has none."""
        if label in self.class_names:
            return self.class_names.index(label)
        raise ModelError(
            f"the model {self.name} does not know the label '{label}': it knows {', '.join(self.class_names)}"
        )

    def verify_file(self) -> None:
        """Check that the model file is there and is the one the card speaks of. Raises ModelError."""
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise ModelError(f"{self.path}: the model file cannot be read ({error.strerror})") from error
        if self.sha256 and hashlib.sha256(data).hexdigest() != self.sha256:
            raise ModelError(
                f"{self.path}: the model file is damaged or is another one: it has {len(data)} bytes and its sha256 is "
                f"not the card's. Install it again, or correct sha256 in the card if you changed the file on purpose"
            )


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
            f"{model}: there is no such model card: use a shipped one ({known}) or the path of a card file"
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
