"""What all backends share: the order of loading, what is refused, and which class an engine names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from soteirad.detect.backend import FileBackend, Outputs, create_backend, first_line, picture_input, size_value
from soteirad.detect.card import Format, ModelCard, load_card
from soteirad.detect.engine import BackendName, Engine
from soteirad.detect.preprocess import TensorSpec
from soteirad.errors import ModelError
from tests.detect.small import make_card

CARD = load_card("nanodet-g-416")


class Recorder(FileBackend):
    """Keeps what it is asked for; fails where it is told to."""

    format: Format = "onnx"
    library = "Recorder"

    def __init__(self, card: ModelCard, fails: str = "", size: int = 64) -> None:
        super().__init__(card, Engine("onnx", "fp32"))
        self.fails, self.size, self.calls = fails, size, []
        self.tensors: list[np.ndarray] = []

    def open(self, path: Path) -> TensorSpec:
        self.calls.append("open")
        if self.fails == "open":
            raise RuntimeError("\n  bad magic\nat line 3")
        return TensorSpec("x", (1, self.size, self.size, 3), np.dtype(np.float32))

    def run(self, tensor: np.ndarray) -> Outputs:
        self.calls.append("run")
        self.tensors.append(tensor.copy())
        if self.fails == "run":
            raise RuntimeError
        return {"out": tensor.mean(axis=(1, 2))}

    def drop(self) -> None:
        self.calls.append("drop")


@pytest.fixture
def card(tmp_path: Path) -> ModelCard:
    (tmp_path / "small.onnx").write_bytes(b"weights")
    return make_card(tmp_path, {"type": "end2end"}, input={"pad": 77})


def test_loading_opens_the_file_and_runs_it_once_on_padding(card: ModelCard) -> None:
    backend = Recorder(card)
    assert backend.load()["out"].tolist() == [[77.0] * 3]
    assert backend.calls == ["open", "run"]
    assert (backend.tensors[0] == 77).all()


def test_a_picture_goes_through_the_input_tensor_to_the_model(card: ModelCard) -> None:
    backend = Recorder(card)
    backend.load()
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    assert np.array_equal(backend.prepare(picture)[0], picture)
    assert backend.infer(picture)["out"][0] == pytest.approx(picture.mean(axis=(0, 1)), rel=1e-5)


@pytest.mark.parametrize(
    ("fails", "told"),
    [
        ("open", "small.onnx: Recorder cannot read this model: bad magic"),
        ("run", "small.onnx: Recorder cannot run this model: RuntimeError"),
    ],
)
def test_a_library_that_fails_is_told_in_one_line_and_nothing_stays_open(
    card: ModelCard, fails: str, told: str
) -> None:
    backend = Recorder(card, fails)
    with pytest.raises(ModelError) as caught:
        backend.load()
    assert str(caught.value) == f"{card.folder}/{told}"
    assert backend.calls[-1] == "drop"
    with pytest.raises(ModelError, match="small: the model is not loaded"):
        backend.infer(np.zeros((64, 64, 3), np.uint8))


def test_a_model_of_another_size_is_dropped_again(card: ModelCard) -> None:
    backend = Recorder(card, size=32)
    with pytest.raises(ModelError, match=r"small\.onnx: the model's input 'x' is \[1, 32, 32, 3\], the card says one "):
        backend.load()
    assert backend.calls == ["open", "drop"]


def test_a_file_that_is_not_the_cards_is_not_even_opened(card: ModelCard) -> None:
    file = card.files["onnx"].model_copy(update={"sha256": "0" * 64})
    backend = Recorder(card.model_copy(update={"files": {"onnx": file}}))
    with pytest.raises(ModelError, match="is damaged or is another one: it has 7 bytes"):
        backend.load()
    assert backend.calls == []


def test_a_backend_may_be_closed_twice_and_loaded_again(card: ModelCard) -> None:
    backend = Recorder(card)
    backend.close()
    backend.load()
    backend.close()
    backend.close()
    assert backend.load()["out"].shape == (1, 3)


PICTURE = (1, 3, 64, 64)


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"images": PICTURE}, ("images", None)),
        ({"images": (0, 64, 64, 3)}, ("images", None)),
        ({"orig_target_sizes": (1, 2), "images": PICTURE}, ("images", "orig_target_sizes")),
        ({"images": PICTURE, "size": (0, 2)}, ("images", "size")),
    ],
)
def test_the_picture_and_its_size_are_told_apart_by_their_shapes(
    inputs: dict[str, tuple[int, ...]], expected: tuple[str, str | None]
) -> None:
    assert picture_input(inputs, "a.onnx") == expected


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"images": (3, 64, 64)},
        {"a": PICTURE, "b": PICTURE},
        {"images": PICTURE, "scale": (1, 3)},
        {"images": PICTURE, "size": (1, 2), "scale": (1, 2)},
        {"size": (1, 2)},
    ],
)
def test_other_inputs_are_refused_with_their_shapes(inputs: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(ModelError) as caught:
        picture_input(inputs, "a.onnx")
    assert str(caught.value).startswith(f"a.onnx: the model's inputs are {inputs}: only one picture, with or without")


def test_a_size_input_is_given_width_and_height_of_the_models_own_input(tmp_path: Path) -> None:
    card = make_card(tmp_path, {"type": "detr"}, width=64, height=32)
    assert size_value(card).tolist() == [[64, 32]]
    assert size_value(card).dtype == np.int64


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("\n\n  first \nsecond"), "first"),
        (ValueError(), "ValueError"),
        (KeyError("x"), "'x'"),
    ],
)
def test_of_an_error_the_first_line_is_told_or_its_kind(error: Exception, line: str) -> None:
    assert first_line(error) == line


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("onnx", "OnnxBackend"),
        ("openvino", "OpenVinoBackend"),
        ("litert", "LiteRtBackend"),
        ("coreml", "CoreMlBackend"),
        ("opencv", "OpenCvBackend"),
    ],
)
def test_an_engine_names_its_backend_without_opening_anything(name: BackendName, kind: str) -> None:
    engine = Engine(name, "fp32", threads=3)
    backend = create_backend(CARD, engine)
    assert type(backend).__name__ == kind
    assert (backend.card, backend.engine) == (CARD, engine)


def test_a_server_is_no_backend_that_opens_files() -> None:
    with pytest.raises(ModelError, match=r"a kserve server is reached through `detector\.server`"):
        create_backend(CARD, Engine("kserve", "fp32"))


def test_a_backend_that_tells_no_precisions_says_so_with_an_empty_answer(card: ModelCard) -> None:
    assert Recorder(card).executed_precisions() == {}


@pytest.mark.parametrize(
    ("engine", "text"),
    [
        (Engine("onnx", "fp32"), "onnx fp32"),
        (Engine("coreml", "fp16", device="all"), "coreml fp16"),
        (Engine("onnx", "fp16", device="tensorrt"), "onnx fp16 on tensorrt"),
    ],
)
def test_an_engine_is_told_in_a_few_words(engine: Engine, text: str) -> None:
    assert str(engine) == text
