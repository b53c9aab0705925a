"""The muxer: pieces of one format become an MP4, fragment by fragment, with time stamps that begin at zero."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from typing import Any, Protocol

import av
import av.error
from av.container import InputContainer, OutputContainer
from av.stream import Stream

from soteirad.capture.limits import MOST_PIXELS
from soteirad.capture.stamps import TICKS, Stamps
from soteirad.errors import SourceError
from soteirad.video.order import DecodingTimes, depth_of
from soteirad.video.parameter_sets import sets_in
from soteirad.video.piece import PictureFormat, Piece, SoundFormat

_BASE = Fraction(1, TICKS)
_USUAL_STEP = 1 / 25
_AAC_FRAME = 1024
"""Samples in a frame of AAC."""
_APART_S = 5.0
"""Sound that is so far from where it came is of a clock that means nothing."""
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
_WAITING_US = 1_000_000
"""So long, at most, pictures wait for sound that is to stand before them in the file (microseconds)."""


class Sink(Protocol):
    """What PyAV writes to."""

    def write(self, content: bytes) -> int:
        """Take some bytes; returns how many."""


class Muxer:
    """Writes pieces of one picture format, and of a sound format if there is one, to `sink`.

    `key` is the picture to begin with; it has to be given to `add` like those that follow. `known` are pieces in the
    order of decoding, before it or after it: from them it is known how pictures are reordered. `sink` gets a head
    (`ftyp`, `moov`) at once, and then fragments, each of which ends where FFmpeg's `flags` (movflags) say. Raises
    SourceError for parameter sets that make no sense, and OSError if `sink` does.
    """

    def __init__(self, sink: Sink, key: Piece, known: Iterable[Piece], sound: SoundFormat | None, flags: str,
                 options: Mapping[str, str] | None = None,
                 metadata: Mapping[str, str] | None = None) -> None:  # fmt: skip
        if not isinstance(key.format, PictureFormat):
            raise TypeError("the first piece has to be a picture")
        self.format = key.format
        self._sound = sound
        self._stamps = Stamps()
        self._connection = key.connection
        self._leading, self._shallow = True, False
        self._last: tuple[float | None, float, float] | None = None
        self._sound_at: int | None = None
        given = {"movflags": f"+empty_moov+default_base_moof{flags}", "max_interleave_delta": str(_WAITING_US),
                 **(options or {})}  # fmt: skip
        with _template(key.format, key.data) as template:
            picture = template.streams.video[0]
            codec: Any = picture.codec_context
            self.size = codec.width, codec.height
            depth, self._step = _order_of([one for one in known if one[5:] == key[5:]])
            self._depth = max(depth, codec.reorder_depth)
            self._times = DecodingTimes(self._depth, self._step)
            self._container: OutputContainer = av.open(sink, "w", format="mp4", options=given)
            try:
                self._picture = copied_stream(self._container, picture)
                self._picture.time_base = _BASE
                self._audio: Any = None if sound is None else _add_sound(self._container, sound)
                self._container.metadata.update(metadata or {})
                self._container.start_encoding()
            except av.error.FFmpegError as error:
                self._container.close()
                raise SourceError(f"its parameter sets cannot be written: {error.strerror}") from error

    @property
    def shallow(self) -> bool:
        """Whether pictures turned out to be reordered more than the first ones were: then some are shown too late."""
        return self._shallow

    @property
    def seconds(self) -> float:
        """How long it is so far."""
        return self._stamps.seconds

    def at(self, pts: float | None, time: float) -> float | None:
        """Return where a moment lies in the MP4, in seconds; None if nothing was written yet.

        `pts` is on the stream's own clock, as far as it is known, `time` on that of the gates.
        """
        if self._last is None:
            return None
        last_pts, last_time, shown = self._last
        if pts is None or last_pts is None or _is_jump(pts - last_pts):
            return shown + time - last_time
        return shown + pts - last_pts

    def add(self, piece: Piece) -> bool:
        """Write a piece; returns whether it was: those that cannot be shown are left out."""
        if piece.format == self.format:
            return self._add_picture(piece)
        return piece.format == self._sound and self._add_sound(piece)

    def resume(self) -> None:
        """Go on with a key picture, after pictures that were left out."""
        self._leading = True

    def close(self) -> None:
        """Write what is left."""
        self._container.close()

    def _add_picture(self, piece: Piece) -> bool:
        anew, self._connection = piece.connection != self._connection, piece.connection
        self._leading = self._leading or anew
        if self._leads(piece):
            return False
        dts = piece.dts
        if dts is None and piece.pts is not None:
            before = None if self._last is None else self._last[0]
            if anew or (before is not None and _is_jump(piece.pts - before)):
                self._times = DecodingTimes(self._depth, self._step)
            dts = self._times.next(piece.pts)
            self._shallow = self._shallow or dts > piece.pts
        shown, decoded = self._stamps.repair(piece.pts, dts, piece.time, anew=anew)
        self._last = piece.pts, piece.time, shown / TICKS
        return self._mux(piece, self._picture, shown, decoded)

    def _leads(self, piece: Piece) -> bool:
        """Say whether a picture builds on one before the first of its connection that was written: of an open GOP,
        those shown before its key picture. They cannot be decoded."""
        if not self._leading or self._last is None or piece.key or piece.pts is None or self._last[0] is None:
            return False
        ahead = self._last[0] - piece.pts
        self._leading = ahead > 0 and not _is_jump(ahead)
        return self._leading

    def _add_sound(self, piece: Piece) -> bool:
        if self._last is None or self._sound is None:
            return False
        step = TICKS * _AAC_FRAME // self._sound.rate
        came = round((self._last[2] + piece.time - self._last[1]) * TICKS)
        if piece.pts is not None:
            at = self._stamps.place(piece.pts)
        elif self._sound_at is not None and abs(self._sound_at + step - came) <= _APART_S * TICKS:
            at = self._sound_at + step
        else:
            at = came
        # Of what overlaps with what is there, as after a jump back, nothing can be heard.
        if abs(at - came) > _APART_S * TICKS or at < (0 if self._sound_at is None else self._sound_at + step // 2):
            return False
        self._sound_at = at
        return self._mux(piece, self._audio, at, at)

    def _mux(self, piece: Piece, stream: Any, shown: int, decoded: int) -> bool:
        packet = av.Packet(piece.data)
        packet.stream, packet.time_base = stream, _BASE
        packet.pts, packet.dts, packet.is_keyframe = shown, decoded, piece.key
        with suppress(av.error.FFmpegError):  # what a camera sends need not be a picture
            self._container.mux(packet)
            return True
        return False


def copied_stream(container: OutputContainer, template: Stream) -> Any:
    """Return a new stream of an MP4 for what is of the same kind as `template`."""
    stream: Any = container.add_stream_from_template(template)
    if template.codec_context.name == "hevc":  # the new stream's is an encoder's name
        stream.codec_context.codec_tag = "hvc1"  # Apple's players know no other
    return stream


def _order_of(pictures: Sequence[Piece]) -> tuple[int, float]:
    """Return how deep pictures are reordered, and the usual step between two (seconds)."""
    shown = [piece.pts for piece in pictures if piece.pts is not None]
    steps = sorted(later - sooner for sooner, later in pairwise(sorted(shown)))
    return depth_of(shown), steps[len(steps) // 2] if steps else _USUAL_STEP


def _is_jump(step: float) -> bool:
    """Say whether stamps that are so many seconds apart are of a clock that was set."""
    return abs(step) > Stamps.AHEAD_S


def _template(format_: PictureFormat, key: bytes) -> InputContainer:
    """Return a container from which FFmpeg knows what these pictures are. Raises SourceError."""
    data = format_.sets + key
    options = {"max_pixels": str(MOST_PIXELS), "probesize": str(len(data) + 32)}
    try:
        if format_.codec == "hevc":
            _examine(sets_in(data, "hevc"))
        container = av.open(io.BytesIO(data), "r", format=format_.codec, options=options)
    except (av.error.FFmpegError, ValueError) as error:
        raise SourceError(f"its parameter sets cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if container.streams.video and container.streams.video[0].codec_context.width:
        return container
    container.close()
    raise SourceError("its parameter sets say nothing of the size of its pictures")


def _examine(sets: bytes) -> None:
    """Let FFmpeg's decoder judge parameter sets of H.265. Raises FFmpeg's errors.

    It is stricter than FFmpeg's writer of MP4, which believes what they count: some damaged ones kept that one busy
    without an end in sight, and with it all threads of the process.
    """
    decoder: Any = av.CodecContext.create("hevc", "r")
    decoder.extradata, decoder.thread_type, decoder.options = sets, "NONE", {"err_detect": "explode"}
    decoder.open()


def _add_sound(container: OutputContainer, sound: SoundFormat) -> Stream:
    # FFmpeg's encoder, which never encodes anything, makes the header: AAC-LC has the same one whoever encoded it.
    stream: Any = container.add_stream("aac", rate=sound.rate, layout=_LAYOUTS[sound.channels])
    stream.time_base = Fraction(1, sound.rate)
    added: Stream = stream
    return added
