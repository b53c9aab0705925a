"""`check` on whole configurations: it looks at everything that `run` would refuse, and starts nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from soteirad.tools.check import replay_camera
from tests.command import typed
from tests.daemon import ROOT, soteirad

CARD, MODEL = "nanodet-g-416.yaml", "nanodet-g-416-fp16.onnx"


def told(folder: Path, command: str, card: str | Path) -> str:
    """What a command says, in its one line, of a configuration with this model."""
    config = folder / "soteira.yaml"
    config.write_text(
        f'storage: {{path: "{folder}/state"}}\ndetector: {{model: "{card}", backend: onnx}}\n'
        "cameras: {porch: {source: a.mp4}}\n",
        encoding="utf-8",
    )
    result = (soteirad if command == "run" else typed)(command, "-c", config)
    assert (result.returncode, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1, result.stderr
    return result.stderr


def halve(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_model_that_does_not_exist_is_told_with_those_that_do(tmp_path: Path, command: str) -> None:
    line = told(tmp_path, command, "yolo-900")
    assert "yolo-900" in line and "no such model card" in line and "nanodet-g-416" in line


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_model_file_cut_in_half_is_recognized_by_its_checksum(
    tmp_path: Path, model_folder: Path, command: str
) -> None:
    (model_folder / CARD).write_bytes((ROOT / "models" / CARD).read_bytes())
    halve(model_folder / MODEL)
    line = told(tmp_path, command, model_folder / CARD)
    assert MODEL in line and "damaged" in line


def test_check_finds_a_damaged_model_without_a_checksum(tmp_path: Path, model_folder: Path) -> None:
    halve(model_folder / MODEL)
    line = told(tmp_path, "check", model_folder / CARD)
    assert "cameras.porch" in line and "onnxruntime cannot read this model" in line


def test_check_finds_a_model_of_another_shape_than_its_card_says(tmp_path: Path, misfit_card: Path) -> None:
    line = told(tmp_path, "check", misfit_card)
    assert "the model's input 'image' is" in line and "640" in line


@pytest.mark.parametrize("missing", [MODEL, "coco-80.txt"])
def test_a_card_whose_files_are_gone_is_told_with_the_file(tmp_path: Path, model_folder: Path, missing: str) -> None:
    (model_folder / missing).unlink()
    assert missing in told(tmp_path, "check", model_folder / CARD)


def test_check_reports_the_models_and_labels_of_all_cameras_together(tmp_path: Path, misfit_card: Path) -> None:
    config = tmp_path / "soteira.yaml"
    config.write_text(
        "detector: {backend: onnx}\n"
        "cameras:\n"
        "  good: {source: a.mp4}\n"
        "  label: {source: a.mp4, objects: {track: [unicorn]}}\n"
        f'  misfit: {{source: a.mp4, detector: {{model: "{misfit_card}", backend: onnx}}}}\n'
        "  none: {source: a.mp4, detector: {model: yolo-900}}\n",
        encoding="utf-8",
    )
    result = typed("check", "-c", config)
    assert (result.returncode, result.stdout) == (1, "")
    named = [line.removeprefix(f"{config}: cameras.").split(":")[0] for line in result.stderr.splitlines()]
    assert named == ["label", "misfit", "none"]


def test_check_tells_files_for_encryption_that_cannot_be_used_in_one_line_with_the_other_problems(
    tmp_path: Path,
) -> None:
    config, gone = tmp_path / "soteira.yaml", tmp_path / "gone.pem"
    config.write_text(
        f'mqtt: {{tls: {{ca: "{gone}"}}}}\n'
        "cameras:\n  porch: {source: a.mp4, detector: {model: yolo-900}}\n",
        encoding="utf-8",
    )  # fmt: skip
    result = typed("check", "-c", config)
    assert (result.returncode, result.stdout) == (1, "")
    tls, camera = result.stderr.splitlines()
    assert tls.startswith(f"{config}: {gone}: mqtt.tls.ca: this file cannot be read (no such file")
    assert "cameras.porch" in camera


def test_check_makes_no_state_folder_and_opens_no_source(tmp_path: Path) -> None:
    config = tmp_path / "soteira.yaml"
    state = tmp_path / "state"
    config.write_text(f'storage: {{path: "{state}"}}\ncameras: {{porch: {{source: none.mp4}}}}\n', encoding="utf-8")
    result = typed("check", "-c", config)
    assert (result.returncode, result.stderr) == (0, "")
    assert "porch" in result.stdout and not state.exists()


def test_a_clip_is_replayed_with_the_settings_of_a_camera_that_has_a_detail_stream_or_a_size(tmp_path: Path) -> None:
    config = tmp_path / "soteira.yaml"
    config.write_text(
        "cameras:\n"
        "  porch: {source: rtsp://h/s, detail: rtsp://h/main, rotate: 90, fps: 5}\n"
        "  desk: {source: /dev/video0, size: 640x480, hwaccel: none, detail: http://h/snap.jpg}\n",
        encoding="utf-8",
    )
    name, porch = replay_camera(tmp_path / "a.mp4", config, None, "max", {})
    assert (name, porch.source, porch.speed, porch.live) == ("porch", str(tmp_path / "a.mp4"), "max", False)
    assert (porch.detail, porch.rotate, porch.fps) == (None, 90, 5)
    name, desk = replay_camera(tmp_path / "a.mp4", config, "desk", "2", {"fps": 3})
    assert (name, desk.size, desk.detail, desk.hwaccel, desk.speed, desk.fps) == ("desk", None, None, "none", 2, 3)


def test_other_labels_for_a_replay_are_no_contradiction_to_the_cameras_questions(tmp_path: Path) -> None:
    config = tmp_path / "soteira.yaml"
    config.write_text(
        "cameras:\n  porch:\n    source: rtsp://h/s\n"
        '    questions: [{name: who, ask: "Who is it?", when: {labels: [person]}}]\n',
        encoding="utf-8",
    )
    _, camera = replay_camera(Path("a.mp4"), config, "porch", "max", {"track": ["car"]})
    assert (camera.objects.track, camera.questions) == (("car",), ())
