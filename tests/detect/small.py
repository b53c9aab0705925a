"""Small cards, networks and backends, for what the real models do not have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from soteirad.detect.backend import Outputs
from soteirad.detect.card import ModelCard

Node = Any


def make_card(folder: Path, head: dict[str, Any], classes: int = 3, width: int = 64, height: int = 64,
              **other: Any) -> ModelCard:  # fmt: skip
    """Return a card with labels `label0`, `label1` ... and no model file, unless `other` says otherwise."""
    (folder / "labels.txt").write_text("\n".join(f"label{i}" for i in range(classes)) + "\n", encoding="utf-8")
    feed = {"width": width, "height": height, "colour": "BGR", "resize": "letterbox_top_left", **other.pop("input", {})}
    return ModelCard.model_validate({
        "name": "small", "files": {"onnx": {"file": "small.onnx", "weights": "fp32"}}, "head": head, "input": feed,
        "labels": "labels.txt", "folder": folder, **other,
    })  # fmt: skip


class GivenBackend:
    """Gives the outputs that it was made with, whatever the picture."""

    def __init__(self, outputs: Outputs) -> None:
        self.outputs = outputs
        self.pictures: list[NDArray[np.uint8]] = []

    def load(self) -> Outputs:
        return self.outputs

    def infer(self, image: NDArray[np.uint8]) -> Outputs:
        self.pictures.append(image.copy())
        return self.outputs

    def close(self) -> None:
        self.outputs = {}


def constant_nodes(outputs: dict[str, NDArray[Any]]) -> list[Node]:
    """Return nodes that give the arrays, whatever the input."""
    kinds = {"f": TensorProto.FLOAT, "i": TensorProto.INT64}
    return [
        helper.make_node("Constant", [], [name], value=helper.make_tensor(
            f"{name}_value", kinds[a.dtype.kind], a.shape, a.ravel().tolist()))
        for name, a in outputs.items()
    ]  # fmt: skip


def onnx_model(inputs: dict[str, tuple[int, list[Any]]], nodes: list[Node], outputs: dict[str, list[Any]],
               opset: int = 13, metadata: dict[str, str] | None = None) -> bytes:  # fmt: skip
    """Return an ONNX file. Inputs by name: number type and shape; outputs by name: shape (float32)."""
    graph = helper.make_graph(
        nodes, "small",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    helper.set_model_props(model, metadata or {})
    return bytes(model.SerializeToString())


def zeros(name: str, shape: list[int], value: float = 0.0) -> list[Node]:
    """Return nodes that give an array of one value without storing it."""
    filling = helper.make_tensor(f"{name}_filling", TensorProto.FLOAT, [1], [value])
    size = helper.make_tensor(f"{name}_size", TensorProto.INT64, [len(shape)], shape)
    return [
        helper.make_node("Constant", [], [f"{name}_s"], value=size),
        helper.make_node("ConstantOfShape", [f"{name}_s"], [name], value=filling),
    ]
