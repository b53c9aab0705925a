"""A stream's video for those who look: a thread that passes pieces on as they come, while somebody does."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection

from soteirad.errors import SourceError
from soteirad.messages import StreamName, VideoBegan, VideoPiece, VideoStopped
from soteirad.video.feed import Feed
from soteirad.video.muxer import Muxer
from soteirad.video.order import DEEPEST
from soteirad.video.parameter_sets import h264_name, hevc_name
from soteirad.video.piece import PictureFormat, Piece
from soteirad.video.tap import COPIED

WAIT_S = 0.5
"""How long it waits for the next piece at a time, and so how long an end takes to be noticed."""
Message = VideoBegan | VideoPiece | VideoStopped


class LiveStream:
    """Sends one stream's video. `choose` returns the feed to be shown, or why there is none; it may change its mind.

    Only pictures of these `codecs` are sent: a camera may come back with another one while its feed is followed.
    `send` takes the messages, `on_fault` a fault that this was not made for; both on the thread of its own.
    """

    def __init__(self, name: StreamName, choose: Callable[[], Feed | str], encoded: Callable[[Feed], bool],
                 send: Callable[[Message], None], on_fault: Callable[[Exception], None],
                 codecs: Collection[str] = COPIED) -> None:  # fmt: skip
        self._name: StreamName = name
        self._codecs = codecs
        self._choose = choose
        self._encoded = encoded
        self._send = send
        self._on_fault = on_fault
        self._feed: Feed | None = None
        self._next: int | None = None
        self._connection = 0
        """That of the last piece: what comes through another one begins with a key picture of its own."""
        self._muxer: Muxer | None = None
        self._sink = _Sink()
        self._key = False
        self._known: deque[Piece] = deque(maxlen=4 * DEEPEST)
        """The last pictures without their data: how they are reordered."""
        self._told = ""
        self._ended = threading.Event()
        self._sending = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"live-{name}", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more, not even what is on its way: another one of this name may begin at once."""
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
            self._drop()
        except Exception as error:
            self._on_fault(error)

    def step(self) -> None:
        """Send what has come; waits for it."""
        found = self._choose()
        if isinstance(found, str):
            self._begin_anew(None)
            self._tell_stopped(found)
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
        connection = reading.pieces[-1].connection if reading.pieces else self._connection
        if reading.lost or connection != self._connection:
            self._connection = connection
            self._drop()
        pictures = [piece for piece in reading.pieces if piece.is_picture]
        self._known.extend(piece._replace(data=b"") for piece in pictures)
        for piece in pictures:
            if piece.connection == connection:
                self._take(piece, found)

    def _begin_anew(self, feed: Feed | None) -> None:
        self._feed, self._next = feed, None
        self._known.clear()
        self._drop()

    def _drop(self) -> None:
        muxer, self._muxer = self._muxer, None
        if muxer is not None:
            muxer.close()

    def _take(self, piece: Piece, feed: Feed) -> None:
        muxer = self._muxer
        stale = muxer is None or muxer.format != piece.format or muxer.shallow
        if stale and not (piece.key and self._begin(piece, feed)):
            return
        if self._muxer is not None and self._muxer.add(piece):
            # A fragment comes out when the next picture goes in, which says how long it is shown.
            if data := self._sink.take():
                self._tell(VideoPiece(self._name, data, self._key))
            self._key = piece.key

    def _begin(self, key: Piece, feed: Feed) -> bool:
        """Begin with a key picture; returns whether that went."""
        if not (isinstance(key.format, PictureFormat) and key.format.codec in self._codecs):
            return False
        self._drop()
        self._sink = _Sink()
        try:
            muxer = Muxer(self._sink, key, self._known, None, "+frag_every_frame+skip_trailer",
                          {"flush_packets": "1"})  # fmt: skip
            name = _name_of(muxer.format)
        except (SourceError, ValueError) as error:
            self._tell_stopped(f"its video cannot be shown: {error}")
            return False
        self._muxer, self._told = muxer, ""
        self._tell(VideoBegan(self._name, name, self._sink.take(), muxer.size, self._encoded(feed)))
        return True

    def _tell_stopped(self, reason: str) -> None:
        if reason != self._told:
            self._told = reason
            self._tell(VideoStopped(self._name, reason))

    def _tell(self, message: Message) -> None:
        with self._sending:
            if not self._ended.is_set():
                self._send(message)


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
