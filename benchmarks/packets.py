"""What a camera's packets cost on their way into the ring, a clip and live video, beside decoding them.

In one process, by its own processor time: finer than what processes show that have much else to do.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av

from benchmarks.clips import static_clip
from benchmarks.figure import Figure
from benchmarks.runs import Bench
from benchmarks.turns import in_turns
from soteirad.video.clip_file import ClipFile, finish, part_of
from soteirad.video.feed import Feed
from soteirad.video.muxer import Muxer
from soteirad.video.piece import Piece
from soteirad.video.tap import Tap
from tests.rtsp_server import read_packets

TARGET = 0.02
RING_S = 10.0
SECONDS = 20
"""Of the still clip."""


def measure_packets(bench: Bench) -> list[Figure]:
    """Measure decoding, the ring, a clip, and the pieces for viewers, in turns."""
    _, found = read_packets(static_clip())
    packets = [_packet(*one) for one in found if one[0] < SECONDS * 1e9]
    pieces = _pieces(packets)
    kinds: dict[str, Callable[[], float]] = {
        "decoding": partial(_timed, partial(_decode, packets)),
        "ring": partial(_timed, partial(_ring, packets)),
        "writing": partial(_timed, partial(_write, pieces, bench)),
        "finished clip": partial(_timed, partial(_clip, pieces, bench)),
        "live": partial(_timed, partial(_live, pieces)),
    }
    return packet_figures(in_turns(kinds, 3 * bench.rounds, "packets"), len(packets))


def packet_figures(taken: dict[str, list[float]], packets: int) -> list[Figure]:
    """Return the shares of decoding, from processor seconds by kind."""
    median = {kind: statistics.median(values) for kind, values in taken.items()}
    each = ", ".join(f"{kind} {value / packets * 1e6:.0f}" for kind, value in median.items())
    note = (f"processor time in one process, {packets} packets of the still clip, {len(taken['ring'])} turns; "
            f"microseconds a picture: {each}")  # fmt: skip
    share = {kind: value / median["decoding"] for kind, value in median.items()}
    rows = {
        "ring": ("the packets' way into the ring / decoding them", share["ring"], TARGET),
        "writing": ("the same, and into a clip that is being written", share["ring"] + share["writing"], TARGET),
        "finished": ("the same, and the clip's end", share["ring"] + share["finished clip"], None),
        "live": ("the packets' way into pieces for viewers / decoding them", share["live"], None),
    }
    return [
        Figure(f"packets_{kind}", what, value, target, note=note if kind == "ring" else "",
               detail={"s": taken} if kind == "ring" else {})
        for kind, (what, value, target) in rows.items()
    ]  # fmt: skip


def _timed(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _packet(pts: int, dts: int, key: bool, data: bytes) -> Any:
    packet: Any = av.Packet(data)
    packet.pts, packet.dts, packet.time_base, packet.is_keyframe = pts, dts, Fraction(1, 10**9), key
    return packet


def _decode(packets: list[Any]) -> None:
    decoder: Any = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    for packet in packets:
        decoder.decode(packet)


def _ring(packets: list[Any]) -> None:
    _fill(packets, RING_S)


def _fill(packets: list[Any], seconds: float) -> Feed:
    feed = Feed(seconds)
    tap = Tap(feed)
    stream: Any = SimpleNamespace(codec_context=SimpleNamespace(name="h264", extradata=b""))
    tap.begin(stream, None)
    for packet in packets:
        tap.take(packet, packet.pts / 1e9)
    return feed


def _pieces(packets: list[Any]) -> list[Piece]:
    return _fill(packets, 2.0 * SECONDS).read(0).pieces


def _write(pieces: list[Piece], bench: Bench) -> Path:
    path = bench.place() / "clip.mp4"
    clip = ClipFile(path, pieces, None, {})
    for piece in pieces:
        clip.add(piece)
    clip.close()
    return path


def _clip(pieces: list[Piece], bench: Bench) -> None:
    finish(part_of(_write(pieces, bench)))


def _live(pieces: list[Piece]) -> None:
    muxer = Muxer(_Nowhere(), pieces[0], pieces, None, "+frag_every_frame+skip_trailer", {"flush_packets": "1"})
    for piece in pieces:
        muxer.add(piece)


class _Nowhere:
    """What takes bytes and keeps none."""

    def write(self, content: bytes) -> int:
        """Forget them."""
        return len(content)
