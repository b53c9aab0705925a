"""A recording: what was written is read, and a file that is not whole is refused."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from soteirad.detect.detection import Detections
from soteirad.gates.scene import HISTOGRAM_BINS
from soteirad.tune import recording as module
from soteirad.tune.recording import DamagedError, Facts, Recording, RecordingWriter

FACTS = Facts("clip.mp4", 12.5, (640, 360), {"decode": 1.5, "detect": 12.0})
RNG = np.random.default_rng(5)
GREYS = [RNG.integers(0, 255, shape).astype(np.uint8) for shape in ((18, 32), (18, 32), (9, 16), (18, 32))]
COLOURS = [np.where(RNG.random(HISTOGRAM_BINS**2) > 0.9, RNG.random(HISTOGRAM_BINS**2), 0).astype(np.float32)
           for _ in GREYS]  # fmt: skip
FOUND = [Detections.empty(), Detections(RNG.random((3, 4)).astype(np.float32), RNG.random(3).astype(np.float32),
                                        np.array([0, 2, 2])), Detections.empty(), Detections.empty()]  # fmt: skip


def written(path: Path) -> Path:
    writer = RecordingWriter(path)
    writer.open()
    for i, grey in enumerate(GREYS):
        writer.frame(i * 0.2, corrupt=False)
        writer.analysed(grey, COLOURS[i], FOUND[i], b"jpeg%d" % i)
        writer.frame(i * 0.2 + 0.1, corrupt=i == 1)
    writer.finish(FACTS)
    return path


def opened(path: Path) -> Recording:
    recording = Recording(path)
    recording.open()
    return recording


def test_what_was_written_is_read_to_the_last_bit(tmp_path: Path) -> None:
    recording = opened(written(tmp_path / "a.recording"))
    assert recording.facts == FACTS
    assert [(m.time, m.corrupt) for m in recording.moments[:4]] == [(0.0, False), (0.1, False), (0.2, False),
                                                                   (pytest.approx(0.3), True)]  # fmt: skip
    assert recording.analysed.tolist() == [0, 2, 4, 6] and recording.time(2) == 0.4
    read = recording.lumas()
    for i in range(4):
        assert np.array_equal(read(i), GREYS[i])
        assert np.array_equal(recording.colours(i), COLOURS[i])
        assert recording.picture(i) == b"jpeg%d" % i
        found = recording.found(i)
        assert np.array_equal(found.boxes, FOUND[i].boxes) and np.array_equal(found.scores, FOUND[i].scores)
        assert found.classes.tolist() == FOUND[i].classes.tolist()
    recording.close()


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    assert written(tmp_path / "a.recording").stat().st_mode & 0o077 == 0


def test_a_file_that_was_cut_off_or_has_a_wrong_bit_is_no_recording(tmp_path: Path) -> None:
    whole = written(tmp_path / "a.recording").read_bytes()
    chance = random.Random(3)
    damaged = [whole[: chance.randrange(len(whole))] for _ in range(20)] + [b"", b"no recording at all, by any means"]
    for _ in range(60):
        place = chance.randrange(len(whole))
        damaged.append(whole[:place] + bytes([whole[place] ^ 1 << chance.randrange(8)]) + whole[place + 1 :])
    for data in damaged:
        path = tmp_path / "b.recording"
        path.write_bytes(data)
        with pytest.raises(DamagedError):
            opened(path)


def test_one_of_another_version_is_no_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.recording")
    monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
    with pytest.raises(DamagedError, match="version"):
        opened(path)


def test_one_that_was_not_finished_is_no_recording(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "a.recording")
    writer.open()
    writer.frame(0.0, corrupt=False)
    writer.close()
    with pytest.raises(DamagedError):
        opened(tmp_path / "a.recording")
