"""The muxer: what a camera sends, in files that FFmpeg decodes without a complaint, at the times that it told."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from soteirad.errors import SourceError
from soteirad.video.muxer import Muxer
from soteirad.video.piece import PictureFormat, Piece
from tests.played import probe
from tests.video.made import (
    B_FRAMES,
    CLOSED,
    OPEN_GOPS,
    RATE,
    SLICES,
    Bytes,
    as_rtp,
    beeps,
    encoded,
    moved,
    muxed,
    muxer_of,
    shown,
    tone_begins,
)

STREAMS = [("h264", CLOSED), ("h264", B_FRAMES), ("h264", OPEN_GOPS), ("h264", SLICES), ("hevc", CLOSED),
           ("hevc", B_FRAMES), ("hevc", OPEN_GOPS)]  # fmt: skip
Stamped = Callable[[Iterable[Piece]], Sequence[Piece]]


def without_pts(pieces: Iterable[Piece]) -> list[Piece]:
    return [piece._replace(pts=None, dts=None) for piece in pieces]


def standing(pieces: Iterable[Piece]) -> list[Piece]:
    return [piece._replace(pts=7.0, dts=None) for piece in pieces]


def together(pictures: Sequence[Piece], sound: Sequence[Piece]) -> list[Piece]:
    """Return both as they come, beginning with the first picture."""
    return [pictures[0], *sorted([*pictures[1:], *sound], key=lambda piece: piece.time)]


def even(times: Sequence[float], step: float = 1 / RATE) -> bool:
    return all(abs(later - sooner - step) < 0.002 for sooner, later in pairwise(times))


@pytest.mark.parametrize("stamped", [list, as_rtp])
@pytest.mark.parametrize(("codec", "params"), STREAMS)
def test_every_picture_is_there_once_in_order_and_in_time(tmp_path: Path, codec: str, params: str,
                                                          stamped: Stamped) -> None:  # fmt: skip
    path = tmp_path / "clip.mp4"
    muxer = muxed(path, stamped(encoded(40, params, codec)))
    found = shown(path)
    assert [index for _, index in found] == list(range(40)) and even([time for time, _ in found])
    assert not muxer.shallow and 3.6 <= muxer.seconds <= 4.0
    (stream,) = probe(path)["streams"]
    assert stream["codec_tag_string"] == ("hvc1" if codec == "hevc" else "avc1")
    assert (stream["width"], stream["height"]) == muxer.size == (96, 64)


@pytest.mark.parametrize("stamped", [list, as_rtp])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_file_that_begins_in_an_open_group_leaves_out_what_leads(tmp_path: Path, codec: str,
                                                                   stamped: Stamped) -> None:  # fmt: skip
    pieces = encoded(40, OPEN_GOPS, codec)
    begin = [index for index, piece in enumerate(pieces) if piece.key][1]
    assert pieces[begin + 1].pts < pieces[begin].pts  # type: ignore[operator]
    path = tmp_path / "clip.mp4"
    muxed(path, stamped(pieces[begin:]))
    found = shown(path)
    assert [index for _, index in found] == list(range(12, 40)) and even([time for time, _ in found])


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_file_that_goes_on_in_an_open_group_after_a_gap_leaves_out_what_leads(tmp_path: Path, codec: str) -> None:
    pieces = encoded(40, OPEN_GOPS, codec)
    keys = [index for index, piece in enumerate(pieces) if piece.key]
    path = tmp_path / "clip.mp4"
    with path.open("wb") as file:
        muxer = muxer_of(file, pieces)  # type: ignore[arg-type]
        for piece in pieces[: keys[1] - 3]:
            muxer.add(piece)
        muxer.resume()
        added = [muxer.add(piece) for piece in pieces[keys[2] :]]
        muxer.close()
    assert added[0] and not added[1] and all(added[8:])
    assert [index for _, index in shown(path)][-4:] == [36, 37, 38, 39], "it is damaged after the gap"


@pytest.mark.parametrize("stamped", [without_pts, standing])
def test_stamps_that_mean_nothing_give_way_to_when_pictures_came(tmp_path: Path, stamped: Stamped) -> None:
    path = tmp_path / "clip.mp4"
    muxed(path, stamped([*encoded(40), *moved(encoded(40), 4.0), *moved(encoded(40), 8.0)]))
    found = shown(path)
    assert [index for _, index in found] == [*range(40)] * 3
    assert found[-1][0] == pytest.approx(11.9, abs=0.2)


@pytest.mark.parametrize("params", [CLOSED, B_FRAMES])
@pytest.mark.parametrize("stamped", [list, as_rtp])
@pytest.mark.parametrize("by", [-5000.0, -4.0, 4.5, 100_000.0])
def test_a_clock_that_jumps_is_no_jump_in_the_file(tmp_path: Path, params: str, stamped: Stamped, by: float) -> None:
    path = tmp_path / "clip.mp4"
    muxed(path, [*stamped(encoded(40, params)), *stamped(moved(encoded(40, params), 4.0, 4.0 + by))])
    found = shown(path)
    assert [index for _, index in found] == [*range(40)] * 2
    steps = [later - sooner for (sooner, _), (later, _) in pairwise(found)]
    assert max(steps) < 0.45 and found[-1][0] == pytest.approx(7.9, abs=0.4)


def test_a_clock_that_jumps_back_at_once_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    muxed(path, as_rtp([encoded(20)[0], *moved(encoded(20)[1:], 0.0, -1000.0)]))
    assert [index for _, index in shown(path)] == list(range(20))


@pytest.mark.parametrize("stamped", [list, as_rtp])
def test_another_connection_goes_on_after_the_time_that_passed(tmp_path: Path, stamped: Stamped) -> None:
    pieces = encoded(40, OPEN_GOPS)
    begin = [index for index, piece in enumerate(pieces) if piece.key][1]
    again = moved(pieces[begin:], 10.0, -200.0, connection=2)
    path = tmp_path / "clip.mp4"
    muxed(path, stamped([*pieces, *again]))
    found = shown(path)
    assert [index for _, index in found] == [*range(40), *range(12, 40)]
    assert found[40][0] - found[39][0] > 5.0


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (48_000, 2), (44_100, 2), (16_000, 6)])
@pytest.mark.parametrize("offset", [0.0, -3000.0])
def test_sound_is_in_step_with_the_pictures(tmp_path: Path, rate: int, channels: int, offset: float) -> None:
    sound, path = beeps(3.0, rate, channels, at=1.0), tmp_path / "clip.mp4"
    pieces = moved(together(encoded(30, B_FRAMES), sound), 0.0, offset)
    muxed(path, pieces, sound[0].format)  # type: ignore[arg-type]
    picture = next(time for time, index in shown(path) if index == 10)  # of 1.0 s
    assert abs(tone_begins(path) - picture) < 0.05
    streams = probe(path)["streams"]
    assert (streams[1]["codec_name"], int(streams[1]["sample_rate"])) == ("aac", rate)
    assert streams[1]["channels"] == channels


@pytest.mark.parametrize("change", [
    lambda sound: [piece for piece in sound if piece.time > 0.5],
    without_pts,
    lambda sound: [piece if index % 4 == 0 else piece._replace(pts=None) for index, piece in enumerate(sound)],
    lambda sound: [piece._replace(pts=None) for piece in sound if piece.time > 0.5],
    lambda sound: moved(sound[:8], 0.0, 3000.0) + list(sound[8:]),
    lambda sound: list(sound[:8]) + moved(sound[:6], 0.5) + list(sound[8:]),
], ids=["later", "without stamps", "some stamps", "later and without stamps", "jump ahead", "jump back"])  # fmt: skip
def test_sound_that_begins_later_or_jumps_is_in_step(
    tmp_path: Path, change: Callable[[Sequence[Piece]], list[Piece]]
) -> None:
    sound, path = beeps(3.0, at=2.0), tmp_path / "clip.mp4"
    muxed(path, together(encoded(30), change(sound)), sound[0].format)  # type: ignore[arg-type]
    picture = next(time for time, index in shown(path) if index == 20)
    assert abs(tone_begins(path) - picture) < 0.065


def test_pictures_do_not_wait_for_sound_that_does_not_come() -> None:
    sink, sound = Bytes(), beeps()[0].format
    pieces = [*encoded(40), *moved(encoded(40), 4.0)]
    muxer = muxer_of(sink, pieces, sound)  # type: ignore[arg-type]
    for piece in pieces:
        muxer.add(piece)
    assert len(sink.data) > 0.6 * sum(len(piece.data) for piece in pieces)
    muxer.close()


def test_the_first_piece_has_to_be_a_picture() -> None:
    with pytest.raises(TypeError):
        muxer_of(Bytes(), beeps())


def test_pieces_of_another_format_are_left_out() -> None:
    muxer = muxer_of(Bytes(), encoded(10))
    assert not muxer.add(beeps()[0]) and not muxer.add(encoded(10, size=(64, 48))[0])
    assert muxer.at(0.0, 0.0) is None and muxer.seconds == 0.0


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@given(seed=st.integers(0, 5_999))
@example(seed=0)
@example(seed=138)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_hostile_parameter_sets_and_pictures_are_refused_or_written_and_nothing_else(codec: str, seed: int) -> None:
    source = random.Random(seed)
    key = encoded(10, B_FRAMES, codec)[0]
    assert isinstance(key.format, PictureFormat)
    sets, data = bytearray(key.format.sets), bytearray(key.data)
    for target in (sets, data):
        for _ in range(source.choice((0, 1, 3, 20))):
            target[source.randrange(len(target))] = source.randrange(256)
        del target[source.choice((len(target), source.randrange(len(target)))) :]
    bad = key._replace(data=bytes(data), format=PictureFormat(codec, bytes(sets)))
    try:
        muxer = muxer_of(Bytes(), [bad])
    except SourceError:
        return
    muxer.add(bad)
    write_junk(muxer, bad, source)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@given(seed=st.integers(0, 5_999))
def test_pictures_that_are_none_are_no_crash(codec: str, seed: int) -> None:
    key = encoded(10, B_FRAMES, codec)[0]
    muxer = muxer_of(Bytes(), [key])
    muxer.add(key)
    write_junk(muxer, key, random.Random(seed))


def write_junk(muxer: Muxer, key: Piece, source: random.Random) -> None:
    for index in range(1, 8):
        junk = source.choice((b"", b"\0", b"\0\0\0\1", source.randbytes(200), key.data[: source.randrange(200)]))
        muxer.add(key._replace(data=junk, pts=index / 10, dts=index / 10, key=False))
    muxer.close()


@pytest.mark.parametrize("sets", [b"", b"\0\0\0\1\x67", b"\0\0\0\1\x67" + bytes(70_000),
                                  b"\0\0\0\1\x67\x42\0\x1e" * 99])  # fmt: skip
def test_what_is_no_parameter_set_is_refused(sets: bytes) -> None:
    key = encoded(10)[0]
    with pytest.raises(SourceError, match="parameter sets"):
        muxer_of(Bytes(), [key._replace(data=b"\0\0\0\1\x65abc", format=PictureFormat("h264", sets))])


def test_a_picture_that_is_too_large_is_refused() -> None:
    def ue(value: int) -> str:
        bits = f"{value + 1:b}"
        return "0" * (len(bits) - 1) + bits

    fields = ue(0) * 2 + ue(2) + ue(1) + "0" + ue(1023) * 2 + "1" + "0" + "0" + "0" + "1"  # 16384 x 16384
    fields += "0" * (-len(fields) % 8)
    sps = b"\x67\x42\x00\x33" + int(fields, 2).to_bytes(len(fields) // 8, "big")
    sets = b"\0\0\0\1" + sps + b"\0\0\0\1\x68\xce\x38\x80"
    key = encoded(10)[0]
    with pytest.raises(SourceError):
        muxer_of(Bytes(), [key._replace(data=sets + b"\0\0\0\1\x65\x88\x84", format=PictureFormat("h264", sets))])


@given(data=st.data())
@settings(max_examples=25)
def test_the_times_that_it_tells_are_those_of_the_pictures(tmp_path_factory: pytest.TempPathFactory,
                                                           data: st.DataObject) -> None:  # fmt: skip
    params = data.draw(st.sampled_from((CLOSED, B_FRAMES, OPEN_GOPS)))
    pieces = data.draw(st.sampled_from((list, as_rtp)))(encoded(40, params))
    start = data.draw(st.sampled_from([index for index, piece in enumerate(pieces) if piece.key][:2]))
    sink, told = Bytes(), list[float]()
    muxer: Muxer = muxer_of(sink, pieces[start:])
    for piece in pieces[start:]:
        if muxer.add(piece):
            at = muxer.at(piece.pts, piece.time)
            assert at is not None and muxer.at(None, piece.time) == pytest.approx(at)
            told.append(at)
    muxer.close()
    path = tmp_path_factory.mktemp("at") / "clip.mp4"
    path.write_bytes(sink.data)
    assert [time for time, _ in shown(path)] == pytest.approx(sorted(told), abs=0.001)


def test_a_moment_before_the_clock_was_set_lies_where_it_was() -> None:
    muxer = muxer_of(Bytes(), encoded(40))
    for piece in [*encoded(40), *moved(encoded(40)[:10], 4.0, -900.0)]:
        muxer.add(piece)
    assert muxer.at(3.5, 3.5) == pytest.approx(3.5, abs=0.1)
    assert muxer.at(-899.5, 4.5) == pytest.approx(4.5, abs=0.1)
