"""The tap: packets of FFmpeg's demuxers become pieces in Annex B, whatever their container."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest

from soteirad.video.feed import Feed
from soteirad.video.parameter_sets import is_whole
from soteirad.video.piece import PictureFormat, Piece, SoundFormat
from soteirad.video.tap import Tap, sound_format
from tests.video.made import B_FRAMES, CLOSED, OPEN_GOPS, beeps, encoded, muxed, shown


def saved(path: Path, pieces: Sequence[Piece], sound: SoundFormat | None = None) -> Path:
    """Write pieces as a file of the kind that its ending names."""
    whole = path.with_name("whole.mp4")
    muxed(whole, pieces, sound)
    with av.open(str(whole)) as given, av.open(str(path), "w") as made:
        streams: dict[int, Any] = {one.index: made.add_stream_from_template(one) for one in given.streams}
        for packet in given.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                made.mux(packet)
    return path


def tapped(path: Path, feed: Feed | None = None) -> tuple[Tap, list[Piece]]:
    feed = feed or Feed(60.0)
    tap = Tap(feed)
    with av.open(str(path)) as container:
        tap.begin(container.streams.video[0], container.streams.audio[0] if container.streams.audio else None)
        for packet in container.demux():
            if packet.size:
                tap.take(packet, float((packet.pts or 0) * packet.time_base))
    return tap, feed.read(0).pieces


@pytest.mark.parametrize("ending", ["mp4", "ts", "mkv", "h264"])
@pytest.mark.parametrize(("codec", "params"), [("h264", B_FRAMES), ("hevc", B_FRAMES), ("h264", OPEN_GOPS)])
def test_pieces_of_every_container_become_the_same_clip(tmp_path: Path, ending: str, codec: str, params: str) -> None:
    name = codec if ending == "h264" else ending
    tap, pieces = tapped(saved(tmp_path / f"given.{name}", encoded(40, params, codec)))
    assert tap.codec == codec and len(pieces) == 40 and pieces[0].key
    assert all(piece.data[:3] == b"\0\0\0" or piece.data[:3] == b"\0\0\1" for piece in pieces)
    assert {piece.connection for piece in pieces} == {1} and len({piece.format for piece in pieces}) == 1
    if ending != "h264":
        muxed(tmp_path / "clip.mp4", pieces)
        assert [index for _, index in shown(tmp_path / "clip.mp4")] == list(range(40))


def test_a_file_that_begins_in_an_open_group_is_passed_on(tmp_path: Path) -> None:
    pieces = encoded(40, OPEN_GOPS)
    begin = [index for index, piece in enumerate(pieces) if piece.key][1]
    _, found = tapped(saved(tmp_path / "given.mp4", pieces[begin:]))
    muxed(tmp_path / "clip.mp4", found)
    assert [index for _, index in shown(tmp_path / "clip.mp4")] == list(range(12, 40))


def test_sound_is_passed_on_where_it_has_no_headers(tmp_path: Path) -> None:
    sound = beeps(3.0)
    pieces = [encoded(30)[0], *sorted([*encoded(30)[1:], *sound], key=lambda piece: piece.time)]
    for ending, expected in (("mp4", SoundFormat(16_000, 1)), ("ts", None)):
        _, found = tapped(saved(tmp_path / f"given.{ending}", pieces, SoundFormat(16_000, 1)))
        kinds = {piece.format for piece in found if not piece.is_picture}
        assert kinds == ({expected} if expected else set())


@pytest.mark.parametrize(("config", "channels", "expected"), [
    (b"\x14\x08", 1, SoundFormat(16_000, 1)), (b"\x2a\x08\x00", 1, None), (b"", 1, None), (b"\x14", 1, None),
    (b"\x14\x08", 0, None), (b"\x14\x08", 4, None), (b"\x14\x08", 6, SoundFormat(16_000, 6)),
])  # fmt: skip
def test_only_sound_that_plays_everywhere_is_kept(config: bytes, channels: int, expected: SoundFormat | None) -> None:
    codec = SimpleNamespace(name="aac", extradata=config, sample_rate=16_000, channels=channels)
    assert sound_format(SimpleNamespace(codec_context=codec)) == expected  # type: ignore[arg-type]


class Packet:
    """As much of a packet as the tap looks at."""

    def __init__(self, data: bytes, key: bool = False, pts: int | None = None, extradata: bytes = b"") -> None:
        self.data, self.is_keyframe, self.pts, self.dts = data, key, pts, None
        self.time_base, self.stream = None, None
        self.extradata = extradata

    def __bytes__(self) -> bytes:
        return self.data

    def has_sidedata(self, _: str) -> bool:
        return bool(self.extradata)

    def get_sidedata(self, _: str) -> bytes:
        return self.extradata


def begun(feed: Feed, extradata: bytes | None, codec: str = "h264") -> Tap:
    tap = Tap(feed)
    context = SimpleNamespace(name=codec, extradata=extradata)
    tap.begin(SimpleNamespace(codec_context=context), None)  # type: ignore[arg-type]
    return tap


@pytest.mark.parametrize("extradata", [None, b"", b"\x01", b"\x01garbage" * 20, b"garbage", b"\0\0\0\1\x67"])
def test_extradata_that_make_no_sense_cost_nothing_but_the_pictures(extradata: bytes | None) -> None:
    feed = Feed(60.0)
    tap = begun(feed, extradata)
    for data in (b"", b"\0", b"\0\0\0\1\x65abc", b"\xff\xff\xff\xffabc"):
        tap.take(Packet(data, key=True), 0.0)  # type: ignore[arg-type]
    assert feed.newest is None
    if not extradata or extradata[0] != 1:
        for piece in encoded(10):
            tap.take(Packet(piece.data, piece.key), piece.time)  # type: ignore[arg-type]
        assert len(feed.read(0).pieces) == 10


def test_parameter_sets_that_change_in_mid_stream_are_another_format() -> None:
    feed = Feed(60.0)
    tap = begun(feed, None)
    for piece in [*encoded(10), *encoded(10, size=(64, 48)), *encoded(10)]:
        tap.take(Packet(piece.data, piece.key), piece.time)  # type: ignore[arg-type]
    formats = [piece.format for piece in feed.read(0).pieces]
    assert formats[0] == formats[29] != formats[10] and len(set(formats)) == 2
    assert isinstance(formats[0], PictureFormat) and is_whole(formats[0].sets, "h264")


def test_a_connection_begins_with_a_key_picture() -> None:
    feed, pieces = Feed(60.0), encoded(30, CLOSED)
    tap = begun(feed, pieces[0].format.sets)  # type: ignore[union-attr]
    for piece in pieces[:15]:
        tap.take(Packet(piece.data, piece.key), piece.time)  # type: ignore[arg-type]
    context = SimpleNamespace(name="h264", extradata=pieces[0].format.sets)  # type: ignore[union-attr]
    tap.begin(SimpleNamespace(codec_context=context), None)  # type: ignore[arg-type]
    for piece in pieces[15:]:
        tap.take(Packet(piece.data, piece.key), piece.time)  # type: ignore[arg-type]
    found = feed.read(0).pieces
    assert [piece.data for piece in found] == [piece.data for piece in (*pieces[:15], *pieces[20:])]
    assert [piece.connection for piece in found] == [1] * 15 + [2] * 10


def test_a_codec_that_is_not_copied_gives_nothing() -> None:
    feed = Feed(60.0)
    tap = begun(feed, b"\x01abc", "mjpeg")
    tap.take(Packet(b"abc", key=True), 0.0)  # type: ignore[arg-type]
    assert tap.codec == "mjpeg" and feed.newest is None
