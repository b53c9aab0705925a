"""From configuration to a detector: which engine is asked for, where the model runs, and what is told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from soteirad import assembly
from soteirad.assembly import choose_engine, detector_facts, make_detector, model_card
from soteirad.config import CameraConfig
from soteirad.detect.card import ModelCard, load_card
from soteirad.detect.choice import Choice, Wanted
from soteirad.detect.detector import Detector
from soteirad.detect.engine import Engine
from soteirad.detect.golden import golden_folder, read_image
from soteirad.detect.preprocess import scale_picture
from soteirad.detect.served import ServedDetector
from soteirad.errors import DetectorUnavailable, ModelError
from soteirad.gates.objects import ObjectFilter

CARD = load_card("nanodet-g-416")
ONNX = Engine("onnx", "fp32")
CHOICE = Choice(Engine("openvino", "bf16", 2), 12.3, "11 objects", ("onnx fp32: 56.0 ms",))
SERVER = {"url": "127.0.0.1:1", "model": "detector"}


def camera(detector: dict[str, Any] | None = None, **objects: Any) -> CameraConfig:
    return CameraConfig.model_validate({"source": "a.mp4", "detector": detector or {}, "objects": objects})


def served(**server: Any) -> CameraConfig:
    return camera({"backend": "kserve", "threads": 3, "server": {**SERVER, **server}})


class Asked:
    """Stands in for the choice of an engine, and keeps what it was asked."""

    def __init__(self) -> None:
        self.questions: list[tuple[ModelCard, Wanted, Path | None]] = []

    def __call__(self, card: ModelCard, wanted: Wanted, cache: Path | None, _stop: object) -> Choice:
        self.questions.append((card, wanted, cache))
        return CHOICE


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()
    monkeypatch.setattr(assembly, "choose", asked)
    return asked


@pytest.fixture
def kserve() -> None:
    pytest.importorskip("tritonclient.grpc", reason="tritonclient is not installed: install soteirad[kserve]")


def test_the_engine_is_chosen_by_all_that_the_owner_asks_for_and_kept_in_the_cache(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path))
    one = camera({"backend": "onnx", "precision": "fp32", "threads": 2, "device": "cuda"})
    assert choose_engine(one, CARD) is CHOICE
    assert choose_engine(camera(), CARD) is CHOICE
    assert asked.questions == [
        (CARD, Wanted("onnx", "fp32", 2, "cuda"), tmp_path), (CARD, Wanted("auto", "auto", 1, "auto"), tmp_path)
    ]  # fmt: skip


def test_a_model_on_a_server_without_a_fallback_needs_no_engine_here(asked: Asked) -> None:
    assert choose_engine(served(fallback=False), CARD) is None
    assert asked.questions == []


def test_the_fallback_of_a_server_is_the_best_engine_here_with_the_cameras_threads(asked: Asked) -> None:
    assert choose_engine(served(), CARD) is CHOICE
    ((_, wanted, _),) = asked.questions
    assert wanted == Wanted("auto", "auto", 3, "auto")


def test_a_local_engine_makes_a_detector_for_the_tracked_labels_only() -> None:
    picture = read_image(golden_folder() / "golden-1.png")
    found = {}
    for labels in (["person"], ["person", "stop sign"]):
        one = camera(track=labels)
        detector = make_detector(one, model_card(one), ONNX)
        assert isinstance(detector, Detector)
        detector.load()
        try:
            seen = detector.detect(scale_picture(picture, CARD.input))
        finally:
            detector.close()
        found[len(labels)] = {CARD.class_names[c] for c in seen.classes}
        assert (seen.scores >= ObjectFilter.WEAK_SCORE).all()
        assert seen.scores.min() < 0.3, "detections that keep a track are missing"
    assert found == {1: {"person"}, 2: {"person", "stop sign"}}


def test_the_overlap_at_which_two_boxes_are_one_is_the_cameras() -> None:
    picture = read_image(golden_folder() / "golden-1.png")
    counts = []
    for overlap in (0.3, 0.95):
        one = camera(track=["person"], nms_iou=overlap)
        detector = make_detector(one, CARD, ONNX)
        detector.load()
        try:
            counts.append(len(detector.detect(scale_picture(picture, CARD.input))))
        finally:
            detector.close()
    assert counts[0] < counts[1]


def test_a_local_model_without_an_engine_is_refused() -> None:
    with pytest.raises(ModelError, match="nanodet-g-416: no engine was chosen"):
        make_detector(camera(), CARD, None)


def test_a_label_that_the_model_does_not_know_is_refused_with_those_it_does() -> None:
    with pytest.raises(ModelError, match=r"does not know the label 'unicorn': it knows person, bicycle"):
        model_card(camera(track=["person", "unicorn"]))


def test_a_server_that_is_not_there_is_stood_in_for_by_the_engine_here(kserve: None) -> None:
    one = served(timeout=0.2)
    detector = make_detector(one, CARD, ONNX)
    assert isinstance(detector, ServedDetector)
    picture = read_image(golden_folder() / "golden-1.png")
    detector.load()
    try:
        assert len(detector.detect(scale_picture(picture, CARD.input)))
    finally:
        detector.close()


def test_without_a_fallback_nothing_stands_in_for_a_server(kserve: None) -> None:
    detector = make_detector(served(fallback=False, timeout=0.2), CARD, None)
    assert isinstance(detector, ServedDetector)
    detector.load()
    try:
        with pytest.raises(DetectorUnavailable):
            detector.detect(scale_picture(read_image(golden_folder() / "golden-1.png"), CARD.input))
    finally:
        detector.close()


def test_the_facts_of_a_detector_name_its_engine_its_proof_and_the_engines_that_were_not_chosen() -> None:
    assert detector_facts(CARD, CHOICE) == {
        "model": "nanodet-g-416", "backend": "openvino", "precision": "bf16", "device": "cpu", "threads": 2,
        "trial_ms": 12.3, "golden": "11 objects", "rejected": ["onnx fp32: 56.0 ms"],
    }  # fmt: skip


def test_the_facts_of_a_model_on_a_server_alone_name_the_model() -> None:
    assert detector_facts(CARD, None) == {"model": "nanodet-g-416"}
