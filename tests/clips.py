"""The demo clip, what is true of it, and shorter clips cut from it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

DATA = Path(__file__).resolve().parent / "data"
DEMO = DATA / "demo.mp4"
FPS = 10

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


def cut(target: Path, spans: Spans) -> Path:
    """Write the frames of the demo clip's `spans` (seconds) to `target` as H.264, back to back from zero."""
    with av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=FPS, options={"crf": "20", "preset": "ultrafast", "g": "20", "bf": "0"})
        stream.pix_fmt = "yuv420p"
        for index, frame in enumerate(_frames(DEMO, spans)):
            if index == 0:
                stream.width, stream.height = frame.width, frame.height
            frame.pts, frame.time_base, frame.pict_type = index, Fraction(1, FPS), 0
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return target


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
