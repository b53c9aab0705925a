"""Recordings of real clips, made once; the detector looks at each picture once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

from soteirad.config import CameraConfig
from soteirad.detect.detection import Detections
from soteirad.detect.detector import Detector
from soteirad.detect.preprocess import Picture
from soteirad.tools.check import replay_camera
from soteirad.tune.store import Store
from tests import clips
from tests.tune.made import Measured

Measure = Callable[[Path], Measured]
Look = Callable[[Detector, Picture], Detections]


def camera_of(clip: Path) -> CameraConfig:
    """The settings of a replay with small boxes."""
    return replay_camera(clip, None, None, "max", {"min_area": 0.001})[1]


@pytest.fixture(scope="session")
def look() -> Look:
    """The detector is pure: what it was asked before, it answers from memory."""
    detect, known = Detector.detect, {}

    def look(detector: Detector, picture: Picture) -> Detections:
        key = hashlib.sha256(picture.tobytes()).digest()
        if key not in known:
            known[key] = detect(detector, picture)
        return known[key]

    return look


@pytest.fixture(scope="module", autouse=True)
def looks_once(look: Look) -> Iterator[None]:
    """Tests of other modules have their own detectors."""
    with mock.patch.object(Detector, "detect", look):
        yield


@pytest.fixture(scope="session")
def measure(tmp_path_factory: pytest.TempPathFactory, look: Look) -> Iterator[Measure]:
    store = Store(tmp_path_factory.mktemp("recordings"))
    known: dict[Path, Measured] = {}

    def measured(clip: Path) -> Measured:
        if clip not in known:
            camera = camera_of(clip)
            with mock.patch.object(Detector, "detect", look):
                known[clip] = Measured(camera, store.recording(camera))
        return known[clip]

    yield measured
    store.close()


@pytest.fixture(scope="session")
def visit(measure: Measure, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """Nobody, a person enters, stands still, leaves: 10 s."""
    return measure(clips.cut(tmp_path_factory.mktemp("clips") / "visit.mp4", ((4.3, 9.3), (29.5, 34.5))))
