"""What travels through the pipe between a camera process and the hub, in both directions.

Camera to hub: `Confirmed`, `Picture`, `CameraState`, `CameraStatus`, `Diagnostics`, `Heartbeat`, `SourceFinished`,
`CameraFailed`, `Preview`, `Ask`, `LiveFrame`, `Missed`, `VideoBegan`, `VideoPiece`, `VideoOverlay`, `VideoStopped`.
Hub to camera: `Committed`, `Stop`, `Adjust`, `TakePicture`, `Inquire`, `Show`, `ShowVideo`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from soteirad.config import CameraConfig
from soteirad.config.question import Moment
from soteirad.event import Event
from soteirad.llm.picture import Shot
from soteirad.near_misses import NearMiss


@dataclass(frozen=True)
class Confirmed:
    """An event that the camera keeps until the hub answers `Committed` with its id."""

    event: Event


@dataclass(frozen=True)
class Picture:
    """A JPEG snapshot of an event that was sent before; `path` is relative to the snapshot folder.

    A second one under the same path takes the first one's place. `latest` says that no later event had a picture yet.
    """

    event_id: str
    path: str
    jpeg: bytes
    latest: bool = True


@dataclass(frozen=True)
class Preview:
    """A small JPEG of what the camera sees now, for `<camera>/preview`."""

    jpeg: bytes


@dataclass(frozen=True)
class Ask:
    """A question with its pictures, in the order of time; `shots[main]` shows the moment that it is asked on.

    `question` is the name of a configured one, or `AD_HOC` with its `text`. `event_id`, `label` and `zones` are those
    of the event that it is about, if there is one. `time` is when the frame was captured that it is asked on: a main
    picture of the detail stream is somewhat later. `signature` is those of all shots, one after the other. The event
    that carries the answer gets the same `id`.
    """

    id: str
    question: str
    on: Moment
    time: str
    text: str = ""
    event_id: str | None = None
    label: str | None = None
    zones: tuple[str, ...] = ()
    signature: bytes = b""
    main: int = 0
    shots: tuple[Shot, ...] = ()


@dataclass(frozen=True)
class LiveFrame:
    """What the gates make of the latest frame, and a small JPEG of it, for those who look at the page."""

    values: dict[str, Any]
    jpeg: bytes


@dataclass(frozen=True)
class Missed:
    """What a gate let go, and when (UTC): for the page, which shows the last ones."""

    time: str
    what: NearMiss


StreamName = Literal["source", "detail"]


@dataclass(frozen=True)
class VideoBegan:
    """Pieces of a stream's video follow, for those who look: whatever came before is over.

    `codec` is its name for Media Source Extensions (RFC 6381), `head` what a player needs before the first piece (MP4:
    `ftyp` and `moov`), `size` its width and height. `encoded` says that it was encoded on this machine.
    """

    stream: StreamName
    codec: str
    head: bytes
    size: tuple[int, int]
    encoded: bool = False


@dataclass(frozen=True)
class VideoPiece:
    """Some pictures of a stream (MP4: `moof` and `mdat`); `key` says that playing can begin with them."""

    stream: StreamName
    data: bytes
    key: bool


@dataclass(frozen=True)
class VideoOverlay:
    """What is drawn over a picture of the video: `LiveFrame.values`.

    `at` says when that picture is shown in each stream that is under way, in seconds of its pieces' own time.
    """

    at: Mapping[StreamName, float]
    values: dict[str, Any]


@dataclass(frozen=True)
class VideoStopped:
    """A stream's video cannot be shown now; `reason` is for the owner. `VideoBegan` says that it can again."""

    stream: StreamName
    reason: str


@dataclass(frozen=True)
class CameraState:
    """The retained `<camera>/state` payload, sent on change."""

    state: dict[str, Any]


@dataclass(frozen=True)
class CameraStatus:
    """Whether frames arrive from the source; `reason` is for logs when they do not."""

    online: bool
    reason: str = ""


DIAGNOSTICS_EVERY_S = 30.0


@dataclass(frozen=True)
class Diagnostics:
    """The `<camera>/diagnostics` payload."""

    values: dict[str, Any]


@dataclass(frozen=True)
class Heartbeat:
    """The gate thread is at work: how many frames it has taken so far."""

    frames: int


@dataclass(frozen=True)
class SourceFinished:
    """A file source was played to its end, or as far as it went; the camera process exits by itself."""

    problem: str = ""


@dataclass(frozen=True)
class CameraFailed:
    """The camera cannot be watched at all (its model is unusable); restarting would not help."""

    reason: str


@dataclass(frozen=True)
class Committed:
    """The journal holds these events: the camera may forget them."""

    event_ids: tuple[str, ...]


@dataclass(frozen=True)
class Stop:
    """End now: send what is left and exit. Open visits stay open in the journal; the next start closes them."""


@dataclass(frozen=True)
class Adjust:
    """Go on by these settings; only what may change while the process lives differs from what it was started with."""

    camera: CameraConfig


@dataclass(frozen=True)
class TakePicture:
    """Answer with a `Preview` of the latest frame."""


@dataclass(frozen=True)
class Inquire:
    """Answer with an `Ask` about the latest frame: the question of this name, or (`AD_HOC`) the one in `text`."""

    question: str
    text: str = ""


@dataclass(frozen=True)
class Show:
    """Send `LiveFrame`s from now on, or no more."""

    wanted: bool


@dataclass(frozen=True)
class ShowVideo:
    """Send the video of these streams from now on, each from its `VideoBegan` on, and of no others.

    A stream that is sent already goes on.
    """

    streams: frozenset[StreamName]


FromCamera = (
    Confirmed
    | Picture
    | Preview
    | Ask
    | LiveFrame
    | Missed
    | VideoBegan
    | VideoPiece
    | VideoOverlay
    | VideoStopped
    | CameraState
    | CameraStatus
    | Diagnostics
    | Heartbeat
    | SourceFinished
    | CameraFailed
)
Wish = Adjust | TakePicture | Inquire | Show | ShowVideo
ToCamera = Committed | Stop | Wish
