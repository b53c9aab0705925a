"""The detector: the engine that a start would choose, proven now."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from soteirad.detect.card import load_card
from soteirad.detect.choice import Wanted, choose
from soteirad.doctor import detector
from soteirad.doctor.detector import check
from soteirad.doctor.patient import Patient
from tests.brokers import free_port
from tests.doctor.people import one, patient, verdicts
from tests.house import MODEL

ONNX = {"detector": {"backend": "onnx"}}


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder in which the engine's choice lies."""
    folder = tmp_path_factory.mktemp("cache")
    choose(load_card(MODEL), Wanted(backend="onnx"), folder)
    return folder


@pytest.fixture
def proven(tmp_path: Path, chosen: Path, monkeypatch: pytest.MonkeyPatch) -> Patient:
    """A patient whose service has chosen an engine."""
    monkeypatch.setattr(detector, "ROUNDS", 1)
    sick = patient(tmp_path, **ONNX)
    shutil.copytree(chosen, sick.layout.cache)
    return sick


def test_the_remembered_engine_answers_the_golden_pictures_now_and_its_speed_is_told(proven: Patient) -> None:
    found = list(check(proven))
    assert verdicts(found) == ["ok", "ok"]
    assert "runs in onnx fp32" in found[0].text and "golden pictures passed now" in found[0].text
    assert "looking takes" in found[1].text
    fast = list(check(replace(proven, fast=True)))
    assert "passed at an earlier start" in fast[0].text


def test_an_engine_that_gives_wrong_answers_now_is_a_fault(proven: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(detector.Trial):
        def start(self) -> None:
            self.problem = "it crashed (SIGILL)"

    monkeypatch.setattr(detector, "Trial", Broken)
    found = one(check(proven), "fail")
    assert "now: it crashed (SIGILL)" in found.text and "engines.json" in found.remedy


def test_a_model_that_runs_on_nothing_is_a_fault(tmp_path: Path, misfit_card: Path) -> None:
    found = one(check(patient(tmp_path, detector={"backend": "onnx", "model": str(misfit_card)})), "fail")
    assert "runs correctly on nothing" in found.text


def test_without_a_proof_a_fast_look_says_so_and_tries_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(detector, "choose", lambda *_: pytest.fail("it was tried"))
    (found,) = check(replace(patient(tmp_path, **ONNX), fast=True))
    assert found.verdict == "ok" and "not proven yet" in found.text


def test_cameras_that_do_not_detect_need_no_engine(tmp_path: Path) -> None:
    cameras = {"porch": {"source": "/a.mp4", "detect": False}}
    assert list(check(patient(tmp_path, cameras=cameras, **ONNX))) == []


def test_a_processor_that_is_too_slow_for_all_cameras_is_told(proven: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector.os, "cpu_count", lambda: 0.01)
    assert "looks will wait" in one(check(replace(proven, fast=True)), "warn").text


def test_a_detection_server_that_is_away_is_a_fault_and_says_what_detects_meanwhile(tmp_path: Path) -> None:
    where = f"127.0.0.1:{free_port()}"
    server = {"url": where, "model": "x", "fallback": False, "timeout": 0.5}
    found = one(check(patient(tmp_path, detector={"backend": "kserve", "server": server})), "fail")
    assert found.what == where and "nothing is detected" in found.remedy


def test_what_the_service_chose_is_told_where_it_may_do_less_than_who_asks(proven: Patient) -> None:
    file = proven.layout.cache / "engines.json"
    (choice,) = json.loads(file.read_text()).values()
    others = [f"openvino {p}: this process may not write programs" for p in ("bf16", "fp32")]
    other = {**choice, "model_ms": 233.8, "others": others}
    file.write_text(json.dumps({"a-key-of-the-service": other}))
    found = one(check(replace(proven, fast=True)), "warn")
    assert "the service itself chose onnx fp32, 233.8 ms" in found.text
    assert "not openvino bf16, openvino fp32: this process may not write" in found.text
    file.write_text(json.dumps({"a-key-of-the-service": {**other, "others": ["openvino bf16: 300.0 ms"]}}))
    speed = list(check(replace(proven, fast=True)))
    assert "warn" not in verdicts(speed) and "looking takes" in speed[-1].text
