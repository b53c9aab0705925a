"""Small ONNX models for what the real ones do not have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

SIZE = 8


def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> Any:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    return onnx.helper.make_node(kind, inputs, [output], **attributes)


def convolution(source: str) -> Any:
    return node("Conv", [source, "weight"], "features", kernel_shape=[3, 3], pads=[1, 1, 1, 1])


def save(
    path: Path, nodes: list[Any], output: str, inputs: dict[str, tuple[str, list[Any]]], constants: dict[str, Any]
) -> Path:
    """Write a model of `nodes`; it always has the constant `weight`, four 3 x 3 kernels over three channels."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    helper, kinds = onnx.helper, onnx.TensorProto
    weight = np.random.default_rng(7).normal(0.0, 0.1, (4, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(name, getattr(kinds, kind), dims) for name, (kind, dims) in inputs.items()],
        [helper.make_tensor_value_info(output, kinds.FLOAT, None)],
        [onnx.numpy_helper.from_array(v, k) for k, v in {"weight": weight, **constants}.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path


def picture() -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(3).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
