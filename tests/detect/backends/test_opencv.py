"""The OpenCV yardstick: it computes what the reference computes."""

from __future__ import annotations

from pathlib import Path

import pytest

from soteirad.detect.backends.opencv import OpenCvBackend
from soteirad.detect.card import ModelCard
from soteirad.detect.engine import Engine
from soteirad.detect.golden import FLOAT_BOUNDS, check, golden_detector, load_images, read_answers
from soteirad.errors import ModelError
from soteirad.tools.models import Wishes, add_model
from tests.detect.small import make_card
from tests.shared_data import shared

ENGINE = Engine("opencv", "fp32", threads=1)


def test_opencv_finds_what_the_reference_finds(tmp_path: Path) -> None:
    path = tmp_path / "yolox_nano.onnx"
    path.write_bytes(shared("models/yolox_nano.onnx").read_bytes())
    card: ModelCard = add_model(path, Wishes()).card
    answers = read_answers(card)
    detector = golden_detector(card, ENGINE)
    detector.load()
    verdict = check(detector, answers, load_images(card, answers), FLOAT_BOUNDS)
    detector.close()
    assert verdict.problems == ()
    assert verdict.objects >= 5


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "small.onnx").write_bytes(b"this is text")
    with pytest.raises(ModelError, match=r"small\.onnx: onnxruntime cannot read this model: "):
        OpenCvBackend(make_card(tmp_path, {"type": "end2end"}), ENGINE).load()
