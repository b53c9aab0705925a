"""Gate 1: when it opens, what it leaves out, and how well it finds real traffic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from soteirad.gates.geometry import Box, Polygon
from soteirad.gates.motion import Motion, MotionGate, MotionMap, MotionMeter, largest_blob
from soteirad.gates.objects import LabelFilter, ObjectFilter
from tests.shared_data import shared

Grey = NDArray[np.uint8]
WIDTH, HEIGHT = 320, 180
HALF_OF_MIN_AREA = ObjectFilter({0: LabelFilter(min_area=0.01)}).smallest_area / 2
RIGHT_HALF = (0.5, 0.0, 1.0, 0.0, 1.0, 1.0, 0.5, 1.0)


def room(width: int = WIDTH, height: int = HEIGHT) -> Callable[[], Grey]:
    """Return a camera that looks at an empty textured room through faint sensor noise."""
    rng = np.random.default_rng(7)
    wall = cv2.resize(rng.integers(60, 200, (9, 16)).astype(np.uint8), (width, height)).astype(np.float32)
    return lambda: np.clip(wall + rng.normal(0, 1.0, wall.shape), 0, 255).astype(np.uint8)


def with_object(picture: Grey, x: int, y: int, width: int, height: int) -> Grey:
    region = picture[y : y + height, x : x + width]
    region[:] = np.where(region > 127, region - 90, region + 90)
    return picture


class Gate:
    """A meter and the gate that judges by it."""

    def __init__(self, threshold: float = 0.02, min_blob: float = 0.005, masks: Sequence[Polygon] = ()) -> None:
        self.meter, self.gate = MotionMeter(masks=masks), MotionGate(threshold, min_blob)

    def step(self, grey: Grey) -> Motion:
        return self.gate.step(self.meter.step(grey))


def settled(gate: Gate, camera: Callable[[], Grey], frames: int = 30) -> Gate:
    for _ in range(frames):
        gate.step(camera())
    return gate


def motion_of(mask: Grey) -> Motion:
    share = np.count_nonzero(mask) / mask.size
    return Motion(share, share, True, mask)


def test_a_lone_object_of_one_point_two_per_cent_opens_the_gate_under_the_ratio() -> None:
    camera = room()
    motion = settled(Gate(0.02, HALF_OF_MIN_AREA), camera).step(with_object(camera(), 100, 60, 20, 34))
    share = 20 * 34 / (WIDTH * HEIGHT)
    assert share == pytest.approx(0.012, abs=0.0003)
    assert 0.01 < motion.ratio < 0.02
    assert motion.blob > HALF_OF_MIN_AREA
    assert motion.open


def test_specks_that_add_up_to_the_same_share_do_not_open_the_gate() -> None:
    camera = room()
    gate = settled(Gate(0.02, HALF_OF_MIN_AREA), camera)
    picture = camera()
    for i in range(10):
        with_object(picture, 10 + 30 * i, 20 + 14 * (i % 10), 7, 7)
    motion = gate.step(picture)
    assert 0.01 < motion.ratio < 0.02
    assert 0 < motion.blob < HALF_OF_MIN_AREA
    assert not motion.open


def test_the_ratio_alone_opens_the_gate() -> None:
    camera = room()
    gate = settled(Gate(0.02, min_blob=1.0), camera)
    assert not gate.step(camera()).open
    motion = gate.step(with_object(camera(), 40, 40, 60, 60))
    assert motion.ratio >= 0.02
    assert motion.open


def test_an_empty_room_with_sensor_noise_keeps_the_gate_closed() -> None:
    camera = room()
    gate = settled(Gate(0.02, HALF_OF_MIN_AREA), camera)
    assert not any(gate.step(camera()).open for _ in range(50))


def test_a_single_changed_pixel_is_cleaned_away() -> None:
    camera = room()
    motion = settled(Gate(), camera).step(with_object(camera(), 50, 50, 1, 1))
    assert not motion.changed.any()


def test_motion_in_a_masked_part_counts_for_nothing_but_stays_in_the_changed_picture() -> None:
    camera = room()
    gate = settled(Gate(0.02, HALF_OF_MIN_AREA, masks=[RIGHT_HALF]), camera)
    motion = gate.step(with_object(camera(), 200, 40, 80, 80))
    assert (motion.ratio, motion.blob, motion.open) == (0.0, 0.0, False)
    assert motion.changed[50:110, 210:270].all()


def test_the_ratio_is_a_share_of_the_part_that_is_not_masked() -> None:
    camera = room()
    gate = settled(Gate(0.02, HALF_OF_MIN_AREA, masks=[RIGHT_HALF]), camera)
    motion = gate.step(with_object(camera(), 40, 40, 60, 60))
    assert motion.ratio == pytest.approx(2 * np.count_nonzero(motion.changed) / motion.changed.size, rel=0.02)


def test_a_mask_over_everything_closes_the_gate_for_good() -> None:
    camera = room()
    gate = settled(Gate(masks=[(0, 0, 1, 0, 1, 1, 0, 1)]), camera)
    assert not gate.step(with_object(camera(), 0, 0, WIDTH, HEIGHT)).open


def test_the_first_frames_never_open_the_gate_however_much_they_differ() -> None:
    gate = Gate()
    for level in (0, 255, 0)[: MotionMeter.WARM_UP_FRAMES]:
        motion = gate.step(np.full((HEIGHT, WIDTH), level, np.uint8))
        assert (motion.ratio, motion.open, motion.changed.any()) == (0.0, False, False)


def brighter(picture: Grey, levels: float = 60.0) -> Grey:
    return np.clip(picture + levels, 0, 255).astype(np.uint8)


def test_a_light_that_comes_on_is_a_flood_and_then_the_background() -> None:
    camera = room()
    gate = settled(Gate(0.02, HALF_OF_MIN_AREA), camera)
    floods = [gate.step(brighter(camera())) for _ in range(20)]
    assert floods[0].ratio > 0.9
    assert [m.flood for m in floods] == [True] * 3 + [False] * 17
    assert not any(m.open or m.changed[m.changed > 0].size for m in floods)


def test_exposure_that_goes_on_settling_belongs_to_the_flood() -> None:
    camera = room()
    gate = settled(Gate(0.02, HALF_OF_MIN_AREA), camera)
    motions = [gate.step(brighter(camera(), 60.0 - 5 * min(i, 8))) for i in range(30)]
    assert not any(m.open for m in motions)
    assert not any(m.flood for m in motions[15:])


def test_somebody_who_walks_in_a_second_after_the_light_came_on_opens_the_gate() -> None:
    camera = room()
    gate = settled(Gate(0.02, HALF_OF_MIN_AREA), camera)
    settled(gate, lambda: brighter(camera()), 10)
    motion = gate.step(with_object(brighter(camera()), 0, 40, 40, 120))
    assert motion.open
    assert not motion.flood


def test_motion_in_four_fifths_of_the_part_that_is_not_masked_is_a_flood() -> None:
    camera = room()
    gate = settled(Gate(0.02, HALF_OF_MIN_AREA, masks=(RIGHT_HALF,)), camera)
    lit = camera()
    lit[:, : WIDTH // 2] = brighter(lit[:, : WIDTH // 2])
    assert gate.step(lit).flood


def test_an_object_over_most_of_the_picture_is_no_flood_below_the_ceiling() -> None:
    camera = room()
    gate = settled(Gate(0.02, HALF_OF_MIN_AREA), camera)
    motion = gate.step(with_object(camera(), 0, 0, round(0.7 * WIDTH), HEIGHT))
    assert motion.open
    assert not motion.flood


@pytest.mark.parametrize("after", [40, 41, 42, 43])
def test_who_appears_in_a_still_room_is_seen_in_that_frame(after: int) -> None:
    camera = room()
    gate = settled(Gate(), camera, after)
    assert gate.step(with_object(camera(), 100, 50, 30, 30)).open


def test_a_motion_mask_does_not_hide_what_changes_from_the_evidence_in_a_still_room() -> None:
    camera, meter = room(), MotionMeter(masks=[RIGHT_HALF])
    for _ in range(41):
        meter.step(camera())
    changed = meter.step(with_object(camera(), 250, 50, 30, 30))
    assert changed.ratio == 0.0
    assert np.count_nonzero(changed.mask) > 500


def test_a_picture_of_another_size_starts_a_new_background() -> None:
    small, large = room(), room(400, 300)
    gate = settled(Gate(), small)
    for _ in range(MotionMeter.WARM_UP_FRAMES):
        motion = gate.step(large())
        assert motion.changed.shape == (300, 400)
        assert not motion.open
    settled(gate, large)
    assert not gate.step(large()).open
    assert gate.step(with_object(large(), 50, 50, 100, 100)).open


def test_masks_follow_the_size_of_the_picture() -> None:
    small, large = room(), room(400, 300)
    gate = settled(settled(Gate(masks=[RIGHT_HALF]), small), large)
    assert gate.step(with_object(large(), 220, 40, 150, 150)).ratio == 0.0
    assert gate.step(with_object(large(), 20, 40, 150, 150)).open


def test_the_largest_blob_counts_diagonal_neighbours_and_an_empty_mask_has_none() -> None:
    mask = np.zeros((20, 20), np.uint8)
    assert largest_blob(mask) == 0
    mask[2:5, 2:5] = 255
    mask[5:7, 5:7] = 255
    mask[12:15, 12:15] = 255
    assert largest_blob(mask) == 13


@pytest.mark.parametrize("share", [0.002, 0.02, 0.2, 0.6, 1.0])
def test_the_largest_blob_is_the_largest_of_all_labelled_regions_wherever_it_lies(share: float) -> None:
    rng = np.random.default_rng(int(share * 1000))
    for _ in range(20):
        mask = np.where(rng.random((45, 80)) < share, 255, 0).astype(np.uint8)
        labels = cv2.connectedComponents(mask, connectivity=8)[1]
        assert largest_blob(mask) == max(np.bincount(labels.ravel())[1:], default=0)


def changed_rectangle(x1: int, y1: int, x2: int, y2: int) -> Motion:
    mask = np.zeros((100, 200), np.uint8)
    mask[y1:y2, x1:x2] = 255
    return motion_of(mask)


def test_the_map_remembers_where_the_picture_changed() -> None:
    changes = MotionMap()
    changes.step(changed_rectangle(50, 20, 100, 60), 5.0)
    assert changes.share((0.25, 0.2, 0.5, 0.6), since=4.0) == 1.0
    assert changes.share((0.25, 0.2, 0.75, 0.6), since=4.0) == pytest.approx(0.5)
    assert changes.share((0.6, 0.2, 0.9, 0.6), since=4.0) == 0.0


def test_the_map_remembers_when_the_picture_last_changed_and_since_is_not_included() -> None:
    changes = MotionMap()
    whole = (0, 0, 1, 1)
    changes.step(changed_rectangle(0, 0, 200, 100), 5.0)
    changes.step(changed_rectangle(0, 0, 50, 100), 8.0)
    assert changes.share(whole, since=4.9) == 1.0
    assert changes.share(whole, since=5.0) == 0.25
    assert changes.share(whole, since=8.0) == 0.0


FLOOD = Motion(0.95, 0.0, False, np.zeros((HEIGHT, WIDTH), np.uint8), flood=True)


def test_a_flood_and_the_rise_to_it_are_no_evidence_and_leave_what_was_there_before() -> None:
    changes, walker = MotionMap(), np.zeros((HEIGHT, WIDTH), np.uint8)
    walker[60:120, 40:60] = 255
    changes.step(motion_of(walker), 1.0)
    changes.step(motion_of(np.full((HEIGHT, WIDTH), 255, np.uint8)), 1.9)
    changes.step(FLOOD, 2.0)
    assert changes.share((0, 0, 1, 1), 1.5) == 0.0
    assert 0 < changes.share((0, 0, 1, 1), 0.5) < 0.1


def test_a_large_object_long_before_a_flood_stays_evidence() -> None:
    changes = MotionMap()
    for i in range(10):
        changes.step(motion_of(np.full((HEIGHT, WIDTH), 255, np.uint8)), 1.0 + i / 10)
    changes.step(FLOOD, 2.0)
    assert changes.share((0, 0, 1, 1), 1.0) == 1.0


def test_a_map_that_has_seen_nothing_has_no_evidence() -> None:
    assert MotionMap().share((0.1, 0.1, 0.4, 0.4), since=0.0) == 0.0


def test_the_map_remembers_a_change_that_lies_wholly_in_a_motion_mask() -> None:
    """Masks keep the gate closed; whether somebody came or went there is another question."""
    camera = room()
    gate, changes = settled(Gate(masks=[RIGHT_HALF]), camera), MotionMap()
    changes.step(gate.step(with_object(camera(), 200, 40, 80, 80)), 1.0)
    assert changes.share((0.7, 0.4, 0.8, 0.5), since=0.0) == 1.0


def test_a_picture_of_another_size_empties_the_map() -> None:
    changes = MotionMap()
    changes.step(changed_rectangle(0, 0, 200, 100), 1.0)
    changes.step(motion_of(np.zeros((50, 50), np.uint8)), 2.0)
    assert changes.share((0, 0, 1, 1), since=0.0) == 0.0


@pytest.mark.parametrize(
    "fractions",
    [(0.9, 0.0, 1.0, 1.0), (0.9, 0.8, 1.2, 1.3), (1.0, 0.2, 1.0, 0.4), (-0.1, -0.2, 0.3, 0.4), (0.0, 0.0, 0.0, 0.0)],
    ids=["touches the right edge", "reaches over a corner", "has no width at the edge", "begins outside", "is a point"],
)
def test_a_box_at_the_border_is_judged_by_the_part_that_is_inside(fractions: Box) -> None:
    changes = MotionMap()
    changes.step(changed_rectangle(0, 0, 200, 100), 1.0)
    assert changes.share(fractions, since=0.0) == 1.0


def highway_scores(lines: int) -> tuple[int, int, int]:
    """Return true positive, false positive and false negative pixels of gate 1 on CDnet's baseline/highway."""
    clip, truth_folder = shared("clips/cdnet-highway.avi"), shared("highway/groundtruth")
    region = cv2.imread(str(shared("highway/ROI.bmp")), cv2.IMREAD_GRAYSCALE) > 0
    gate = Gate()
    hits = false = missed = 0
    with av.open(str(clip)) as container:
        for i, frame in enumerate(container.decode(video=0)):
            if i + 1 > 1700:
                break
            grey = frame.to_ndarray(format="gray")
            assert grey.shape[0] == lines
            changed = gate.step(grey).changed > 0
            truth_file: Path = truth_folder / f"gt{i + 1:06d}.png"
            if not truth_file.exists():
                continue
            truth = cv2.imread(str(truth_file), cv2.IMREAD_GRAYSCALE)
            judged = region & ((truth == 0) | (truth == 50) | (truth == 255))
            moving = truth == 255
            hits += int(np.count_nonzero(changed & moving & judged))
            false += int(np.count_nonzero(changed & ~moving & judged))
            missed += int(np.count_nonzero(~changed & moving & judged))
    return hits, false, missed


@pytest.mark.slow
def test_gate_one_finds_the_cars_of_a_real_motorway_pixel_by_pixel(
    record_property: Callable[[str, object], None],
) -> None:
    hits, false, missed = highway_scores(240)
    assert hits + missed > 1_000_000, "the ground truth holds far more moving pixels than that"
    precision, recall = hits / (hits + false), hits / (hits + missed)
    f_measure = 2 * precision * recall / (precision + recall)
    record_property("cdnet_highway_f_measure", round(f_measure, 4))
    print(f"CDnet highway: F-measure {f_measure:.4f}, precision {precision:.4f}, recall {recall:.4f}")
    assert f_measure >= 0.85
