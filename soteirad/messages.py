"""What travels through the pipe between a camera process and the hub, in both directions.

Camera to hub: `Confirmed`, `Picture`, `CameraState`, `CameraStatus`, `Diagnostics`, `Heartbeat`, `SourceFinished`,
`CameraFailed`.
Hub to camera: `Committed`, `Stop`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
class CameraState:
    """The retained `<camera>/state` payload, sent on change."""

    state: dict[str, Any]


@dataclass(frozen=True)
class CameraStatus:
    """Whether frames arrive from the source; `reason` is for logs when they do not."""

    online: bool
    reason: str = ""


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


FromCamera = Confirmed | Picture | CameraState | CameraStatus | Diagnostics | Heartbeat | SourceFinished | CameraFailed
ToCamera = Committed | Stop
