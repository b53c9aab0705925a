"""What travels through the pipe between a camera process and the hub, in both directions.

Camera to hub: `Confirmed`, `Picture`, `CameraState`, `CameraStatus`, `Diagnostics`, `Heartbeat`, `SourceFinished`,
`CameraFailed`, `Preview`.
Hub to camera: `Committed`, `Stop`, `Adjust`, `TakePicture`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from soteirad.config import CameraConfig
from soteirad.event import Event


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


FromCamera = (
    Confirmed | Picture | Preview | CameraState | CameraStatus | Diagnostics | Heartbeat | SourceFinished | CameraFailed
)
Wish = Adjust | TakePicture
ToCamera = Committed | Stop | Wish
