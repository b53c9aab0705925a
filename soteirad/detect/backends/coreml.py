"""Core ML on a Mac: Neural Engine, GPU or CPU, in half precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soteirad.detect.backend import FileBackend, Outputs, missing, picture_input, unknown_device
from soteirad.detect.card import Format, file_digest
from soteirad.detect.preprocess import TensorSpec
from soteirad.errors import ModelError
from soteirad.resources import cache_folder

UNITS = {"all": "ALL", "cpu_and_ne": "CPU_AND_NE", "cpu_only": "CPU_ONLY"}


class CoreMlBackend(FileBackend):
    """Runs a card's .mlpackage; one that has none is converted from its ONNX file once, into the cache."""

    format: Format = "coreml"
    library = "Core ML"
    _model: Any = None

    def locate(self) -> Path:
        """Return the card's package, or the cached conversion of its ONNX file. Raises ModelError."""
        if "coreml" in self.card.files:
            return super().locate()
        cache = cache_folder()
        if cache is None:
            raise ModelError("there is no folder to keep the model's conversion for Core ML in: set XDG_CACHE_HOME")
        self.card.verify_file("onnx")
        source = self.card.file_path("onnx")
        target = cache / "coreml" / f"{self.card.name}-{file_digest(source)[1][:16]}.mlpackage"
        if not target.exists():
            from soteirad.convert.coreml import onnx_to_coreml

            target.parent.mkdir(parents=True, exist_ok=True)
            onnx_to_coreml(source, target)
        return target

    def open(self, path: Path) -> TensorSpec:
        """Load the package onto the engine's compute units."""
        try:
            import coremltools as ct
        except ImportError:
            raise missing("coremltools", "coreml") from None
        if self.engine.device not in UNITS:
            raise unknown_device(self.engine, UNITS)
        units = getattr(ct.ComputeUnit, UNITS[self.engine.device])
        self._model = ct.models.MLModel(str(path), compute_units=units)
        inputs = {i.name: tuple(i.type.multiArrayType.shape) for i in self._model.get_spec().description.input}
        name, size = picture_input(inputs, str(path))
        if size is not None:
            raise ModelError(f"{path}: the package still has the size input '{size}': convert it again with "
                             f"`soteirad models convert`")  # fmt: skip
        self._name = name
        return TensorSpec(name, inputs[name], np.dtype(np.float32))

    def run(self, tensor: NDArray[Any]) -> Outputs:
        """Predict."""
        return {name: np.asarray(value) for name, value in self._model.predict({self._name: tensor}).items()}

    def drop(self) -> None:
        """Drop the model."""
        self._model = None
