"""What is reported on real footage, against labels by eye, against published ground truth, and against no gating."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from unittest import mock

import pytest

from soteirad.detect.detection import Detections
from soteirad.detect.detector import Detector
from soteirad.detect.preprocess import Picture
from soteirad.tools.check import replay_camera
from soteirad.tools.replay import Replay, replay
from tests import clips
from tests.shared_data import shared
from tests.truth import Entry, Score, entries, score

DATA = Path(__file__).parent / "data"
VTEST = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
SETTLE_S = 2.0
"""Who is found in the first seconds is `present`."""

pytestmark = pytest.mark.slow


Run = Callable[..., Replay]


@pytest.fixture(scope="module")
def run() -> Run:
    """Replay a clip, or return what was found when it was.

    The detector looks at each picture once: it is pure, and replays of one clip share their pictures.
    """
    detect = Detector.detect
    looks: dict[tuple[tuple[str, ...], bytes], Detections] = {}

    @cache
    def run(clip: Path, labels: tuple[str, ...], min_area: float, every_frame: bool) -> Replay:
        def look(detector: Detector, picture: Picture) -> Detections:
            key = labels, hashlib.sha256(picture.tobytes()).digest()
            if key not in looks:
                looks[key] = detect(detector, picture)
            return looks[key]

        name, camera = replay_camera(clip, None, None, "max", {"track": list(labels), "min_area": min_area})
        # The reference engine, so that the figures are those of every machine.
        chosen = camera.detector.model_copy(update={"backend": "onnx"})
        with mock.patch.object(Detector, "detect", look):
            return replay(name, camera.model_copy(update={"detector": chosen}), every_frame)

    return run


def visits_in_a_row(folder: Path, times: int) -> Path:
    """Write the same visit several times over, as a camera that is watched for longer than a view stays fresh."""
    once, listed, target = clips.cut(folder / "visit.mp4", clips.VISIT), folder / "list.txt", folder / "visits.mp4"
    listed.write_text(f"file '{once}'\n" * times)
    join = ["ffmpeg", "-v", "error", "-f", "concat", "-safe", "0", "-i", str(listed), "-c", "copy", str(target)]
    subprocess.run(join, check=True)
    return target


def test_the_same_visit_six_times_over_is_reported_six_times(tmp_path: Path, run: Run) -> None:
    found = run(visits_in_a_row(tmp_path, 6), ("person",), 0.01, False)
    assert [e.event_type for e in found.events] == ["entered", "left"] * 6


def vtest() -> Path:
    if not VTEST.exists():
        pytest.skip(f"{VTEST} is missing: install Debian's package opencv-doc")
    return VTEST


def parking_truth(labels: tuple[str, ...]) -> list[Entry]:
    visits = json.loads((DATA / "person-bicycle-car.json").read_text())["visits"]
    return [
        Entry(v["label"], v["entered"], v["fully_visible"], tuple(tuple(row) for row in v["track"]))
        for v in visits
        if v["label"] in labels
    ]


def pets_truth() -> list[Entry]:
    """Ground truth of PETS09-S2L1; frame n of the video is frame n of the ground truth, 10 a second."""
    rows: dict[int, list[tuple[float, ...]]] = {}
    for line in shared("mot/PETS09-S2L1-gt.txt").read_text().splitlines():
        frame, person, x, y, w, h = (float(v) for v in line.split(",")[:6])
        rows.setdefault(int(person), []).append((frame / 10, x, y, x + w, y + h))
    tracks = [tuple(sorted(r)) for r in rows.values()]
    return [Entry("person", t[0][0], t[0][0], t, (768, 576)) for t in tracks if t[0][0] > SETTLE_S]  # type: ignore[arg-type]


def tell(record_property: object, what: str, result: Score | str) -> None:
    record_property(what, str(result))  # type: ignore[operator]
    print(f"{what}: {result}")


def test_the_car_park_clip_reports_the_entries_that_were_labelled_by_eye(record_property: object, run: Run) -> None:
    clip = shared("clips/person-bicycle-car-detection.mp4")
    labels = ("person", "car")
    result, reference = (run(clip, labels, 0.001, e) for e in (False, True))
    found = score(entries(result.events), parking_truth(labels))
    tell(record_property, "car park", found)
    share = result.summary["detector_runs"] / reference.summary["detector_runs"]
    tell(record_property, "car park, looks of those on every frame", f"{share:.3f}")
    assert found.recall >= 0.9, found.missed
    assert found.precision >= 0.9, found.false
    assert share <= 0.25


def test_gating_keeps_the_entries_of_a_busy_street(record_property: object, run: Run) -> None:
    gated, reference = (run(vtest(), ("person",), 0.001, e) for e in (False, True))
    found = score(entries(gated.events), [Entry.of(e) for e in entries(reference.events)])
    tell(record_property, "vtest, gated against every frame", found)
    share = gated.summary["detector_runs"] / reference.summary["detector_runs"]
    tell(record_property, "vtest, looks of those on every frame", f"{share:.3f}")
    assert found.recall >= 0.95, found.missed
    assert found.precision >= 0.9, found.false


def test_the_busy_street_is_scored_against_published_ground_truth(record_property: object, run: Run) -> None:
    truth = pets_truth()
    assert len(truth) == 15
    for what, every_frame in (("gated", False), ("every frame", True)):
        found = score(entries(run(vtest(), ("person",), 0.001, every_frame).events), truth)
        tell(record_property, f"vtest against PETS, {what}", found)
        assert found.matched > 0
