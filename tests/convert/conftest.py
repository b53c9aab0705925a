"""What the Core ML tests share: the default model's package, made once, and pictures from the demo clip."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from soteirad.convert.coreml import onnx_to_coreml
from soteirad.resources import resource
from tests.shared_data import DEMO

DEFAULT = resource("models") / "nanodet-g-416-fp16.onnx"


@pytest.fixture(scope="session")
def core_ml() -> None:
    """Skip the test when the converters are not installed."""
    for name in ("onnx2coreml", "coremltools"):
        pytest.importorskip(name, reason=f"{name} is not installed: install 'soteirad[coreml]' (Python 3.11 or newer)")


@pytest.fixture
def unchecked(core_ml: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out coremltools' check of the program behind each of its hundred passes, half of a conversion's time.

    For tests that run what comes out and compare the numbers; a coremltools without this method is as slow as it is.
    """
    program = pytest.importorskip("coremltools").converters.mil.Program
    monkeypatch.setattr(program, "validate", lambda *_, **__: None, raising=False)


@pytest.fixture(scope="session")
def default_model() -> Path:
    """The default model's ONNX file."""
    return DEFAULT


@pytest.fixture(scope="session")
def default_package(core_ml: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default model as a Core ML package; tests that change it copy it first."""
    target = tmp_path_factory.mktemp("coreml") / "default.mlpackage"
    onnx_to_coreml(DEFAULT, target)
    return target


@pytest.fixture(scope="session")
def pictures() -> list[NDArray[np.uint8]]:
    """Three frames of the demo clip (nobody, a person walking, a person standing) at 416 x 416, BGR."""
    found = []
    with av.open(str(DEMO)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index in (30, 80, 110):
                found.append(cv2.resize(frame.to_ndarray(format="bgr24"), (416, 416)).astype(np.uint8))
    assert len(found) == 3
    return found
