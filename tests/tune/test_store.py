"""Where recordings are kept: what makes a new one, what is thrown away, and what is said of a folder of no use."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest

from soteirad.config import CameraConfig
from soteirad.errors import SoteiraError
from soteirad.tune import store as module
from soteirad.tune.recording import RecordingWriter
from soteirad.tune.store import SUFFIX, Store
from tests.tune.conftest import camera_of
from tests.tune.test_recording import COLOURS, FACTS, FOUND, GREYS

Change = Callable[[CameraConfig], CameraConfig]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"a clip")
    return path


@pytest.fixture
def surveys() -> list[str]:
    """The sources that were surveyed; a survey takes no time here."""
    return []


@pytest.fixture(autouse=True)
def _quick(surveys: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def survey(camera: CameraConfig, writer: RecordingWriter, _: object) -> None:
        surveys.append(camera.source)
        writer.frame(0.0, corrupt=False)
        writer.analysed(GREYS[0], COLOURS[0], FOUND[0], b"x" * 5000)
        writer.finish(FACTS)

    monkeypatch.setattr(module, "survey", survey)


def ask(folder: Path, camera: CameraConfig, most_bytes: int = 10**9) -> Path:
    with closing(Store(folder, most_bytes)) as store:
        return store.recording(camera).path


def test_a_clip_is_measured_once(tmp_path: Path, clip: Path, surveys: list[str]) -> None:
    camera = camera_of(clip)
    assert ask(tmp_path / "cache", camera) == ask(tmp_path / "cache", camera)
    assert len(surveys) == 1
    assert [p.suffix for p in (tmp_path / "cache").iterdir()] == [SUFFIX]


@pytest.mark.parametrize("sections", [{"motion": {"threshold": 0.5, "var_threshold": 30.0}}, {"scene": {"ssim": 0.1}},
                                      {"objects": {"stride": 9, "min_score": 0.9, "min_area": 0.5}}])  # fmt: skip
def test_what_is_tuned_needs_no_new_measurement(
    tmp_path: Path, clip: Path, surveys: list[str], sections: dict[str, dict[str, object]]
) -> None:
    camera = camera_of(clip)
    changed = {name: getattr(camera, name).model_copy(update=keys) for name, keys in sections.items()}
    assert ask(tmp_path, camera) == ask(tmp_path, camera.model_copy(update=changed))
    assert len(surveys) == 1


@pytest.mark.parametrize("update", [{"fps": 5.0}, {"rotate": 90}])
def test_another_picture_needs_one(tmp_path: Path, clip: Path, surveys: list[str], update: dict[str, object]) -> None:
    camera = camera_of(clip)
    assert ask(tmp_path, camera) != ask(tmp_path, camera.model_copy(update=update))
    tracked = camera.objects.model_copy(update={"track": ("car",)})
    assert ask(tmp_path, camera) != ask(tmp_path, camera.model_copy(update={"objects": tracked}))
    assert len(surveys) == 3


def test_another_clip_under_the_same_name_needs_one(tmp_path: Path, clip: Path, surveys: list[str]) -> None:
    ask(tmp_path, camera_of(clip))
    clip.write_bytes(b"another")
    ask(tmp_path, camera_of(clip))
    assert len(surveys) == 2


def test_a_damaged_recording_is_made_anew(tmp_path: Path, clip: Path, surveys: list[str]) -> None:
    path = ask(tmp_path, camera_of(clip))
    path.write_bytes(path.read_bytes()[:-100])
    assert ask(tmp_path, camera_of(clip)) == path and len(surveys) == 2
    assert ask(tmp_path, camera_of(clip)) == path and len(surveys) == 2


def test_what_was_used_longest_ago_goes_first_when_there_is_too_much(tmp_path: Path, clip: Path) -> None:
    paths = []
    for number in range(4):
        clip.write_bytes(b"clip %d" % number)
        paths.append(ask(tmp_path, camera_of(clip)))
        os.utime(paths[-1], (1000 + number, 1000 + number))
    clip.write_bytes(b"clip 0")
    ask(tmp_path, camera_of(clip))  # used just now
    clip.write_bytes(b"clip 4")
    last = ask(tmp_path, camera_of(clip), most_bytes=3 * paths[0].stat().st_size)
    assert {p for p in [*paths, last] if p.exists()} == {paths[0], paths[3], last}


def test_what_a_killed_run_left_goes_after_a_day(tmp_path: Path, clip: Path) -> None:
    old, new = tmp_path / "a.1.partial", tmp_path / "a.2.partial"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1000, 1000))
    ask(tmp_path, camera_of(clip))
    assert not old.exists() and new.exists()


def test_what_is_in_use_stays_however_small_the_room_is(tmp_path: Path, clip: Path) -> None:
    assert ask(tmp_path, camera_of(clip), most_bytes=10).exists()


def test_pictures_under_a_privacy_mask_do_not_stay(tmp_path: Path, clip: Path) -> None:
    camera = camera_of(clip).model_copy(update={"privacy_mask": ((0.0, 0.0, 1.0, 0.0, 1.0, 1.0),)})
    assert not ask(tmp_path, camera).exists()


def test_a_recording_that_does_not_stay_is_of_one_run_and_takes_none_from_another(tmp_path: Path, clip: Path) -> None:
    camera = camera_of(clip)
    kept = ask(tmp_path, camera)
    masked = camera.model_copy(update={"privacy_mask": ((0.0, 0.0, 1.0, 0.0, 1.0, 1.0),)})
    with closing(Store(tmp_path)) as mine:
        path = mine.recording(masked).path
        with mock.patch.object(os, "getpid", return_value=os.getpid() + 1):
            assert ask(tmp_path, masked) != path
        assert path.exists() and path.suffix != SUFFIX, "a run that is ended by force leaves nothing that is read again"
    assert not path.exists() and kept.exists()


@pytest.mark.parametrize("suffix", [".partial", ".passing"])
def test_what_a_run_left_that_was_ended_by_force_goes_after_a_day(tmp_path: Path, clip: Path, suffix: str) -> None:
    old, new = tmp_path / f"aa.1{suffix}", tmp_path / f"bb.2{suffix}"
    for path, age in ((old, module.STALE_S + 60), (new, 60)):
        path.write_bytes(b"pictures")
        os.utime(path, (time.time() - age,) * 2)
    ask(tmp_path, camera_of(clip))
    assert not old.exists() and new.exists()


def test_a_disk_that_is_full_up_to_the_closing_leaves_nothing(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = OSError(28, "No space left on device")
    monkeypatch.setattr(module, "survey", mock.Mock(side_effect=full))
    monkeypatch.setattr(RecordingWriter, "close", mock.Mock(side_effect=full))
    with pytest.raises(SoteiraError, match="No space left on device"):
        ask(tmp_path / "cache", camera_of(clip))
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_survey_that_fails_leaves_nothing(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "survey", mock.Mock(side_effect=SoteiraError("too short")))
    with pytest.raises(SoteiraError, match="too short"):
        ask(tmp_path / "cache", camera_of(clip))
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_folder_that_cannot_be_used_is_named_with_what_to_do(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    said = r"file/cache: measurements cannot be kept there \(Not a directory\).*XDG_CACHE"
    with pytest.raises(SoteiraError, match=said):
        ask(tmp_path / "file" / "cache", camera_of(clip))
    with pytest.raises(SoteiraError, match="no home folder"), closing(Store(None)) as store:
        store.recording(camera_of(clip))
    full = mock.Mock(side_effect=OSError(28, "No space left on device"))
    monkeypatch.setattr(module, "survey", full)
    with pytest.raises(SoteiraError, match="No space left on device"):
        ask(tmp_path / "cache", camera_of(clip))


def test_a_clip_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SoteiraError, match=r"gone\.mp4: there is no such file"):
        ask(tmp_path, camera_of(tmp_path / "gone.mp4"))
    with pytest.raises(SoteiraError, match="this is a folder"):
        ask(tmp_path / "cache", camera_of(tmp_path))
