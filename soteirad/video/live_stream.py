"""A stream's video for those who look: a thread that passes pieces on as they come, while somebody does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from soteirad.errors import SourceError
from soteirad.messages import StreamName, VideoBegan, VideoPiece, VideoStopped
from soteirad.video.feed import Feed
from soteirad.video.muxer import Muxer
from soteirad.video.parameter_sets import h264_name, hevc_name
from soteirad.video.piece import PictureFormat, Piece

WAIT_S = 0.5
"""How long it waits for the next piece at a time, and so how long an end takes to be noticed."""
Message = VideoBegan | VideoPiece | VideoStopped


class LiveStream:
    """Sends one stream's video. `choose` returns the feed to be shown, or why there is none; it may change its mind.

    `send` takes the messages, `on_fault` a fault that this was not made for; both on the thread of its own.
    """

    def __init__(self, name: StreamName, choose: Callable[[], Feed | str], encoded: Callable[[Feed], bool],
                 send: Callable[[Message], None], on_fault: Callable[[Exception], None]) -> None:  # fmt: skip
        self._name: StreamName = name
        self._choose = choose
        self._encoded = encoded
        self._give = send
        self._sending = threading.Lock()
        self._on_fault = on_fault
        self._feed: Feed | None = None
        self._next: int | None = None
        self._muxer: Muxer | None = None
        self._sink = _Sink()
        self._key = False
        self._told = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"live-{name}", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more: nothing comes after this."""
        with self._sending:
            self._ended.set()

    def at(self, pts: float | None, time: float) -> float | None:
        """Return when a moment is shown, in seconds of the pieces' own time, as `Muxer.at` does; from any thread."""
        muxer = self._muxer
        return None if muxer is None else muxer.at(pts, time)

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                self.step()
        except Exception as error:
            self._on_fault(error)

    def step(self) -> None:
        """Send what has come; waits for it."""
        found = self._choose()
        if isinstance(found, str):
            self._begin_anew(None)
            if found != self._told:
                self._told = found
                self._send(VideoStopped(self._name, found))
            self._ended.wait(WAIT_S)
            return
        if found is not self._feed:
            self._begin_anew(found)
        if self._next is None:
            self._next = found.begin(float("inf"))
            if self._next is None:
                self._ended.wait(WAIT_S / 10)  # the first key picture is not there yet
                return
        if not found.wait(self._next, WAIT_S):
            return
        reading = found.read(self._next)
        self._next = reading.next
        if reading.lost:
            self._muxer = None
        for index, piece in enumerate(reading.pieces):
            if piece.is_picture:
                self._take(piece, reading.pieces[index:])

    def _send(self, message: Message) -> None:
        with self._sending:
            if not self._ended.is_set():
                self._give(message)

    def _begin_anew(self, feed: Feed | None) -> None:
        self._feed, self._next, self._muxer = feed, None, None

    def _take(self, piece: Piece, coming: Sequence[Piece]) -> None:
        muxer = self._muxer
        stale = muxer is None or muxer.format != piece.format or muxer.shallow
        if stale and not (piece.key and self._begin(coming)):
            return
        if self._muxer is not None:
            self._muxer.add(piece)
            # A fragment comes out when the next picture goes in, which says how long it is shown.
            if data := self._sink.take():
                self._send(VideoPiece(self._name, data, self._key))
            self._key = piece.key

    def _begin(self, coming: Sequence[Piece]) -> bool:
        """Begin with a key picture; returns whether that went."""
        if self._feed is None:
            return False
        earlier = self._feed.read(self._feed.begin(float("-inf")) or 0).pieces
        same = [one for one in earlier if one.format == coming[0].format]
        self._sink = _Sink()
        try:
            # What came earlier tells how pictures are reordered.
            muxer = Muxer(self._sink, coming[0], same or coming, None, "+frag_every_frame+skip_trailer",
                          {"flush_packets": "1"})  # fmt: skip
            name = _name_of(muxer.format)
        except (SourceError, ValueError):
            self._muxer = None
            return False
        self._muxer, self._told = muxer, ""
        encoded = self._encoded(self._feed)
        self._send(VideoBegan(self._name, name, self._sink.take(), muxer.size, encoded))
        return True


class _Sink:
    """What a muxer writes, until it is taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, content: bytes) -> int:
        """Keep what was written."""
        self._parts.append(bytes(content))
        return len(content)

    def take(self) -> bytes:
        """Return what was written since the last call."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def _name_of(format_: PictureFormat) -> str:
    return h264_name(format_.sets) if format_.codec == "h264" else hevc_name(format_.sets)
