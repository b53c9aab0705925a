"""The configuration as the doctor sees it."""

from __future__ import annotations

from pathlib import Path

from soteirad.doctor.configuration import check
from soteirad.doctor.patient import admit
from soteirad.resources import resource
from tests.doctor.people import one, patient


def test_a_good_file_is_one_line(tmp_path: Path) -> None:
    cameras = {"a": {"source": "/a.mp4"}, "b": {"source": "/b.mp4", "enabled": False}}
    (found,) = check(patient(tmp_path, cameras=cameras))
    assert found.verdict == "ok" and "2 cameras, 1 switched off" in found.text


def test_each_mistake_has_its_place_and_what_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "soteira.yaml"
    path.write_text("mqtt: {prot: 1}\ncameras:\n  porch: {source: /a.mp4, fsp: 3}\n")
    found = [finding for finding in check(admit(path)) if finding.verdict == "fail"]
    assert [finding.what for finding in found] == [f"{path}:1:8", f"{path}:3:27"]
    assert "mqtt.prot" in found[0].text and "host, port" in found[0].remedy


def test_a_model_that_does_not_know_a_label_is_a_mistake(tmp_path: Path) -> None:
    found = one(check(patient(tmp_path, objects={"track": ["dragon"]})), "fail")
    assert "dragon" in found.text


def test_a_file_for_the_encryption_that_is_missing_is_a_mistake(tmp_path: Path) -> None:
    found = one(check(patient(tmp_path, mqtt={"host": "localhost", "tls": {"ca": "/nowhere.pem"}})), "fail")
    assert "/nowhere.pem" in found.text


def test_a_box_that_watches_nothing_is_told_so(tmp_path: Path) -> None:
    found = one(check(patient(tmp_path, cameras={"a": {"source": "/a.mp4", "enabled": False}})), "warn")
    assert "switched off" in found.text


def test_the_example_is_not_taken_for_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "soteira.yaml"
    path.write_bytes(resource("etc/soteira.yaml").read_bytes())
    (found,) = check(admit(path))
    assert "still the example" in found.text and "soteirad init" in found.remedy
