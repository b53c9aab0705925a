"""What is reported on real footage, against labels by eye, against published ground truth, and against no gating."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from unittest import mock

import pytest

from soteirad.detect.detector import Detector
from soteirad.tools.check import replay_camera
from soteirad.tools.replay import Replay, replay
from tests import clips
from tests.looks import Looks
from tests.shared_data import shared
from tests.truth import Entry, Score, entries, score

DATA = Path(__file__).parent / "data"
VTEST = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
SETTLE_S = 2.0
"""Who is found in the first seconds is `present`."""

pytestmark = pytest.mark.slow


Run = Callable[..., Replay]


@pytest.fixture(scope="module")
def looks() -> Iterator[Looks]:
    looks = Looks(Path(os.environ["XDG_CACHE_HOME"]))
    looks.read()
    yield looks
    looks.write()


@pytest.fixture(scope="module")
def run(looks: Looks) -> Run:
    """Replay a clip, or return what was found when it was."""

    @cache
    def run(clip: Path, labels: tuple[str, ...], min_area: float, every_frame: bool) -> Replay:
        name, camera = replay_camera(clip, None, None, "max", {"track": list(labels), "min_area": min_area})
        # The reference engine, so that the figures are those of every machine.
        chosen = camera.model_copy(update={"detector": camera.detector.model_copy(update={"backend": "onnx"})})
        with mock.patch.object(Detector, "detect", looks.of(chosen)):
            return replay(name, chosen, every_frame)

    return run


def visits_in_a_row(folder: Path, times: int) -> Path:
    """Write the same visit several times over, as a camera that is watched for longer than a view stays fresh."""
    once, listed, target = clips.cut(folder / "visit.mp4", clips.VISIT), folder / "list.txt", folder / "visits.mp4"
    listed.write_text(f"file '{once}'\n" * times)
    join = ["ffmpeg", "-v", "error", "-f", "concat", "-safe", "0", "-i", str(listed), "-c", "copy", str(target)]
    subprocess.run(join, check=True)
    return target


def test_the_same_visit_four_times_over_is_reported_four_times(tmp_path: Path, run: Run) -> None:
    found = run(visits_in_a_row(tmp_path, 4), ("person",), 0.01, False)
    assert [e.event_type for e in found.events] == ["entered", "left"] * 4


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
    result = run(clip, labels, 0.001, False)
    found = score(entries(result.events), parking_truth(labels))
    tell(record_property, "car park", found)
    share = result.summary["detector_runs"] / result.summary["analysed"]
    tell(record_property, "car park, looks of those on every frame", f"{share:.3f}")
    assert found.recall >= 0.9, found.missed
    assert found.precision >= 0.9, found.false
    assert share <= 0.2


def test_gating_keeps_the_entries_of_a_busy_street(record_property: object, run: Run) -> None:
    gated, reference = (run(vtest(), ("person",), 0.001, e) for e in (False, True))
    found = score(entries(gated.events), [Entry.of(e) for e in entries(reference.events)])
    tell(record_property, "vtest, gated against every frame", found)
    share = gated.summary["detector_runs"] / reference.summary["detector_runs"]
    assert reference.summary["detector_runs"] == reference.summary["analysed"] == gated.summary["analysed"]
    tell(record_property, "vtest, looks of those on every frame", f"{share:.3f}")
    assert found.recall >= 0.95, found.missed
    assert found.precision >= 0.95, found.false
    assert share <= 0.52


def test_the_busy_street_is_scored_against_published_ground_truth(record_property: object, run: Run) -> None:
    truth = pets_truth()
    assert len(truth) == 15
    for what, every_frame in (("gated", False), ("every frame", True)):
        found = score(entries(run(vtest(), ("person",), 0.001, every_frame).events), truth)
        tell(record_property, f"vtest against PETS, {what}", found)
        assert found.matched > 0
