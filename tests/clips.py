"""The demo clip, what is true of it, and shorter clips cut from it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

DATA = Path(__file__).resolve().parent / "data"
DEMO = DATA / "demo.mp4"
FPS = 10

Picture = NDArray[np.uint8]
Spans = Sequence[tuple[float, float]]

VISIT = ((1.0, 12.0), (27.5, 34.5))
"""Nobody, a person enters, stands still, leaves: 18 s, entry at 5.8, departure at 15.2."""
ENTRY = ((1.0, 12.0),)
"""The same up to where the person stands still: 11 s, entry at 5.8."""
STANDING = ((15.0, 35.0),)
"""A person who was there before, stands still and leaves at 16.7: 20 s."""
LEAVING = ((26.5, 35.0),)
"""The same, shorter: departure at 5.2."""


def truth() -> dict[str, Any]:
    """Return the demo clip's ground truth; times are in seconds of the clip."""
    return dict(json.loads((DATA / "demo.json").read_text(encoding="utf-8")))


X264 = {"crf": "20", "preset": "ultrafast", "g": "20", "bf": "0"}


def cut(target: Path, spans: Spans, codec: str = "libx264", options: dict[str, str] = X264) -> Path:
    """Write the frames of the demo clip's `spans` (seconds) to `target` as H.264, back to back from zero."""
    with av.open(str(target), "w") as out:
        stream = out.add_stream(codec, rate=FPS, options=options)
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for index, frame in enumerate(_frames(DEMO, spans)):
            if index == 0:
                stream.width, stream.height = frame.width, frame.height
            frame.pts, frame.time_base, frame.pict_type = index, Fraction(1, FPS), 0
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return target


def cut_hevc(target: Path, spans: Spans) -> Path:
    """The same as H.265."""
    options = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=20:bframes=0:pools=1"}
    return cut(target, spans, "libx265", options)


def cut_mjpeg(target: Path, spans: Spans) -> Path:
    """The same as MJPEG, with the standard's Huffman tables, the only ones that RTP can carry; `target` as .avi."""
    return cut(target, spans, "mjpeg", {"huffman": "default", "q": "5", "qmin": "5", "qmax": "5"})


def altered(target: Path, spans: Spans, change: Callable[[Picture, float], Picture]) -> Path:
    """Write the frames of `spans`, each picture (BGR) as `change` makes it at its time in the new clip (seconds)."""
    with av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=FPS, options=X264)
        stream.pix_fmt = "yuv420p"
        for index, frame in enumerate(_frames(DEMO, spans)):
            picture = change(np.asarray(frame.to_ndarray(format="bgr24"), np.uint8), index / FPS)
            if index == 0:
                stream.height, stream.width = picture.shape[:2]
            made = av.VideoFrame.from_ndarray(picture, format="bgr24")
            made.pts, made.time_base = index, Fraction(1, FPS)
            out.mux(stream.encode(made))
        out.mux(stream.encode(None))
    return target


def with_sound(target: Path, clip: Path, rate: int = 16_000) -> Path:
    """Copy a clip to `target` with a tone beside its pictures, as AAC of one channel."""
    with av.open(str(clip)) as given, av.open(str(target), "w") as out:
        pictures = given.streams.video[0]
        copy, sound = out.add_stream_from_template(pictures), out.add_stream("aac", rate=rate, layout="mono")
        length = float((pictures.duration or 0) * (pictures.time_base or 0))
        for start in range(0, int(length * rate), 1024):
            wave = np.sin(np.arange(start, start + 1024) * (2 * np.pi * 440 / rate), dtype=np.float32) / 4
            frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
            frame.rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
        for packet in given.demux(pictures):
            if packet.dts is not None:
                packet.stream = copy
                out.mux(packet)
    return target


def two_sizes(target: Path, spans: Spans, size: tuple[int, int] = (320, 240), after: float = 2.0) -> Path:
    """Write a stream (.ts) whose pictures have another size from `after` on, as after a change of profile."""
    return _changing(target, spans, [(0.0, None, FPS), (after, size, FPS)])


def two_rates(target: Path, spans: Spans, fps: int = 2, after: float = 2.0) -> Path:
    """Write a stream (.ts) that has fewer pictures per second from `after` on: the camera does not get enough light."""
    return _changing(target, spans, [(0.0, None, FPS), (after, None, fps)])


def _changing(target: Path, spans: Spans, parts: list[tuple[float, tuple[int, int] | None, int]]) -> Path:
    """Encode each part (its start, its size, its rate) by itself and join the parts in one stream."""
    frames = list(_frames(DEMO, spans))
    ends = [start for start, _, _ in parts[1:]] + [len(frames) / FPS]
    with av.open(str(target), "w", format="mpegts") as out:
        stream = out.add_stream("libx264", rate=FPS, options=X264)
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
        for (start, size, fps), end in zip(parts, ends, strict=True):
            encoder = av.CodecContext.create("libx264", "w")
            encoder.width, encoder.height = size or (frames[0].width, frames[0].height)
            encoder.pix_fmt, encoder.time_base, encoder.options = "yuv420p", Fraction(1, FPS), X264
            for index in range(round(start * FPS), round(end * FPS), FPS // fps):
                frame = frames[index].reformat(encoder.width, encoder.height, "yuv420p")
                frame.pts, frame.time_base, frame.pict_type = index, Fraction(1, FPS), 0
                _mux(out, stream, encoder.encode(frame))
            _mux(out, stream, encoder.encode(None))
    return target


def _mux(out: OutputContainer, stream: VideoStream, packets: list[av.Packet]) -> None:
    for packet in packets:
        packet.stream, packet.time_base = stream, Fraction(1, FPS)
        out.mux(packet)


def damage(source: Path, target: Path, share: float, seed: int = 1, *, keys: bool = True) -> list[float]:
    """Copy an H.264 clip to `target` (.ts) with bits turned over in a share of its pictures; say the times of those.

    With `keys` off the key pictures are spared.
    """
    chance, times = random.Random(seed), []
    with av.open(str(source)) as clip, av.open(str(target), "w", format="mpegts") as out:
        annexb = BitStreamFilterContext("h264_mp4toannexb", clip.streams.video[0])
        stream = out.add_stream_from_template(clip.streams.video[0])
        for packet in clip.demux(clip.streams.video[0]):
            if packet.dts is None or packet.pts is None:
                continue
            pts, dts, time_base, key = packet.pts, packet.dts, packet.time_base, packet.is_keyframe
            data = b"".join(bytes(part) for part in annexb.filter(packet))  # which empties the packet
            if chance.random() < share and (keys or not key):
                data = flip(data, chance)
                times.append(float(pts * time_base))
            copy = av.Packet(data)
            copy.pts, copy.dts, copy.time_base, copy.is_keyframe, copy.stream = pts, dts, time_base, key, stream
            out.mux(copy)
    return times


def flip(data: bytes, chance: random.Random, *, bits: int = 3, spare: int = 24) -> bytes:
    """Turn over some bits of the largest NAL unit, behind its header: what a bad line or disk does to a picture."""
    largest = max(nals(data), key=len)
    start = data.index(largest)
    damaged = bytearray(data)
    for _ in range(bits):
        place = chance.randrange(start + min(spare, len(largest) // 2), start + len(largest))
        damaged[place] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def nals(data: bytes) -> list[bytes]:
    """Split Annex B at its start codes."""
    found = [part.rstrip(b"\0") for part in data.split(b"\0\0\1")]
    return [part for part in found if part]


def jpegs(clip: Path) -> list[bytes]:
    """Return the frames of a clip as JPEG pictures."""
    pictures = []
    codec = av.CodecContext.create("mjpeg", "w")
    for frame in _frames(clip, ((0.0, 1e9),)):
        if not codec.is_open:
            codec.width, codec.height, codec.pix_fmt = frame.width, frame.height, "yuvj420p"
            codec.time_base, codec.options = Fraction(1, FPS), {"q": "3", "qmin": "3", "qmax": "3"}
        pictures += [bytes(packet) for packet in codec.encode(frame.reformat(format="yuvj420p"))]
    return pictures


def _frames(clip: Path, spans: Spans) -> Iterator[av.VideoFrame]:
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            if any(start <= float(frame.time or 0.0) < end for start, end in spans):
                yield frame
