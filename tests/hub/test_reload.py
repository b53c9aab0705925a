"""A reload: a good configuration, one that is wrong, a model that does not work, and a fault of our own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from soteirad.config import CameraConfig, Config, load_config
from soteirad.detect.choice import Choice
from soteirad.detect.detector import REFERENCE
from soteirad.errors import ModelError, Stopped, StorageError
from soteirad.hub import reload as reload_module
from soteirad.hub.engines import Choices
from soteirad.hub.reload import Loaded, Refused, Reload

CHOICE = Choice(REFERENCE, 0.0, None, ())
GOOD = (
    "cameras:\n  porch: {source: rtsp://h/s}\n"
    "  yard: {source: rtsp://h/y, enabled: false, detector: {model: none}}\n"
)


def watched(config: Config) -> Mapping[str, CameraConfig]:
    return config.watched


def outcome(load: Callable[[], Config], known: Choices | None = None,
            stop: Callable[[], bool] = lambda: False) -> Loaded | Refused | None:  # fmt: skip
    """Run a reload to its end."""
    woken = threading.Event()
    reload = Reload(load, watched, known or {}, stop, woken.set)
    assert reload.result is None
    reload.start()
    assert woken.wait(60.0), "the hub was not woken"
    return reload.result


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "soteira.yaml"
    path.write_text(GOOD, encoding="utf-8")
    return path


def test_a_good_configuration_comes_with_the_engines_of_the_cameras_that_are_watched(file: Path) -> None:
    known = {load_config(file).cameras["porch"].detector: CHOICE}
    result = outcome(lambda: load_config(file), known)
    assert result == Loaded(load_config(file), known), "the model of a camera that is off is not looked at"


def test_a_configuration_that_is_wrong_is_refused_with_every_problem(file: Path) -> None:
    file.write_text("cameras:\n  porch: {source: rtsp://h/s, fps: -1}\n  yard: {sauce: a.mp4}\n", encoding="utf-8")
    result = outcome(lambda: load_config(file))
    assert isinstance(result, Refused) and len(result.problems) >= 3
    assert any("cameras.porch.fps" in line for line in result.problems)
    assert all("\n" not in line for line in result.problems)


def test_a_file_that_is_gone_is_refused(file: Path) -> None:
    file.unlink()
    result = outcome(lambda: load_config(file))
    assert isinstance(result, Refused) and "soteira.yaml" in result.problems[0]


def test_a_model_that_does_not_work_is_refused_with_the_cameras_name(file: Path) -> None:
    file.write_text("cameras:\n  porch: {source: rtsp://h/s, detector: {model: none-such}}\n", encoding="utf-8")
    result = outcome(lambda: load_config(file))
    assert isinstance(result, Refused)
    (line,) = result.problems
    assert line.startswith("porch: ") and "none-such" in line


@pytest.mark.parametrize("error", [ModelError("no engine passed"), StorageError("the disk is full")])
def test_any_error_for_the_owner_is_a_refusal_with_its_sentence(
    file: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> Choices:
        raise error

    monkeypatch.setattr(reload_module, "choose_engines", fail)
    assert outcome(lambda: load_config(file)) == Refused((str(error),))


def test_a_fault_of_our_own_is_a_refusal_and_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Config:
        raise KeyError("oops")

    assert outcome(fail) == Refused(("a fault in Soteira (KeyError)",))
    (record,) = [r for r in caplog.records if r.name == reload_module.logger.name]
    assert record.exc_info is not None


def test_a_reload_that_is_stopped_has_no_result_but_wakes_the_hub(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asks(_cameras: object, _known: object, stop: Callable[[], bool], _trial: object) -> Choices:
        assert stop()
        raise Stopped("stopped")

    monkeypatch.setattr(reload_module, "choose_engines", asks)
    assert outcome(lambda: load_config(file), stop=lambda: True) is None


def test_a_reload_says_what_it_is_at(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trying, seen = threading.Event(), threading.Event()

    def tries(_cameras: object, _known: object, _stop: object, on_trial: Callable[[str], None]) -> Choices:
        on_trial("trying what runs nanodet best here")
        trying.set()
        assert seen.wait(60.0)
        return {}

    monkeypatch.setattr(reload_module, "choose_engines", tries)
    reload = Reload(lambda: load_config(file), lambda config: config.cameras, {}, lambda: False, lambda: None)
    assert reload.doing == "reading the configuration again"
    reload.start()
    assert trying.wait(60.0)
    assert reload.doing == "trying what runs nanodet best here"
    seen.set()


def test_the_hub_goes_on_while_a_reload_takes_its_time(file: Path) -> None:
    may, woken = threading.Event(), threading.Event()

    def slow() -> Config:
        assert may.wait(60.0)
        return load_config(file)

    reload = Reload(slow, watched, {load_config(file).cameras["porch"].detector: CHOICE}, lambda: False, woken.set)
    reload.start()
    assert reload.result is None and not woken.is_set()
    may.set()
    assert woken.wait(60.0) and isinstance(reload.result, Loaded)
