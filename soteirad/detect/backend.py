"""The backend protocol: a model file behind one call, whatever runs it."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from soteirad.detect.card import Format, ModelCard
from soteirad.detect.engine import Engine
from soteirad.detect.preprocess import InputTensor, Picture, TensorSpec
from soteirad.errors import ModelError

Outputs = dict[str, NDArray[Any]]


class Backend(Protocol):
    """Runs one model. Not thread-safe: one thread uses it at a time."""

    def load(self) -> Outputs:
        """Open the model and run it once; returns what it gave. Raises ModelError if it is not what its card says."""

    def infer(self, image: Picture) -> Outputs:
        """Run the model on a BGR picture (height, width, 3) of the card's size; outputs by name, batch axis kept.

        The arrays may be used until the next call.
        """

    def close(self) -> None:
        """Free what `load` took."""


class FileBackend(ABC):
    """A backend that opens a model file itself. Subclasses open it, run it and drop it."""

    format: Format
    library = ""

    def __init__(self, card: ModelCard, engine: Engine) -> None:
        self.card = card
        self.engine = engine
        self._input: InputTensor | None = None

    def load(self) -> Outputs:
        """Open the model, compare its input with the card and run it once. Raises ModelError."""
        path = self.locate()
        try:
            self._input = InputTensor(self.card.input, self.open(path), str(path))
            spec = self.card.input
            outputs = self.infer(np.full((spec.height, spec.width, 3), spec.pad, np.uint8))
            broken = [n for n, a in outputs.items() if a.dtype.kind == "f" and not np.isfinite(a).all()]
            if broken:
                raise ModelError(f"{path}: the outputs {', '.join(broken)} hold numbers that are not finite (NaN or "
                                 f"infinity): the model is broken, or the card's mean and std are wrong")  # fmt: skip
            _give_back_memory()
            return outputs
        except ModelError:
            self.close()
            raise
        except Exception as error:  # the libraries' exception classes have no common public base
            verb = "read" if self._input is None else "run"
            self.close()
            raise ModelError(f"{path}: {self.library} cannot {verb} this model: {first_line(error)}") from error

    def infer(self, image: Picture) -> Outputs:
        """Run the model on a BGR picture (height, width, 3). Raises ModelError if it was not loaded."""
        return self.run(self.prepare(image))

    def prepare(self, image: Picture) -> NDArray[Any]:
        """Return the input tensor for a picture: the first half of `infer`. Raises ModelError if nothing is loaded."""
        if self._input is None:
            raise ModelError(f"{self.card.name}: the model is not loaded")
        return self._input.fill(image)

    def close(self) -> None:
        """Drop the model and its memory."""
        self._input = None
        self.drop()

    def locate(self) -> Path:
        """Return the checked model file. Raises ModelError."""
        self.card.verify_file(self.format)
        return self.card.file_path(self.format)

    @abstractmethod
    def open(self, path: Path) -> TensorSpec:
        """Open the file; returns its picture input."""

    @abstractmethod
    def run(self, tensor: NDArray[Any]) -> Outputs:
        """Run the opened model on its filled input tensor."""

    def executed_precisions(self) -> dict[str, int]:
        """Return how many of the costly operations run in which number type, where a library tells."""
        return {}

    @abstractmethod
    def drop(self) -> None:
        """Let go of the opened model; may be called twice."""


def _give_back_memory() -> None:
    """Return freed heap to the system: loading leaves 20 MB of it in a camera process, which never needs it again."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # other C libraries have no malloc_trim
            ctypes.CDLL(None).malloc_trim(0)


def may_write_programs() -> bool:
    """Say whether this process may write machine code and run it: systemd's MemoryDenyWriteExecute forbids it."""
    protection = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    try:
        mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=protection).close()
    except OSError:
        return False
    return True


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, or its kind when it has none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def picture_input(inputs: dict[str, tuple[int, ...]], where: str) -> tuple[str, str | None]:
    """Return the names of the picture input and of the size input (DETR's `orig_target_sizes`), if there is one.

    `inputs` holds shapes by name, with 0 or less for an axis of any length. Raises ModelError for other inputs.
    """
    pictures = [name for name, shape in inputs.items() if len(shape) == 4]
    others = [name for name in inputs if name not in pictures]
    sizes = [name for name in others if len(inputs[name]) == 2 and inputs[name][1] == 2]
    if len(pictures) != 1 or len(others) > 1 or others != sizes:
        raise ModelError(f"{where}: the model's inputs are {inputs}: only one picture, with or without its size, is "
                         f"understood")  # fmt: skip
    return pictures[0], sizes[0] if sizes else None


def size_value(card: ModelCard) -> NDArray[np.int64]:
    """Return what a size input is given: the size of the model's own input, so that boxes come in its pixels."""
    return np.array([[card.input.width, card.input.height]], np.int64)


def missing(library: str, extra: str) -> ModelError:
    """Return the error for a library that is not installed."""
    return ModelError(f"{library} is not installed: install it with `pip install 'soteirad[{extra}]'`, "
                      f"or let detector.backend be auto")  # fmt: skip


def unknown_device(engine: Engine, known: Iterable[str]) -> ModelError:
    """Return the error for a device that a backend does not have."""
    return ModelError(f"the backend {engine.backend} has no device '{engine.device}': use {', '.join(known)}")


def create_backend(card: ModelCard, engine: Engine) -> FileBackend:
    """Return the backend that `engine` names for `card`, not loaded yet."""
    if engine.backend == "openvino":
        from soteirad.detect.backends.openvino import OpenVinoBackend

        return OpenVinoBackend(card, engine)
    if engine.backend == "litert":
        from soteirad.detect.backends.litert import LiteRtBackend

        return LiteRtBackend(card, engine)
    if engine.backend == "coreml":
        from soteirad.detect.backends.coreml import CoreMlBackend

        return CoreMlBackend(card, engine)
    if engine.backend == "opencv":
        from soteirad.detect.backends.opencv import OpenCvBackend

        return OpenCvBackend(card, engine)
    if engine.backend == "kserve":
        raise ModelError("a kserve server is reached through `detector.server`")
    from soteirad.detect.backends.onnx import OnnxBackend

    return OnnxBackend(card, engine)
