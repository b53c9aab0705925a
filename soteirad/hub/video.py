"""Video for those who watch: what a camera process sends of a stream goes to all its viewers, and nothing of it is kept
longer than somebody who comes next needs it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from soteirad.config import CameraConfig
from soteirad.messages import StreamName, VideoBegan, VideoOverlay, VideoPiece, VideoStopped

MOST_KEPT = 8 * 1024 * 1024
"""Bytes of pieces since the last key frame that are kept for newcomers, of each stream that is watched. A camera that
sends more between two key frames lets them wait for the next."""
MOST_BEHIND_S = 3.0
"""How long a piece may wait for a viewer. Who is further behind does not watch live; and as cameras send a key frame
every 1 to 4 s, with less a mere hiccup of a radio would cost pictures that might have come in time."""
MOST_BEHIND = 4 * 1024 * 1024
"""Bytes of pieces that may wait for a viewer, beside those that it began with: 3 s of 11 Mbit/s, and with it the memory
that sixteen of them can cost is bounded, whatever a camera sends."""
SWITCHED_OFF = "it is switched off"

STREAMS: tuple[StreamName, ...] = get_args(StreamName)
DETAIL: tuple[StreamName, ...] = ("detail",)

Parts = Sequence[dict[str, Any] | bytes]


class VideoViewer:
    """One who watches a stream. What was not taken in time is dropped up to the newest key frame. See `web.box`."""

    def __init__(self, lock: threading.Lock, on_news: Callable[[], None], on_close: Callable[[VideoViewer], None],
                 monotonic: Callable[[], float]) -> None:  # fmt: skip
        self._lock = lock
        self._on_news = on_news
        self._on_close = on_close
        self._monotonic = monotonic
        self._asked = True
        self._notes: list[Parts] = []
        """What comes before the pieces: that the video is gone, that it begins."""
        self._waiting: deque[_Piece | dict[str, Any]] = deque()
        """Pieces, and the overlays between them."""
        self._bytes = 0
        self._overlays = 0
        self._allowance = 0
        self._needs_key = True
        self.closed = False

    def next(self) -> Parts:
        """Return what comes next and belongs together, or nothing if nothing waits."""
        with self._lock:
            if self.closed or not (self._notes or self._waiting):
                self._asked = True
                return ()
            if self._notes:
                return self._notes.pop(0)
            first = self._waiting.popleft()
            if isinstance(first, _Piece):
                self._bytes -= len(first.data)
                self._allowance = min(self._allowance, self._bytes)
                return (first.data,)
            self._overlays -= 1
            return (first,)

    def close(self) -> None:
        """Watch no more; from any thread, as often as one likes."""
        with self._lock:
            first, self.closed = not self.closed, True
            self._drop()
            self._notes.clear()
        if first:
            self._on_close(self)
            self._on_news()

    # For `Video`, with the lock.

    def begin(self, start: Parts, pieces: Iterable[VideoPiece] = ()) -> None:
        """A stream begins, with what there is of it: whatever waits of another is over."""
        self._drop()
        self._notes = [note for note in self._notes if _is_gone(note)] + [start]
        self._needs_key = True
        for piece in pieces:
            self._append(piece)
        self._allowance = self._bytes
        self._tell()

    def gone(self, reason: str) -> None:
        """There is no video now."""
        self._drop()
        self._notes = [({"kind": "gone", "reason": reason},)]
        self._needs_key = True
        self._tell()

    def piece(self, piece: VideoPiece) -> None:
        """Some pictures of the stream that has begun."""
        self._append(piece)
        if self._is_behind():
            self._catch_up()
        self._tell()

    def overlay(self, data: dict[str, Any]) -> None:
        """What is drawn over a picture that was sent; there are no more of them than pieces, or one."""
        if self._needs_key:  # this picture was dropped
            return
        self._waiting.append(data)
        self._overlays += 1
        if self._overlays > max(1, len(self._waiting) - self._overlays):
            self._waiting.remove(next(item for item in self._waiting if not isinstance(item, _Piece)))
            self._overlays -= 1
        self._tell()

    def _append(self, piece: VideoPiece) -> None:
        self._needs_key = self._needs_key and not piece.key
        if not self._needs_key:
            self._waiting.append(_Piece(piece.data, piece.key, self._monotonic()))
            self._bytes += len(piece.data)

    def _is_behind(self) -> bool:
        oldest = next((item.since for item in self._waiting if isinstance(item, _Piece)), None)
        late = oldest is not None and self._monotonic() - oldest > MOST_BEHIND_S
        return late or self._bytes > MOST_BEHIND + self._allowance

    def _catch_up(self) -> None:
        """Drop what waits, up to the newest key frame if one waits: that is nearest to now."""
        keep: list[_Piece | dict[str, Any]] = []
        while self._waiting:
            item = self._waiting.pop()
            keep.append(item)
            if isinstance(item, _Piece) and item.key:
                break
        else:
            keep = []
        self._drop()
        self._needs_key = not keep
        for item in reversed(keep):
            self._waiting.append(item)
            if isinstance(item, _Piece):
                self._bytes += len(item.data)
            else:
                self._overlays += 1
        if self._is_behind():  # the newest key frame is too old, or what followed it too large
            self._drop()
            self._needs_key = True

    def _drop(self) -> None:
        self._waiting.clear()
        self._bytes = self._overlays = self._allowance = 0

    def _tell(self) -> None:
        told, self._asked = self._asked, False
        if told:
            self._on_news()


@dataclass(frozen=True)
class _Piece:
    """A piece that waits for a viewer since a moment (monotonic seconds)."""

    data: bytes
    key: bool
    since: float


@dataclass
class _Channel:
    """One stream of one camera. Without `start` there is no video; `reason` says why, if that was told."""

    start: Parts | None = None
    shown: bool = False
    reason: str = ""
    pieces: list[VideoPiece] | None = None
    """Those since the last key frame; None: too many, or none yet."""
    size: int = 0
    viewers: list[VideoViewer] = field(default_factory=list)

    def show(self) -> None:
        """Let all see it begin."""
        self.shown, self.reason = True, ""
        for viewer in self.viewers:
            viewer.begin(self.start or ())

    def lose(self, reason: str) -> None:
        """Tell all why there is nothing to see, and keep no pictures."""
        self.shown, self.reason, self.pieces, self.size = False, reason, None, 0
        for viewer in self.viewers:
            viewer.gone(reason)

    def keep(self, piece: VideoPiece) -> None:
        """Keep a piece for newcomers, as long as they can begin with it."""
        if piece.key:
            self.pieces, self.size = [], 0
        if self.pieces is not None:
            self.pieces.append(piece)
            self.size += len(piece.data)
            if self.size > MOST_KEPT:
                self.pieces, self.size = None, 0


class Video:
    """All who watch. `on_change` is called when somebody comes or goes, from any thread; all else is the hub's."""

    def __init__(self, on_change: Callable[[], None], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._on_change = on_change
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._channels: dict[tuple[str, StreamName], _Channel] = {}

    def __len__(self) -> int:
        with self._lock:
            return sum(len(channel.viewers) for channel in self._channels.values())

    def watch(self, camera: str, stream: StreamName, on_news: Callable[[], None], reason: str = "") -> VideoViewer:
        """Return a new viewer, who begins at once with what there is; `reason` says why there is none. Any thread."""
        key = (camera, stream)
        viewer = VideoViewer(self._lock, on_news, lambda viewer: self._remove(key, viewer), self._monotonic)
        with self._lock:
            channel = self._channels.setdefault(key, _Channel())
            channel.viewers.append(viewer)
            if channel.shown and channel.start is not None:
                viewer.begin(channel.start, channel.pieces or ())
            elif reason or channel.reason:
                viewer.gone(reason or channel.reason)
        self._on_change()
        return viewer

    def watched(self, camera: str) -> frozenset[StreamName]:
        """Return which streams of a camera somebody watches."""
        with self._lock:
            return frozenset(s for (name, s), channel in self._channels.items() if name == camera and channel.viewers)

    def forget_unwatched(self, camera: str, shown: Collection[StreamName]) -> None:
        """Forget streams that nobody watches and that the camera was told to send no more.

        What it still sends is kept: somebody who comes meanwhile begins with it, since it begins no second time.
        """
        with self._lock:
            for name, stream in list(self._channels):
                if name == camera and stream not in shown and not self._channels[name, stream].viewers:
                    del self._channels[name, stream]

    def take(self, camera: str, message: VideoBegan | VideoPiece | VideoOverlay | VideoStopped) -> None:
        """Give what a camera sent to those who watch it."""
        if isinstance(message, VideoOverlay):
            for stream, at in message.at.items():
                self._overlay(camera, stream, {"kind": "overlay", "at": at, "values": message.values})
        elif isinstance(message, VideoBegan):
            self._began(camera, message)
        elif isinstance(message, VideoPiece):
            self._piece(camera, message)
        else:
            self.gone(camera, message.reason, (message.stream,))

    def gone(self, camera: str, reason: str, streams: Collection[StreamName] = STREAMS) -> None:
        """Say that a camera's video cannot be shown, and forget all of it; it begins anew when there is some again."""
        with self._lock:
            for channel in self._of(camera, streams):
                channel.start = None
                if channel.shown or channel.reason != reason:
                    channel.lose(reason)

    def away(self, camera: str, reason: str) -> None:
        """Say that a camera is offline: as `gone`, but a stream that goes on all the same is shown again.

        The large stream has a connection of its own, and need not begin anew because the other one was lost. Who has
        heard a reason hears no other: the first one says more than that the process has ended, too.
        """
        with self._lock:
            for channel in self._of(camera, STREAMS):
                if channel.shown or not channel.reason:
                    channel.lose(reason)

    def change(self, camera: str, before: CameraConfig, after: CameraConfig | None) -> None:
        """Go by another configuration of a camera; None: it is gone. What is masked by now is shown to nobody."""
        if after is None:
            self.gone(camera, "it is not in the configuration any more")
        elif before.enabled and not after.enabled:
            self.gone(camera, SWITCHED_OFF)
        elif before.privacy_mask != after.privacy_mask:
            self.gone(camera, "its privacy mask was changed")
        elif before.detail is not None and after.detail is None:
            self.gone(camera, "it has no large stream any more", DETAIL)

    def close(self) -> None:
        """Send all away."""
        with self._lock:
            viewers = [viewer for channel in self._channels.values() for viewer in channel.viewers]
        for viewer in viewers:
            viewer.close()

    def _of(self, camera: str, streams: Collection[StreamName]) -> list[_Channel]:
        found = (self._channels.get((camera, stream)) for stream in streams)
        return [channel for channel in found if channel is not None]

    def _began(self, camera: str, message: VideoBegan) -> None:
        width, height = message.size
        start = {"kind": "start", "codec": message.codec, "width": width, "height": height, "encoded": message.encoded}
        with self._lock:
            channel = self._channels.get((camera, message.stream))
            if channel is not None:
                channel.start, channel.pieces, channel.size = (start, message.head), None, 0
                channel.show()

    def _piece(self, camera: str, piece: VideoPiece) -> None:
        with self._lock:
            channel = self._channels.get((camera, piece.stream))
            if channel is None or channel.start is None or not (channel.shown or piece.key):
                return
            if not channel.shown:
                channel.show()
            channel.keep(piece)
            for viewer in channel.viewers:
                viewer.piece(piece)

    def _overlay(self, camera: str, stream: StreamName, data: dict[str, Any]) -> None:
        with self._lock:
            channel = self._channels.get((camera, stream))
            if channel is not None and channel.shown:
                for viewer in channel.viewers:
                    viewer.overlay(data)

    def _remove(self, key: tuple[str, StreamName], viewer: VideoViewer) -> None:
        with self._lock:
            channel = self._channels.get(key)
            if channel is not None and viewer in channel.viewers:
                channel.viewers.remove(viewer)
        self._on_change()


def _is_gone(note: Parts) -> bool:
    first = note[0]
    return isinstance(first, dict) and first["kind"] == "gone"
