"""Parameter sets: found before the first slice, read from a container's record, and named as players name them."""

from __future__ import annotations

import io

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soteirad.video.parameter_sets import from_record, h264_name, hevc_name, is_whole, sets_in, to_annex_b
from tests.video.made import B_FRAMES, Bytes, encoded, muxer_of

CODECS = ("h264", "hevc")


def record_of(codec: str) -> bytes:
    """Return the avcC or hvcC that FFmpeg writes for a stream."""
    sink = Bytes()
    key = encoded(12, B_FRAMES, codec)[0]
    muxer_of(sink, [key]).close()
    place = sink.data.index(b"avcC" if codec == "h264" else b"hvcC")
    length = int.from_bytes(sink.data[place - 4 : place], "big")
    return sink.data[place + 4 : place - 4 + length]


@pytest.mark.parametrize("codec", CODECS)
def test_the_sets_are_found_before_the_first_picture_and_nowhere_else(codec: str) -> None:
    pieces = encoded(12, B_FRAMES, codec)
    sets = sets_in(pieces[0].data, codec)
    assert is_whole(sets, codec) and sets_in(sets, codec) == sets
    assert not sets_in(pieces[1].data, codec)
    assert sets_in(pieces[0].data + sets.replace(b"\1", b"\2"), codec) == sets
    assert not is_whole(sets[: sets.rindex(b"\0\0\0\1")], codec)
    assert not is_whole(b"", codec)


@pytest.mark.parametrize("codec", CODECS)
def test_the_record_of_a_container_says_the_same_as_the_stream(codec: str) -> None:
    record = record_of(codec)
    assert from_record(record, codec) == (encoded(12, B_FRAMES, codec)[0].format.sets, 4)


@pytest.mark.parametrize("codec", CODECS)
@given(data=st.data())
def test_a_record_that_is_cut_off_or_no_record_gives_what_there_is(codec: str, data: st.DataObject) -> None:
    record = data.draw(st.one_of(st.binary(max_size=200), st.integers(0, 40).map(lambda end: record_of(codec)[:end])))
    sets, length = from_record(record, codec)
    assert 1 <= length <= 4 and len(sets) <= 2 * len(record) + 64


@given(nals=st.lists(st.binary(min_size=1, max_size=40), max_size=5), length=st.sampled_from((1, 2, 4)))
def test_lengths_become_start_codes(nals: list[bytes], length: int) -> None:
    data = b"".join(len(nal).to_bytes(length, "big") + nal for nal in nals)
    assert to_annex_b(data, length) == b"".join(b"\0\0\0\1" + nal for nal in nals)


@given(data=st.binary(max_size=200), length=st.integers(1, 4))
def test_a_damaged_picture_is_nothing_and_no_crash(data: bytes, length: int) -> None:
    assert to_annex_b(data, length)[:4] in (b"", b"\0\0\0\1")


def test_the_names_are_those_of_what_ffmpeg_wrote_in_the_file() -> None:
    record = record_of("h264")
    assert h264_name(encoded(12, B_FRAMES)[0].format.sets) == f"avc1.{record[1:4].hex()}"
    record = record_of("hevc")  # profile, compatibility, constraints, level: ISO/IEC 14496-15, 8.3.3.1
    compatible = sum((int.from_bytes(record[2:6], "big") >> (31 - bit) & 1) << bit for bit in range(32))
    constraints = "".join(f".{byte:X}" for byte in record[6:12].rstrip(b"\0"))
    assert record[1] >> 6 == 0
    expected = f"hvc1.{record[1] & 31}.{compatible:X}.{'LH'[record[1] >> 5 & 1]}{record[12]}{constraints}"
    assert hevc_name(encoded(12, B_FRAMES, "hevc")[0].format.sets) == expected


@pytest.mark.parametrize("sets", [b"", b"\0\0\0\1\x67", b"\0\0\0\1\x68abc", b"\0\0\1\x42\1\1", b"garbage"])
def test_without_a_sequence_parameter_set_there_is_no_name(sets: bytes) -> None:
    with pytest.raises(ValueError, match="sequence parameter set"):
        h264_name(sets)
    with pytest.raises(ValueError, match="sequence parameter set"):
        hevc_name(sets)


@given(data=st.binary(max_size=300))
def test_garbage_has_sets_that_can_be_read_again(data: bytes) -> None:
    for codec in CODECS:
        sets = sets_in(data, codec)
        assert sets_in(sets, codec) == sets
        assert len(sets) <= len(data) + data.count(b"\0\0\1")


def test_the_reader_of_a_file_gets_what_was_written() -> None:
    sink = Bytes()
    pieces = encoded(12)
    muxer = muxer_of(sink, pieces)
    for piece in pieces:
        muxer.add(piece)
    muxer.close()
    with av.open(io.BytesIO(sink.data)) as container:
        record = container.streams.video[0].codec_context.extradata or b""
        sets, length = from_record(record, "h264")
        read = [to_annex_b(bytes(packet), length) for packet in container.demux(video=0) if packet.size]
    assert sets == pieces[0].format.sets
    assert [data.replace(b"\0\0\0\1", b"\0\0\1") for data in read] == [
        piece.data.replace(b"\0\0\0\1", b"\0\0\1") for piece in pieces]  # fmt: skip
