"""The ring: bounded, in order, and beginning with a key picture wherever one can begin."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from soteirad.video.piece import PictureFormat, Piece, SoundFormat
from soteirad.video.ring import PIECE_BYTES, Ring

PICTURES, SOUND = PictureFormat("h264", b"sets"), SoundFormat(16_000, 1)


def piece(time: float, key: bool = False, size: int = 10, sound: bool = False) -> Piece:
    return Piece(bytes(size), time, time, time, key, 1, SOUND if sound else PICTURES)


Given = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 3000), st.floats(0, 2)), max_size=80)


@given(coming=Given, seconds=st.sampled_from((0.0, 3.0, 10.0)), most=st.sampled_from((1000, 5000, 100_000)))
def test_it_is_bounded_and_its_numbers_rise_by_one(coming: list[tuple[bool, bool, int, float]], seconds: float,
                                                   most: int) -> None:  # fmt: skip
    ring, added, time = Ring(seconds, most), dict[int, Piece](), 0.0
    for key, sound, size, step in coming:
        time += step
        one = piece(time, key, size, sound)
        before = ring.end
        ring.add(one)
        assert ring.end in (before, before + 1)
        if ring.end > before:
            added[before] = one
        held = ring.after(ring.first)
        assert ring.bytes == sum(len(one.data) + PIECE_BYTES for one in held) <= most
        assert held == [added[number] for number in range(ring.first, ring.end)]
        begin = ring.begin(time - seconds)
        keys = [number for number in range(ring.first, ring.end) if added[number].key and added[number].is_picture]
        assert begin is None if not keys else begin in keys

def test_it_reaches_so_far_back_and_begins_with_a_key_picture() -> None:
    ring = Ring(5.0)
    for index in range(200):
        ring.add(piece(index / 10, key=index % 20 == 0))
    assert ring.after(ring.first)[0].key
    assert ring.after(ring.first)[0].time == 14.0
    assert ring.begin(17.0) == 160 and ring.begin(15.9) == 140 and ring.begin(0.0) == 140
    assert ring.begin(float("inf")) == 180


def test_what_comes_before_the_first_key_picture_is_left_out() -> None:
    ring = Ring(5.0)
    ring.add(piece(0.0))
    ring.add(piece(0.1, key=True, sound=True))
    assert (ring.end, ring.begin(0.0), ring.newest) == (0, None, None)


def test_a_group_larger_than_the_ring_is_for_those_who_follow_only() -> None:
    ring = Ring(5.0, 20_000)
    for index in range(100):
        ring.add(piece(index / 10, key=index == 0, size=1000))
    assert ring.begin(float("inf")) is None and len(ring.after(90)) == 10
    ring.add(piece(10.0, key=True))
    assert ring.begin(0.0) == 100


def test_a_piece_larger_than_the_ring_is_not_kept() -> None:
    ring = Ring(5.0, 20_000)
    ring.add(piece(0.0, key=True))
    ring.add(piece(0.1, key=True, size=30_000))
    assert (ring.bytes, ring.first, ring.end, ring.begin(9.9), ring.newest) == (0, 2, 2, None, 0.1)
    ring.add(piece(0.2, key=True))
    assert ring.begin(9.9) == 2


def test_small_pieces_without_end_are_not_for_nothing() -> None:
    ring = Ring(5.0, 100_000)
    ring.add(piece(0.0, key=True))
    for index in range(5000):
        ring.add(piece(index / 25, size=1))
    assert len(ring.after(0)) <= 100_000 // PIECE_BYTES


def test_what_was_cleared_is_gone_and_the_numbers_go_on() -> None:
    ring = Ring(5.0)
    for index in range(10):
        ring.add(piece(index / 10, key=index == 0))
    ring.clear()
    assert (ring.first, ring.end, ring.bytes, ring.begin(9.0), ring.newest) == (10, 10, 0, None, None)
