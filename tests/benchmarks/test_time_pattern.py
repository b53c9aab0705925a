"""The pattern that says when a picture was drawn: it survives H.264, and nothing else is taken for one."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.live_camera import SIZES, encoder
from benchmarks.time_pattern import (
    MS_MODULUS,
    NUMBER_MODULUS,
    SCRIPT,
    Stamp,
    age_ms,
    read_stamp,
    write_stamp,
)
from tests.web.browser import chromium

stamps = st.builds(Stamp, st.integers(0, MS_MODULUS - 1), st.integers(0, NUMBER_MODULUS - 1))
sizes = st.sampled_from(sorted(SIZES))


def compressed(size: tuple[int, int], written: list[Stamp], seed: int, bit_rate: int = 1_000_000) -> list[Any]:
    """Send pictures of a scene with strong noise through H.264 as the camera does, and return the decoded frames."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(16, 236, (size[1] * 3 // 20, size[0] // 10))
    scene = coarse.repeat(10, axis=0).repeat(10, axis=1)
    noise = rng.normal(0, 6, scene.shape)
    encode, decode = encoder(size, bit_rate), av.CodecContext.create("h264", "r")
    found = []
    for index, stamp in enumerate(written):
        planes = np.clip(scene + np.roll(noise, 97 * index), 16, 235).astype(np.uint8)
        write_stamp(planes[: size[1]], stamp)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = index
        for packet in encode.encode(frame):
            found += decode.decode(packet)
    return [*found, *decode.decode(None)]


def luma(frame: Any) -> Any:
    plane = frame.planes[0]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]


@settings(max_examples=12, deadline=None)
@given(sizes, st.lists(stamps, min_size=1, max_size=4), st.integers(0, 99))
def test_stamps_survive_h264_at_1_mbit_above_a_noisy_scene(
    size: tuple[int, int], written: list[Stamp], seed: int
) -> None:
    assert [read_stamp(luma(frame)) for frame in compressed(size, written, seed)] == written


@given(stamps, st.integers(0, 63))
def test_a_misread_block_is_known(stamp: Stamp, bit: int) -> None:
    picture = np.zeros((32, 640), np.uint8)
    write_stamp(picture, stamp)
    row, column = divmod(bit, 32)
    block = picture[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16]
    block[:] = 251 - block
    assert read_stamp(picture) is None


@pytest.mark.parametrize("level", [0, 16, 100, 235, 255])
def test_a_plain_picture_has_no_stamp(level: int) -> None:
    assert read_stamp(np.full((360, 640), level, np.uint8)) is None


def test_a_picture_without_room_has_no_stamp() -> None:
    assert read_stamp(np.zeros((1, 640), np.uint8)) is None
    assert read_stamp(np.zeros((20, 20), np.uint8)) is None


@given(st.integers(0, 2**45), st.floats(-5000, 5000))
def test_an_age_is_right_where_the_stamps_clock_turns_over(drawn: int, age: float) -> None:
    assert age_ms(drawn + age, drawn % MS_MODULUS) == pytest.approx(age, abs=0.1)


@pytest.fixture(scope="module")
def reader() -> Iterator[Any]:
    """The script in a page that shows a picture of raw pixels."""
    with chromium() as browser:
        page = browser.new_page()
        page.add_script_tag(path=str(SCRIPT))
        yield lambda pixels, width, height: page.evaluate(
            """([bytes, width, height]) => {
                const canvas = Object.assign(document.createElement("canvas"), { width, height });
                const data = Uint8ClampedArray.from(atob(bytes), (c) => c.charCodeAt(0));
                canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
                return readStamp(canvas, width, height);
            }""", [pixels, width, height])  # fmt: skip


@pytest.mark.parametrize("size", sorted(SIZES))
def test_the_browser_reads_what_python_reads(reader: Any, size: tuple[int, int]) -> None:
    written = [Stamp(0, 0), Stamp(MS_MODULUS - 1, NUMBER_MODULUS - 1), Stamp(1795416822, 4711), Stamp(1 << 31, 1 << 23)]
    for frame, stamp in zip(compressed(size, written, 5), written, strict=True):
        top = frame.to_ndarray(format="rgba")
        assert reader(base64.b64encode(top.tobytes()).decode(), *size) == {"ms": stamp.ms, "number": stamp.number}
    black = np.zeros((360, 640, 4), np.uint8)
    assert reader(base64.b64encode(black.tobytes()).decode(), 640, 360) is None
