"""Which engines are chosen: once for all cameras that want the same, and not again when they are known."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from soteirad.config import CameraConfig, Config
from soteirad.detect.choice import Choice
from soteirad.detect.detector import REFERENCE
from soteirad.errors import ModelError, ModelUntried, Stopped
from soteirad.hub import engines
from soteirad.hub.engines import choose_engines

CHOICE = Choice(REFERENCE, 0.0, None, ())


def cameras(**given: dict[str, Any]) -> dict[str, CameraConfig]:
    sections = {name: {"source": "rtsp://h/s", **keys} for name, keys in given.items()}
    return Config.model_validate({"cameras": sections}).cameras


class Proofs:
    """Stands in for proving engines in child processes, which takes seconds."""

    def __init__(self) -> None:
        self.made: list[CameraConfig] = []
        self.error: Exception | None = None

    def __call__(self, camera: CameraConfig, _card: object, _stop: object) -> Choice:
        self.made.append(camera)
        if self.error is not None:
            raise self.error
        return CHOICE


@pytest.fixture
def proofs(monkeypatch: pytest.MonkeyPatch) -> Proofs:
    proofs = Proofs()
    monkeypatch.setattr(engines, "choose_engine", proofs)
    return proofs


def never() -> bool:
    return False


def test_cameras_that_want_the_same_share_one_proof(proofs: Proofs) -> None:
    given = cameras(a={}, b={}, c={"detector": {"threads": 2}}, d={"fps": 3})
    told: list[str] = []
    choices = choose_engines(given, {}, never, told.append)
    assert choices == {given["a"].detector: CHOICE, given["c"].detector: CHOICE}
    assert proofs.made == [given["a"], given["c"]]
    assert told == ["trying what runs nanodet-g-416 best here"] * 2


def test_known_choices_are_not_made_again_and_others_are(proofs: Proofs) -> None:
    given = cameras(a={}, b={"detector": {"threads": 2}})
    known = {given["a"].detector: None}
    choices = choose_engines(given, known, never)
    assert proofs.made == [given["b"]]
    assert choices == {given["a"].detector: None, given["b"].detector: CHOICE}
    assert known == {given["a"].detector: None}, "what was known is left as it was"
    assert choose_engines(given, choices, never) == choices and len(proofs.made) == 1


def test_what_no_camera_wants_any_more_is_forgotten(proofs: Proofs) -> None:
    given = cameras(a={}, b={"detector": {"threads": 2}})
    choices = choose_engines(given, {}, never)
    assert choose_engines({"a": given["a"]}, choices, never) == {given["a"].detector: CHOICE}
    assert len(proofs.made) == 2


def test_a_model_that_there_is_not_is_told_with_the_cameras_name(proofs: Proofs) -> None:
    given = cameras(a={}, yard={"detector": {"model": "no-such-model"}})
    with pytest.raises(ModelError, match=r"^yard: .*no-such-model"):
        choose_engines(given, {}, never)
    assert proofs.made == [given["a"]]


def test_a_label_that_the_model_does_not_know_is_told_even_if_its_engine_is_known(proofs: Proofs) -> None:
    given = cameras(a={}, yard={"objects": {"track": ["unicorn"]}})
    with pytest.raises(ModelError, match=r"^yard: .*unicorn"):
        choose_engines(given, {given["a"].detector: CHOICE}, never)
    assert proofs.made == []


def test_a_proof_that_fails_is_told_with_the_cameras_name(proofs: Proofs) -> None:
    proofs.error = ModelError("no engine passed")
    with pytest.raises(ModelError, match=r"^porch: no engine passed$"):
        choose_engines(cameras(porch={}), {}, never)


def test_who_is_told_to_stop_stops(proofs: Proofs) -> None:
    proofs.error = Stopped("stopped")
    with pytest.raises(Stopped):
        choose_engines(cameras(porch={}), {}, never)


@pytest.mark.usefixtures("proofs")
def test_each_choice_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        choose_engines(cameras(a={}, b={}), {}, never)
    (line,) = [r.getMessage() for r in caplog.records if r.name == engines.logger.name]
    assert line == f"detector nanodet-g-416: {CHOICE}"


def test_a_model_that_could_not_be_tried_to_the_end_is_no_mistake_of_the_owners(proofs: Proofs) -> None:
    for error, passes in ((ModelUntried("killed"), True), (ModelError("wrong"), False)):
        proofs.error = error
        with pytest.raises(ModelError, match=r"^a: ") as caught:
            choose_engines(cameras(a={}), {}, never)
        assert caught.value.passes is passes
