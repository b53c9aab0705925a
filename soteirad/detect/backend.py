"""The backend protocol: a model file behind one call, whatever runs it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from soteirad.detect.card import ModelCard
from soteirad.errors import ModelError

Outputs = dict[str, NDArray[np.float32]]


class Backend(Protocol):
    """Runs one model. Not thread-safe: one thread uses it at a time."""

    name: str

    def load(self) -> None:
        """Open the model and run it once. Raises ModelError if it is not what its card says."""

    def infer(self, image: NDArray[np.uint8]) -> Outputs:
        """Run the model on one uint8 picture in the card's layout, (1, height, width, 3); outputs by name."""

    def close(self) -> None:
        """Free what `load` took."""


def create_backend(card: ModelCard, name: str = "auto", threads: int = 1) -> Backend:
    """Return the backend called `name` for `card`, not loaded yet. Raises ModelError for an unknown name.

    `auto` is ONNX Runtime on the CPU, which runs on every platform that Soteira is installed on.
    """
    if name in ("auto", "onnx"):
        from soteirad.detect.onnx_backend import OnnxBackend

        return OnnxBackend(card, threads)
    raise ModelError(f"there is no detector backend '{name}': use auto or onnx")
