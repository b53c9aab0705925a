"""The encoder: frames as H.264, masked and turned, of any size, with a key frame every 2 s and for each newcomer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soteirad.capture.frame import Frame
from soteirad.video import encoder as module
from soteirad.video.encoder import FPS, LONGEST, Encoder, EncoderThread, encoded_size
from soteirad.video.feed import Feed
from soteirad.video.piece import Piece
from tests.capture.made import frame_of
from tests.played import Picture
from tests.waiting import PATIENCE_S, wait_until


def decoded(pieces: Sequence[Piece | bytes]) -> list[Picture]:
    codec: Any = av.CodecContext.create("h264", "r")
    frames = [frame for piece in pieces for frame in codec.decode(av.Packet(
        piece if isinstance(piece, bytes) else piece.data))]  # fmt: skip
    return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in [*frames, *codec.decode(None)]]


def halves(width: int = 128, height: int = 96) -> Picture:
    """Return a picture whose left half is white and whose right half is grey."""
    picture = np.full((height, width, 3), 120, np.uint8)
    picture[:, : width // 2] = 250
    return picture


def once(frame: Frame) -> Picture:
    encoder = Encoder(*encoded_size(frame.width, frame.height), hardware=False)
    ((data, key),) = encoder.encode(frame, frame.time, key=True)
    assert key
    return decoded([data])[0]


def test_what_is_masked_is_black_in_what_is_encoded() -> None:
    frame = frame_of(halves(), privacy=((0.0, 0.0, 0.5, 0.0, 0.5, 1.0, 0.0, 1.0),))
    picture = once(frame)
    assert picture[4:-4, 4:60].max() < 24 and abs(picture[:, 70:].mean() - 120) < 6


@pytest.mark.parametrize(("rotate", "white"), [(90, "top"), (180, "right"), (270, "bottom")])
def test_what_is_turned_is_turned_in_what_is_encoded(rotate: int, white: str) -> None:
    picture = once(frame_of(halves(), rotate=rotate))
    assert picture.shape == ((96, 128, 3) if rotate == 180 else (128, 96, 3))
    half = {"top": picture[:56], "right": picture[:, 72:], "bottom": picture[72:]}[white]
    assert half.mean() > 235 > 140 > (picture.mean() * 2 - half.mean())


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "yuv422p", "nv12", "gray", "rgb24"])
def test_every_pixel_format_is_encoded_and_the_frame_is_left_as_it_is(pixel_format: str) -> None:
    frame = frame_of(halves(), pixel_format)
    before = frame.video.to_ndarray().copy()
    picture = once(frame)
    assert abs(picture[:, :60].mean() - 250) < 8 and abs(picture[:, 70:].mean() - 120) < 8
    assert (frame.video.to_ndarray() == before).all()


@given(width=st.integers(1, 9000), height=st.integers(1, 9000))
def test_sizes_are_even_bounded_and_in_proportion(width: int, height: int) -> None:
    size = encoded_size(width, height)
    assert all(side % 2 == 0 and 2 <= side <= LONGEST for side in size)
    scale = min(1.0, LONGEST / max(width, height))
    assert all(abs(given * scale - side) <= 2 for given, side in zip((width, height), size, strict=True))


@pytest.mark.parametrize("size", [(3, 3), (101, 57), (2, 500), (4001, 2251), (4000, 2)])
def test_odd_and_huge_pictures_are_encoded(size: tuple[int, int]) -> None:
    picture = once(frame_of(np.full((size[1], size[0], 3), 120, np.uint8)))
    assert picture.shape[1::-1] == encoded_size(*size) and abs(picture.mean() - 120) < 6


class Rig:
    def __init__(self) -> None:
        self.feed, self.faults = Feed(60.0), list[Exception]()
        self.thread = EncoderThread(self.feed, self.faults.append)

    def give(self, begin: float, count: int, rate: float, size: tuple[int, int] = (64, 48)) -> None:
        """Offer frames and wait until each that is due was encoded."""
        for index in range(count):
            frame = frame_of(np.full((size[1], size[0], 3), 100, np.uint8), time=begin + index / rate)
            due = frame.time >= self.thread._due
            before = self.feed.read(0).next
            self.thread.offer(frame)
            if due:
                wait_until(lambda before=before: self.feed.wait(before, 0.01) or bool(self.thread.problem))  # type: ignore[misc]


def test_a_key_frame_comes_every_2_s_and_no_more_frames_than_15_in_a_second() -> None:
    rig = Rig()
    rig.thread.want(True)
    rig.give(100.0, 180, 30.0)
    rig.thread.stop()
    pieces = rig.feed.read(0).pieces
    keys = [piece.time for piece in pieces if piece.key]
    assert pieces[0].key and len(keys) == 3
    assert all(2.0 <= later - sooner < 2.2 for sooner, later in pairwise(keys))
    assert 0.9 * 6 * FPS <= len(pieces) <= 6 * FPS + 1
    assert len(decoded(pieces)) == len(pieces) and not rig.faults


def test_who_wants_it_again_gets_a_key_frame_first_and_nothing_of_before() -> None:
    rig = Rig()
    rig.thread.want(True)
    rig.give(100.0, 10, 15.0)
    rig.thread.want(False)
    assert rig.feed.newest is None
    rig.thread.offer(frame_of(np.zeros((48, 64, 3), np.uint8), time=101.0))
    rig.thread.want(True)
    rig.give(101.5, 5, 15.0)
    rig.thread.stop()
    pieces = rig.feed.read(0).pieces
    assert pieces[0].key and pieces[0].time == 101.5 and {piece.connection for piece in pieces} == {2}
    assert len(decoded(pieces)) == 5


def test_another_size_is_another_format_with_a_key_frame() -> None:
    rig = Rig()
    rig.thread.want(True)
    rig.give(100.0, 5, 15.0)
    rig.give(101.0, 5, 15.0, (96, 64))
    rig.thread.stop()
    pieces = rig.feed.read(0).pieces
    assert [piece.key for piece in pieces] == [True, *[False] * 4] * 2
    assert pieces[4].format != pieces[5].format


def test_without_an_encoder_it_is_said_and_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HARDWARE", ())
    monkeypatch.setattr(module, "_SOFTWARE", "no_such_encoder")
    rig = Rig()
    rig.thread.want(True)
    rig.give(100.0, 1, 15.0)
    wait_until(lambda: bool(rig.thread.problem))
    rig.thread.stop()
    assert "nothing here encodes H.264" in rig.thread.problem and not rig.faults


def test_hardware_that_fails_gives_way_to_software(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Encoder):
        def __init__(self, width: int, height: int, hardware: bool = True) -> None:
            super().__init__(width, height, hardware=False)
            self.broken = hardware

        def encode(self, frame: Frame, time: float, key: bool) -> list[tuple[bytes, bool]]:
            if self.broken:
                raise av.error.ExternalError(542398533, "Generic error in an external library")
            return super().encode(frame, time, key)

    monkeypatch.setattr(module, "Encoder", Broken)
    rig = Rig()
    rig.thread.want(True)
    rig.thread.offer(frame_of(halves(), time=100.0))
    wait_until(lambda: not rig.thread._hardware)
    rig.give(101.0, 3, 15.0)
    rig.thread.stop()
    assert len(rig.feed.read(0).pieces) == 3 and not rig.faults


def test_damaged_frames_are_left_out_and_the_thread_ends() -> None:
    rig = Rig()
    rig.thread.want(True)
    rig.thread.offer(frame_of(halves(), time=100.0, corrupt=True))
    rig.give(101.0, 1, 15.0)
    rig.thread.stop()
    thread = rig.thread._thread
    assert thread is not None
    thread.join(PATIENCE_S)
    assert not thread.is_alive() and [piece.time for piece in rig.feed.read(0).pieces] == [101.0]
