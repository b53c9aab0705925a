"""Pictures out of the pieces of RTP: whole, with their last piece if that can be told, else with the next picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from soteirad.capture.units import CODECS, START, Unit, Units

MOST = 1000
"""Bytes in a packet."""
SETS = {"h264": (b"\x67sets", b"\x68sets"), "hevc": (b"\x40\x01sets", b"\x42\x01sets", b"\x44\x01sets")}
HEADS = {"h264": (b"\x65", b"\x41"), "hevc": (b"\x26\x01", b"\x02\x01")}
"""The header of a slice of a key picture, and of another one."""


def nal(codec: str, size: int, *, key: bool = False, first: bool = True) -> bytes:
    return HEADS[codec][not key] + (b"\x9a" if first else b"\x1a") + b"." * size


def packets(*nals: bytes) -> list[bytes]:
    """Return the pieces of NAL units as FFmpeg gives them: one for each RTP packet."""
    found = []
    for one in nals:
        whole = START + one
        found += [whole[: MOST + 5], *(whole[at : at + MOST] for at in range(MOST + 5, len(whole), MOST))]
    return found


def picture(codec: str, sizes: Sequence[int] = (2500,), *, key: bool = False) -> list[bytes]:
    slices = [nal(codec, size, key=key, first=index == 0) for index, size in enumerate(sizes)]
    return packets(*(SETS[codec] if key else ()), *slices)


def taught(codec: str, sizes: Sequence[int] = (2500,)) -> Units:
    """Return what has seen as many pictures as it needs, cut like that."""
    units = Units(codec)
    feed(units, [picture(codec, sizes, key=index == 0) for index in range(Units.KNOWN + 1)])
    return units


def feed(units: Units, pictures: Iterable[list[bytes]], start: int = 0) -> list[list[Unit]]:
    """Return what came out with each picture's last piece, and with those before."""
    return [
        [unit for piece in pieces for unit in units.add(piece, 9000 * (start + index))]
        for index, pieces in enumerate(pictures)
    ]


@pytest.mark.parametrize("codec", CODECS)
def test_at_first_a_picture_comes_with_the_beginning_of_the_next_one(codec: str) -> None:
    pictures = [picture(codec, key=True), picture(codec), picture(codec)]
    units = Units(codec)
    assert feed(units, pictures) == [
        [],
        [Unit(b"".join(pictures[0]), 0, True, False)],
        [Unit(b"".join(pictures[1]), 9000, False, False)],
    ]
    assert units.rest() == [Unit(b"".join(pictures[2]), 18000, False, False)]
    assert units.rest() == []


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("sizes", [(2500,), (300,), (2500, 2500), (300, 2500, 200)])
def test_soon_a_picture_comes_with_its_own_last_piece(codec: str, sizes: tuple[int, ...]) -> None:
    units = taught(codec, (*sizes[:-1], 2500))
    feed(units, [picture(codec, sizes)], 50)  # with it comes what waited
    following = [picture(codec, sizes, key=True), picture(codec, sizes)]
    assert feed(units, following, 100) == [
        [Unit(b"".join(following[0]), 900_000, True, False)],
        [Unit(b"".join(following[1]), 909_000, False, False)],
    ]
    assert units.rest() == []


def test_key_pictures_that_are_cut_into_more_slices_than_others_are_known_apart() -> None:
    units = Units("h264")
    key, other = picture("h264", (2500, 2500, 2500), key=True), picture("h264")
    found = feed(units, [key, *[other] * 12, key, other])
    assert [unit.data for units in found for unit in units] == [b"".join(p) for p in (key, *[other] * 12, key, other)]
    assert found[13:] == [[Unit(b"".join(key), 117_000, True, False)], [Unit(b"".join(other), 126_000, False, False)]]
    assert units.trusted


def test_a_key_picture_waits_where_none_was_seen_before() -> None:
    units = Units("h264")
    key, other = picture("h264", (2500, 2500, 2500), key=True), picture("h264")
    found = feed(units, [*[other] * 12, key, other])
    assert found[12] == []
    assert units.trusted and [unit.data for unit in found[13]] == [b"".join(key), b"".join(other)]


def test_a_camera_that_sends_key_pictures_only_is_given_out_early_too() -> None:
    found = feed(Units("h264"), [picture("h264", key=True)] * 12)
    assert [len(units) for units in found] == [0] + [1] * 7 + [2, 1, 1, 1]


def test_a_last_piece_that_is_as_long_as_the_others_waits_for_the_next_picture() -> None:
    units = taught("h264")
    feed(units, [picture("h264")], 50)
    full, short = picture("h264", (2 * MOST - 6,)), picture("h264")
    assert [len(piece) for piece in full] == [MOST + 5, MOST - 5]
    assert feed(units, [full], 100) == [[]]
    assert [unit.data for unit in feed(units, [short], 101)[0]] == [b"".join(full), b"".join(short)]


def test_pictures_that_are_cut_into_more_slices_now_and_less_then_wait() -> None:
    units = Units("h264")
    cuts = [(2500,), (2500, 2500)] * 8
    found = feed(units, [picture("h264", sizes) for sizes in cuts])
    assert [len(units) for units in found] == [0] + [1] * 15
    assert all(unit.data == b"".join(picture("h264", cuts[index])) for index, (unit,) in enumerate(found[1:]))


@pytest.mark.parametrize("rest", [b"the slice goes on", START + nal("h264", 100, first=False)])
def test_a_picture_that_was_given_out_too_early_is_noticed_and_none_is_any_more(rest: bytes) -> None:
    units = taught("h264")
    feed(units, [picture("h264")], 50)
    pieces = picture("h264")
    ((early,),) = feed(units, [pieces], 100)
    assert early.data == b"".join(pieces)
    assert units.trusted and units.add(rest, 900_000) == [] and not units.trusted
    later = [picture("h264"), picture("h264"), picture("h264")]
    assert feed(units, later, 101) == [
        [Unit(rest, 900_000, False, True)],
        [Unit(b"".join(later[0]), 909_000, False, False)],
        [Unit(b"".join(later[1]), 918_000, False, False)],
    ]


def test_what_follows_a_picture_without_being_one_goes_with_the_next() -> None:
    units = taught("h264")
    feed(units, [picture("h264")], 50)
    filler, following = START + b"\x0c\xff\x80", picture("h264")
    feed(units, [picture("h264")], 100)
    assert units.add(filler, 900_000) == []
    assert feed(units, [following], 101) == [[Unit(filler + b"".join(following), 909_000, False, False)]]
    assert units.trusted


def test_pictures_without_time_stamps_are_told_apart_by_their_first_slice() -> None:
    units, pieces = Units("h264"), picture("h264", (2500, 2500))
    found = [unit for _ in range(3) for piece in pieces for unit in units.add(piece, None)]
    assert found == [Unit(b"".join(pieces), None, False, False)] * 2


@pytest.mark.parametrize(
    ("messages", "key"),
    [
        (b"\x06\1\x84", True),
        (b"\x05\1\x84", False),
        (b"\0\3ab\6\x06\1\x84", True),
        (b"\x05\2\x06\1", False),
        (b"\x05\xff\x01" + b"\6" * 256 + b"\x06\1\x84", True),
        (b"\0\5ab\0\0\3\1\x06\1\x84", True),
        (b"\x05\xff", False),
    ],
)
def test_decoding_can_start_where_a_picture_begins_to_be_renewed(messages: bytes, key: bool) -> None:
    pieces = packets(b"\6" + messages + b"\x80", nal("h264", 100))
    ((unit,),) = feed(Units("h264"), [pieces, picture("h264")])[1:]
    assert unit.key == key


def test_a_camera_whose_picture_never_ends_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Units, "MOST", 10 * MOST)
    units = Units("h264")
    pieces = [START + nal("h264", MOST), *[b"." * MOST] * 40]
    found = [unit for piece in pieces for unit in units.add(piece, 0)]
    assert len(found) == 4 and all(len(unit.data) < 12 * MOST for unit in found)
