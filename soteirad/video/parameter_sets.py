"""Parameter sets of H.264 and H.265: what a decoder has to know before the first picture. Pure."""

from __future__ import annotations

from collections.abc import Iterator

START = b"\0\0\0\1"
_SHORT_START = b"\0\0\1"
_H264_SETS, _H264_SLICES = (7, 8), range(1, 6)
_HEVC_SETS, _HEVC_SLICES = (32, 33, 34), range(32)


def kind_of(nal: bytes, codec: str) -> int:
    """Return the type of a NAL unit (without its start code); -1 of an empty one."""
    if not nal:
        return -1
    return nal[0] >> 1 & 0x3F if codec == "hevc" else nal[0] & 0x1F


def head_of(data: bytes, codec: str) -> Iterator[bytes]:
    """Yield the NAL units (without start codes) that stand before the first slice of a picture in Annex B."""
    slices = _HEVC_SLICES if codec == "hevc" else _H264_SLICES
    at = data.find(_SHORT_START)
    while at >= 0:
        begin = at + 3
        if kind_of(data[begin : begin + 1], codec) in slices:
            return
        at = data.find(_SHORT_START, begin)
        nal = data[begin:] if at < 0 else data[begin:at]
        if nal := nal.rstrip(b"\0"):  # zeros belong to the next start code: no unit ends with one
            yield nal


def sets_in(data: bytes, codec: str) -> bytes:
    """Return the parameter sets at the beginning of a picture (or of extradata) in Annex B, each once, in order."""
    wanted = _HEVC_SETS if codec == "hevc" else _H264_SETS
    found = dict.fromkeys(nal for nal in head_of(data, codec) if kind_of(nal, codec) in wanted)
    return b"".join(START + nal for nal in found)


def from_record(record: bytes, codec: str) -> tuple[bytes, int]:
    """Return the parameter sets (Annex B) of a decoder configuration record (`avcC` or `hvcC`: ISO/IEC 14496-15), and
    how many bytes of length stand before each NAL unit of the pictures.

    A record that is cut off gives what there is.
    """
    hevc = codec == "hevc"
    arrays = sum(record[22:23]) if hevc else 2
    place, found = 23 if hevc else 5, b""
    for array in range(arrays):
        if hevc:  # the kind, and a count of two bytes
            count, place = int.from_bytes(record[place + 1 : place + 3], "big"), place + 3
        else:
            count, place = sum(record[place : place + 1]) & (0xFF if array else 0x1F), place + 1
        for _ in range(count):
            begin = place + 2
            place = begin + int.from_bytes(record[place:begin], "big")
            found += START + record[begin:place]
    place = 21 if hevc else 4
    return sets_in(found, codec), (sum(record[place : place + 1]) & 3) + 1


def to_annex_b(data: bytes, length: int) -> bytes:
    """Return a picture with start codes in place of the lengths of its NAL units; nothing of one that is damaged."""
    place = 0
    parts: list[bytes] = []
    while place < len(data):
        begin = place + length
        place = begin + int.from_bytes(data[place:begin], "big")
        parts += (START, data[begin:place])
    return b"".join(parts) if place == len(data) else b""


def is_whole(sets: bytes, codec: str) -> bool:
    """Say whether there is one of each kind that a decoder needs."""
    wanted = _HEVC_SETS if codec == "hevc" else _H264_SETS
    return {*wanted} <= {kind_of(nal, codec) for nal in head_of(sets, codec)}


def h264_name(sets: bytes) -> str:
    """Return the name of H.264 of these parameter sets for players, `avc1.PPCCLL` (RFC 6381): profile, constraints and
    level as they stand in the sequence parameter set.

    Raises ValueError if there is none.
    """
    nal = _sequence_set(sets, "h264", 4)
    return f"avc1.{nal[1:4].hex()}"


def hevc_name(sets: bytes) -> str:
    """Return the name of H.265 of these parameter sets for players: `hvc1.` and its profile, compatibility, tier, level
    and constraints (ISO/IEC 14496-15, E.3).

    Raises ValueError if there is no sequence parameter set.
    """
    level = _sequence_set(sets, "hevc", 15).replace(b"\0\0\3", b"\0\0")[3:15]  # profile_tier_level (H.265, 7.3.3)
    if len(level) < 12:
        raise ValueError("the sequence parameter set is too short")
    space, tier, profile = level[0] >> 6, level[0] >> 5 & 1, level[0] & 0x1F
    compatible = int(f"{int.from_bytes(level[1:5], 'big'):032b}"[::-1], 2)
    constraints = "".join(f".{byte:X}" for byte in level[5:11].rstrip(b"\0"))
    return (f"hvc1.{' ABC'[space].strip()}{profile}.{compatible:X}.{'LH'[tier]}{level[11]}{constraints}")  # fmt: skip


def _sequence_set(sets: bytes, codec: str, least: int) -> bytes:
    kind = (_HEVC_SETS if codec == "hevc" else _H264_SETS)[-2]
    for nal in head_of(sets, codec):
        if kind_of(nal, codec) == kind and len(nal) >= least:
            return nal
    raise ValueError("there is no sequence parameter set")
