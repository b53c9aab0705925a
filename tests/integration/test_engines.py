"""The real daemon on each engine: the same events, a detector that is named, and a broken model that is refused."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from soteirad.detect.choice import PRECISIONS, is_installed
from soteirad.detect.engine import BackendName
from tests.brokers import Mosquitto, Received, Subscriber
from tests.daemon import events, kinds, payloads, soteirad, until, write_config
from tests.house import MODEL, StartDaemon

VERDICT = r"\d+ objects, IoU at least [01]\.\d{3}, scores within 0\.\d{3}, cosine [01]\.\d{5}"


def detector_lines(log: str) -> list[str]:
    return [line for line in log.splitlines() if "hub: detector " in line]


def diagnostics(messages: list[Received], camera: str = "porch") -> dict[str, Any]:
    return dict(json.loads(payloads(messages, f"soteira/{camera}/diagnostics")[-1]))


def ended(messages: list[Received]) -> bool:
    return payloads(messages, "soteira/status")[-1:] == ["offline"]


@pytest.mark.parametrize("backend", ["onnx", "openvino", "litert", "coreml"])
def test_every_backend_gives_the_same_events_and_is_named_in_the_diagnostics_and_in_one_line_of_the_log(
    backend: BackendName, tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon,
    entry_clip: Path,
) -> None:  # fmt: skip
    if not is_installed(backend):
        pytest.skip(f"{backend} is not installed or does not predict here: nothing was learned about it "
                    f"(install soteirad[{backend}]; coreml needs a Mac)")  # fmt: skip
    config = write_config(tmp_path, broker.port, {"porch": {"source": str(entry_clip), "speed": 8}},
                          detector={"backend": backend})  # fmt: skip
    daemon = start_daemon(config, "--until-end")
    assert daemon.wait_exit() == 0
    seen = listener.wait_for(ended)
    assert kinds(events(seen)) == ["entered person", "left person source_ended"]
    detector = diagnostics(seen)["detector"]
    assert (detector["model"], detector["backend"]) == (MODEL, backend)
    assert detector["precision"] in PRECISIONS[backend] and detector["threads"] == 1
    assert re.fullmatch(VERDICT, detector["golden"])
    assert len(detector["rejected"]) == len(PRECISIONS[backend]) - 1
    (line,) = detector_lines(daemon.log())
    assert f"detector {MODEL}: {backend} {detector['precision']}, " in line
    assert re.search(rf"\(golden check: {VERDICT}\)", line)


def test_cameras_with_the_same_settings_share_one_choice_and_its_line_in_the_log(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, entry_clip: Path
) -> None:
    camera = {"source": str(entry_clip), "speed": 5, "detector": {"backend": "onnx"}}
    daemon = start_daemon(write_config(tmp_path, broker.port, {"porch": camera, "yard": camera}), "--until-end")
    assert daemon.wait_exit() == 0
    seen = listener.wait_for(ended)
    for name in ("porch", "yard"):
        assert kinds(events(seen, name)) == ["entered person", "left person source_ended"]
        assert diagnostics(seen, name)["detector"]["backend"] == "onnx"
    assert len(detector_lines(daemon.log())) == 1, daemon.log()


@pytest.fixture
def broken_card(model_folder: Path) -> Path:
    """The default model with the signs of its largest weights turned: it loads and runs, and finds other things."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed, and makes the broken model: soteirad[convert]")
    path = model_folder / f"{MODEL}-fp16.onnx"
    model = onnx.load(path)
    weights = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    weights.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(weights), weights.name))
    onnx.save(model, path)
    return model_folder / f"{MODEL}.yaml"


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_broken_model_ends_with_exit_code_1_and_one_line_with_the_golden_checks_numbers(
    command: str, tmp_path: Path, broken_card: Path
) -> None:
    config = write_config(tmp_path, 1, {"porch": {"source": "none.mp4"}},
                          detector={"model": str(broken_card), "backend": "onnx"})  # fmt: skip
    result = soteirad(command, "-c", config)
    assert (result.returncode, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert "porch: " in result.stderr and MODEL in result.stderr
    assert re.search(rf"onnx fp32: the golden check failed \({VERDICT}\): golden-1\.png: ", result.stderr)


def test_a_broken_file_stops_only_the_engines_that_read_it(
    tmp_path: Path, broken_card: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon,
    entry_clip: Path,
) -> None:  # fmt: skip
    if not is_installed("litert"):
        pytest.skip("LiteRT is not installed: nothing was learned (install soteirad[litert])")
    cameras = {"porch": {"source": str(entry_clip), "speed": 8}}
    config = write_config(tmp_path, broker.port, cameras,
                          detector={"model": str(broken_card), "backend": "litert"})  # fmt: skip
    assert start_daemon(config, "--until-end").wait_exit() == 0
    seen = listener.wait_for(ended)
    assert kinds(events(seen)) == ["entered person", "left person source_ended"]
    assert diagnostics(seen)["detector"]["backend"] == "litert"


def test_a_second_start_recalls_the_choice_of_the_first(
    tmp_path: Path, start_daemon: StartDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config = write_config(tmp_path, 1, {"porch": {"source": "none.mp4"}}, detector={"backend": "onnx"})
    first = start_daemon(config)
    first.wait_log("watching porch")
    first.stop()
    kept = tmp_path / "soteira" / "engines.json"
    ((key, entry),) = json.loads(kept.read_text(encoding="utf-8")).items()
    assert f"onnx fp32, {entry['model_ms']:.1f} ms" in detector_lines(first.log())[0]
    # A time that no trial would measure shows where the second start has its choice from.
    kept.write_text(json.dumps({key: {**entry, "model_ms": 54321.0}}), encoding="utf-8")
    second = start_daemon(config)
    second.wait_log("watching porch")
    second.stop()
    assert [line for line in detector_lines(second.log()) if "onnx fp32, 54321.0 ms" in line]


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_daemon_that_is_ended_while_it_tries_engines_leaves_no_process_and_no_traceback(
    end: signal.Signals, tmp_path: Path, start_daemon: StartDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    daemon = start_daemon(write_config(tmp_path, 1, {"porch": {"source": "none.mp4"}}))
    daemon.wait_until(lambda: any("detect.trial" in line for line in daemon.group().values()), "engines are tried")
    daemon.signal_group(end) if end == signal.SIGINT else daemon.signal(end)
    daemon.wait_exit()
    assert until(lambda: not daemon.group(), 60.0), daemon.group()
    assert "Traceback" not in daemon.log(), daemon.log()


def test_the_card_of_a_camera_is_checked_like_that_of_all(tmp_path: Path, broken_card: Path) -> None:
    path = write_config(tmp_path, 1, {"porch": {"source": "none.mp4", "detector": {"backend": "onnx"}}})
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["cameras"]["yard"] = {"source": "none.mp4", "detector": {"model": str(broken_card), "backend": "onnx"}}
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    result = soteirad("check", "-c", path)
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"{path}: cameras.yard: ") and re.search(VERDICT, line)
