"""What live video and clips cost, and its stages: the lines that are made of what was measured."""

from __future__ import annotations

import math

import pytest

from benchmarks import glass_figures
from benchmarks.encoder import HARDWARE
from benchmarks.encoder import figures as encoder_figures
from benchmarks.figure import Figure
from benchmarks.glass_figures import Arrivals, Run
from benchmarks.packets import packet_figures
from benchmarks.person_scene import PersonScene
from benchmarks.video import Cost, clip_figures, viewer_figures
from tests.benchmarks.live_studio import SIZE
from tests.benchmarks.test_shown import frame, piece, shown


def by_key(found: list[Figure]) -> dict[str, Figure]:
    return {figure.key: figure for figure in found}


@pytest.fixture(scope="module")
def run() -> Run:
    pytest.importorskip("skimage", reason="the person's photograph is in scikit-image: pip install scikit-image")
    scene = PersonScene(SIZE)
    frames = [{**frame(n, 300.0, [scene.box(n - 5)]), "rate": 1.0, "ahead": 0.1} for n in range(20, 60)]
    overlays = [{"at": n / 25, "arrived": 0.0, "looked": 0.1, "boxes": [scene.box(n)]} for n in range(10, 60)]
    found = shown(frames, [piece(n, 120.0) for n in range(20, 60)], overlays)
    stages = {"motion": 2.0, "scene": 1.0, "wait": 4.0, "detect": 20.0}
    return Run(scene, Arrivals([50.0] * 9, [10.0] * 9), found, stages)


def test_the_stages_are_parts_of_the_whole_way(run: Run) -> None:
    found = by_key(glass_figures.stage_figures(run))
    assert found["stage_gates"].value == 3.0 and found["stage_inference"].value == 24.0
    assert found["stage_transport"].value == pytest.approx(80.0)
    assert found["stage_display"].value == pytest.approx(180.0)
    assert by_key(glass_figures.whole_figures("small", run))["glass_small_p95"].value == pytest.approx(300.0)


def test_a_stage_of_which_the_daemon_said_nothing_has_no_figure(run: Run) -> None:
    found = by_key(glass_figures.stage_figures(Run(run.scene, run.arrivals, run.shown, {})))
    assert found["stage_gates"].value is None and found["stage_inference"].value is None


def test_boxes_are_judged_by_who_they_are_about(run: Run) -> None:
    found = by_key(glass_figures.overlay_figures("small", run))
    assert found["overlay_small"].value == 0.0 and found["overlay_small"].met is False
    assert found["overlay_small_straight"].value == 0.0


def test_what_capture_takes_is_told_with_the_cameras_own_part(run: Run) -> None:
    (found,) = glass_figures.capture_figures("small", run.arrivals, [12.0])
    assert found.value == 50.0 and "are 12 ms of it" in found.note


def test_a_further_viewer_is_a_third_of_what_four_cost_beside_one() -> None:
    taken = {"0": [Cost(0.01, 0.05)] * 3, "1": [Cost(0.02, 0.06)] * 3, "4": [Cost(0.05, 0.06)] * 3}
    found = by_key(viewer_figures(taken, 2e6))
    assert found["viewer_further"].value == pytest.approx(1.0)
    assert found["viewer_first"].value == pytest.approx(2.0)


def test_clips_are_compared_within_each_window() -> None:
    calm = {"off": 0.04, "ring": 0.0404, "decode": 0.04}
    busy = {kind: 2 * share for kind, share in calm.items()}
    found = by_key(clip_figures([calm, busy, calm], {"off": 60.0, "ring": 80.0}, 2e6))
    assert found["clips_ring"].value == pytest.approx(0.01) and found["clips_ring"].met
    assert found["clips_memory"].value == 20.0 and "18.0 MB" in found["clips_memory"].note


def test_packets_are_shares_of_decoding_them() -> None:
    taken = {"decoding": [1.0, 1.0], "ring": [0.01, 0.01], "writing": [0.02, 0.02], "finished clip": [0.03, 0.03],
             "live": [0.015, 0.015]}  # fmt: skip
    found = by_key(packet_figures(taken, 600))
    assert found["packets_ring"].met and found["packets_writing"].met is False
    assert found["packets_finished"].value == pytest.approx(0.04)


def test_the_dearer_content_counts_and_closed_encoders_say_why() -> None:
    taken = {f"{threads}|{name}": [(ms, ms)] * 5 for threads in (1, 2) for name, ms in (("still", 3.0), ("noise", 5.0))}
    found = by_key(encoder_figures(taken, dict.fromkeys(HARDWARE, "it does not open")))
    assert found["encoder_1"].value == 5.0 and found["encoder_1"].met
    assert found["encoder_hardware"].value is None and "h264_vaapi: it does not open" in found["encoder_hardware"].note
    assert not math.isnan(found["encoder_2"].value or math.nan)
