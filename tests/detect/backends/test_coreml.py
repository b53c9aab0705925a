"""The Core ML backend, against a strict stand-in for coremltools: the real one predicts on a Mac only."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from soteirad.detect.backends.coreml import CoreMlBackend
from soteirad.detect.card import ModelCard, file_digest
from soteirad.detect.detector import Detector
from soteirad.detect.engine import Engine
from soteirad.errors import ModelError
from tests.detect.small import make_card

ENGINE = Engine("coreml", "fp16", device="all")
PACKAGE = {"coreml": {"file": "small.mlpackage", "weights": "fp16"}}
IMAGE = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8)


class CoreMl:
    """Makes a module `coremltools` that takes only what the real one takes, and keeps what it was given."""

    def __init__(self) -> None:
        self.inputs: dict[str, tuple[int, ...]] = {"image": (1, 3, 4, 6)}
        self.outputs: dict[str, Any] = {"rows": np.zeros((1, 5, 6), np.float32)}
        self.opened: list[tuple[str, str]] = []
        self.given: list[np.ndarray] = []

    def module(self) -> ModuleType:
        module = ModuleType("coremltools")
        module.ComputeUnit = SimpleNamespace(  # type: ignore[attr-defined]
            ALL="unit:ALL", CPU_AND_NE="unit:CPU_AND_NE", CPU_ONLY="unit:CPU_ONLY", CPU_AND_GPU="unit:CPU_AND_GPU"
        )
        module.models = SimpleNamespace(MLModel=self._open)  # type: ignore[attr-defined]
        return module

    def _open(self, model: str, *, compute_units: str) -> Any:
        assert type(model) is str
        assert compute_units.startswith("unit:"), "compute units are members of coremltools.ComputeUnit"
        if not Path(model).is_dir():
            raise RuntimeError(f"Unable to load model: {model}\nmore")
        self.opened.append((model, compute_units))
        described = [
            SimpleNamespace(name=n, type=SimpleNamespace(multiArrayType=SimpleNamespace(shape=list(s))))
            for n, s in self.inputs.items()
        ]
        spec = SimpleNamespace(description=SimpleNamespace(input=described))
        return SimpleNamespace(get_spec=lambda: spec, predict=self._predict)

    def _predict(self, data: dict[str, Any]) -> dict[str, Any]:
        assert type(data) is dict
        assert list(data) == list(self.inputs)
        for name, array in data.items():
            assert isinstance(array, np.ndarray)
            assert (array.shape, array.dtype) == (self.inputs[name], np.float32), "ML arrays are float32 here"
            self.given.append(array.copy())
        return self.outputs


@pytest.fixture
def core_ml(monkeypatch: pytest.MonkeyPatch) -> CoreMl:
    made = CoreMl()
    monkeypatch.setitem(sys.modules, "coremltools", made.module())
    return made


@pytest.fixture
def package_card(tmp_path: Path) -> ModelCard:
    """A card with a package of its own."""
    (tmp_path / "small.mlpackage").mkdir()
    (tmp_path / "small.mlpackage" / "Manifest.json").write_text("{}", encoding="utf-8")
    return make_card(tmp_path, {"type": "end2end"}, width=6, height=4, files=PACKAGE)


class Converter:
    """Stands in for `soteirad.convert.coreml.onnx_to_coreml`."""

    def __init__(self) -> None:
        self.calls: list[tuple[Path, Path]] = []

    def __call__(self, source: Path, target: Path) -> None:
        assert source.is_file()
        assert target.parent.is_dir()
        assert target.suffix == ".mlpackage"
        assert not target.exists()
        self.calls.append((source, target))
        target.mkdir()
        (target / "Manifest.json").write_text("{}", encoding="utf-8")


@pytest.fixture
def converter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Converter:
    """A converter and an empty cache, for a card that has an ONNX file only."""
    made, module = Converter(), ModuleType("soteirad.convert.coreml")
    module.onnx_to_coreml = made  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "soteirad.convert.coreml", module)
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return made


@pytest.fixture
def onnx_card(tmp_path: Path) -> ModelCard:
    (tmp_path / "small.onnx").write_bytes(b"network")
    return make_card(tmp_path, {"type": "end2end"}, width=6, height=4)


@pytest.mark.parametrize(("device", "units"), [("all", "ALL"), ("cpu_and_ne", "CPU_AND_NE"), ("cpu_only", "CPU_ONLY")])
def test_the_package_is_opened_on_the_engines_compute_units(
    core_ml: CoreMl, package_card: ModelCard, device: str, units: str
) -> None:
    CoreMlBackend(package_card, Engine("coreml", "fp16", device=device)).load()
    assert core_ml.opened == [(str(package_card.folder / "small.mlpackage"), f"unit:{units}")]


@pytest.mark.parametrize("shape", [(1, 3, 4, 6), (1, 4, 6, 3)])
def test_a_picture_reaches_the_package_as_float32_in_its_layout(
    core_ml: CoreMl, package_card: ModelCard, shape: tuple[int, ...]
) -> None:
    core_ml.inputs = {"picture": shape}
    backend = CoreMlBackend(package_card, ENGINE)
    backend.load()
    found = backend.infer(IMAGE)
    assert len(core_ml.given) == 2, "once at load"
    filled = core_ml.given[1][0]
    assert np.array_equal(filled.transpose(1, 2, 0) if shape[1] == 3 else filled, IMAGE.astype(np.float32))
    assert list(found) == ["rows"]
    assert found["rows"].shape == (1, 5, 6)


def test_a_detector_reads_the_packages_outputs(core_ml: CoreMl, package_card: ModelCard) -> None:
    core_ml.outputs = {"rows": np.array([[[0, 0, 3, 2, 0.9, 1], [0, 0, 3, 2, 0.1, 1]]], np.float32)}
    detector = Detector.create(package_card, ["label1"], 0.5, engine=ENGINE)
    detector.load()
    found = detector.detect(IMAGE)
    assert found.boxes.tolist() == [[0.0, 0.0, 0.5, 0.5]]
    assert found.scores.tolist() == pytest.approx([0.9])


def test_a_card_without_a_package_has_its_onnx_file_converted_once_into_the_cache(
    core_ml: CoreMl, converter: Converter, onnx_card: ModelCard, tmp_path: Path
) -> None:
    source = tmp_path / "small.onnx"
    digest = file_digest(source)[1]
    target = tmp_path / "cache" / "soteira" / "coreml" / f"small-{digest[:16]}.mlpackage"
    for _ in range(3):
        backend = CoreMlBackend(onnx_card, ENGINE)
        backend.load()
        backend.close()
    assert converter.calls == [(source, target)]
    assert core_ml.opened == [(str(target), "unit:ALL")] * 3


def test_a_changed_onnx_file_is_converted_again(
    core_ml: CoreMl, converter: Converter, onnx_card: ModelCard, tmp_path: Path
) -> None:
    CoreMlBackend(onnx_card, ENGINE).load()
    (tmp_path / "small.onnx").write_bytes(b"another network")
    CoreMlBackend(onnx_card, ENGINE).load()
    first, second = (target for _, target in converter.calls)
    assert first != second
    assert [path for path, _ in core_ml.opened] == [str(first), str(second)]


def test_a_cards_own_package_is_never_converted(
    core_ml: CoreMl, converter: Converter, package_card: ModelCard
) -> None:
    CoreMlBackend(package_card, ENGINE).load()
    assert converter.calls == []


def test_a_damaged_onnx_file_is_not_converted(core_ml: CoreMl, converter: Converter, onnx_card: ModelCard) -> None:
    files = {"onnx": onnx_card.files["onnx"].model_copy(update={"sha256": "0" * 64})}
    with pytest.raises(ModelError, match=r"small\.onnx: the model file is damaged or is another one"):
        CoreMlBackend(onnx_card.model_copy(update={"files": files}), ENGINE).load()
    assert converter.calls == []


def test_a_damaged_package_is_refused(core_ml: CoreMl, package_card: ModelCard) -> None:
    files = {"coreml": package_card.files["coreml"].model_copy(update={"sha256": "0" * 64})}
    with pytest.raises(ModelError, match=r"small\.mlpackage: the model file is damaged or is another one: it has 2 by"):
        CoreMlBackend(package_card.model_copy(update={"files": files}), ENGINE).load()


def test_without_a_folder_for_the_conversion_it_says_what_to_set(
    core_ml: CoreMl, converter: Converter, onnx_card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soteirad.detect.backends.coreml.cache_folder", lambda: None)
    with pytest.raises(ModelError, match="no folder to keep the model's conversion for Core ML in: set XDG_CACHE_HOME"):
        CoreMlBackend(onnx_card, ENGINE).load()
    assert converter.calls == []


def test_what_the_converter_refuses_is_told_as_it_is(
    core_ml: CoreMl, converter: Converter, onnx_card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise ModelError(f"{source}: this network cannot be converted")

    refusing: Callable[[Path, Path], None] = refuse
    monkeypatch.setattr(sys.modules["soteirad.convert.coreml"], "onnx_to_coreml", refusing)
    with pytest.raises(ModelError, match=r"small\.onnx: this network cannot be converted"):
        CoreMlBackend(onnx_card, ENGINE).load()
    assert core_ml.opened == []


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"image": (1, 3, 8, 8)}, r"the model's input 'image' is \[1, 3, 8, 8\], the card says one picture of 6x4"),
        ({"image": (1, 3, 4, 6), "size": (1, 2)}, "the package still has the size input 'size': convert it again with"),
        ({"image": ()}, "only one picture, with or without its size, is understood"),
    ],
    ids=["another size", "a size input", "an image input"],
)
def test_a_package_with_other_inputs_is_refused(
    core_ml: CoreMl, package_card: ModelCard, inputs: dict[str, tuple[int, ...]], told: str
) -> None:
    core_ml.inputs = inputs
    with pytest.raises(ModelError, match=told) as caught:
        CoreMlBackend(package_card, ENGINE).load()
    assert str(caught.value).startswith(f"{package_card.folder / 'small.mlpackage'}: ")
    assert core_ml.given == []


def test_what_core_ml_cannot_read_is_told_in_one_line(
    core_ml: CoreMl, package_card: ModelCard, tmp_path: Path
) -> None:
    (tmp_path / "a.mlpackage").write_bytes(b"no folder")
    file = package_card.files["coreml"].model_copy(update={"file": "a.mlpackage"})
    with pytest.raises(ModelError) as caught:
        CoreMlBackend(package_card.model_copy(update={"files": {"coreml": file}}), ENGINE).load()
    path = tmp_path / "a.mlpackage"
    assert str(caught.value) == f"{path}: Core ML cannot read this model: Unable to load model: {path}"


def test_without_the_library_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, package_card: ModelCard
) -> None:
    monkeypatch.setitem(sys.modules, "coremltools", None)
    with pytest.raises(ModelError, match=r"^coremltools is not installed: install it with `pip install 'soteirad\[c"):
        CoreMlBackend(package_card, ENGINE).load()


def test_compute_units_that_do_not_exist_are_refused_with_those_that_do(
    core_ml: CoreMl, package_card: ModelCard
) -> None:
    with pytest.raises(ModelError, match="all, cpu_and_ne"):
        CoreMlBackend(package_card, Engine("coreml", "fp16", device="cpu")).load()


def test_a_model_that_was_not_loaded_or_was_closed_says_so(core_ml: CoreMl, package_card: ModelCard) -> None:
    backend = CoreMlBackend(package_card, ENGINE)
    with pytest.raises(ModelError, match="the model is not loaded"):
        backend.infer(IMAGE)
    backend.load()
    backend.infer(IMAGE)
    backend.close()
    with pytest.raises(ModelError, match="the model is not loaded"):
        backend.infer(IMAGE)
