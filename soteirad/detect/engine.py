"""An engine: which backend runs a model, in which arithmetic, where and with how many threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

BackendName = Literal["onnx", "openvino", "litert", "coreml", "kserve", "opencv"]
Precision = Literal["fp32", "fp16", "bf16"]


@dataclass(frozen=True)
class Engine:
    """One way to run a model. `precision` is that of the arithmetic; the weights' is the model file's matter.

    `device` is an onnxruntime provider (cpu, cuda, tensorrt, coreml), or Core ML's compute units (all, cpu_and_ne,
    cpu_only); the other backends know cpu alone. `opencv` is a yardstick for `bench`, which no camera uses.
    """

    backend: BackendName
    precision: Precision
    threads: int = 1
    device: str = "cpu"

    def __str__(self) -> str:
        device = "" if self.device in ("cpu", "all") else f" on {self.device}"
        return f"{self.backend} {self.precision}{device}"
