"""A stream whose frames are recognised: the number in the picture survives compression, and names when it was sent."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.stream import SIZE, Schedule, number_of, read_number, write_number
from soteirad.snapshot import QUALITIES, encode_jpeg


@pytest.mark.parametrize("number", [0, 1, 74, 170, 255])
@pytest.mark.parametrize("quality", QUALITIES)
def test_a_frames_number_can_be_read_from_its_snapshot(number: int, quality: int) -> None:
    luma = np.random.default_rng(number).integers(0, 256, (SIZE[1], SIZE[0])).astype(np.uint8)
    write_number(luma, number)
    assert read_number(luma) == number
    assert number_of(encode_jpeg(np.repeat(luma[..., None], 3, axis=2), quality)) == number


def test_a_frame_was_sent_when_the_loop_last_came_to_it() -> None:
    when = Schedule(100.0, 75)
    assert when.sent(3, 100.35) == pytest.approx(100.3)
    assert when.sent(3, 107.79) == pytest.approx(100.3)
    assert when.sent(3, 107.81) == pytest.approx(107.8)
    assert when.sent(74, 107.81) == pytest.approx(107.4)


def test_who_joins_late_has_the_same_schedule() -> None:
    assert Schedule(40.0, 75).sent(10, 103.0) == pytest.approx(101.0)
