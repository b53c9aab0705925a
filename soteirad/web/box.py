"""What the web application is given: the box behind it, as plain data, and what can be wished of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from soteirad.messages import StreamName

MessageKind = Literal["frame", "event", "camera", "near_miss"]


class WishError(ValueError):
    """What somebody asked for is refused; the text is for that person and says what is allowed."""


class UnknownCameraError(WishError):
    """There is no camera of this name, or it has no such stream."""


class Viewer(Protocol):
    """Somebody who looks. Bounded: one who is slow loses old frames, never events."""

    def next(self, timeout: float) -> tuple[MessageKind, dict[str, Any]] | None:
        """Return what comes next, or None after `timeout` seconds, and soon after `close`. For worker threads."""

    def close(self) -> None:
        """Say that nobody looks any more. May be called from any thread, and more than once."""


class VideoViewer(Protocol):
    """Somebody who watches a stream's video. Bounded: one who is slow loses pictures, up to a later key frame.

    No method waits; each may be called from any thread.
    """

    @property
    def closed(self) -> bool:
        """Whether it was closed, by whoever watched or by the box: nothing comes any more."""

    def next(self) -> Sequence[dict[str, Any] | bytes]:
        """Return what comes next and belongs together, text as JSON-ready data; nothing if nothing waits.

        The first after that is told by a call of `on_news`, and so is the end.
        """

    def close(self) -> None:
        """Say that nobody watches any more; as often as one likes."""


class Box(Protocol):
    """The box. Every method may be called from any thread, returns at once, and returns fresh JSON-ready data."""

    @property
    def journal(self) -> Path:
        """The journal's SQLite file, to be read with a connection of one's own."""

    @property
    def pictures(self) -> Path:
        """The folder of snapshots: camera, UTC day, event id."""

    @property
    def clips(self) -> Path:
        """The folder of videos of visits: camera, UTC day, event id."""

    def ready(self) -> str:
        """Return nothing when the daemon watches, else the word why it does not yet."""

    def cameras(self) -> list[dict[str, Any]]:
        """Return all cameras: state, thresholds, zones and masks."""

    def health(self) -> dict[str, Any]:
        """Return how the daemon and its cameras do."""

    def overrides(self) -> dict[str, str]:
        """Return what was set and is not in the file, as `yaml`, and as a `diff` of the file; secrets are hidden."""

    def near_misses(self) -> list[dict[str, Any]]:
        """Return what was nearly reported, newest first."""

    def set(self, camera: str, setting: str, value: float | None) -> None:
        """Change a threshold soon; None is what the file says. Raises WishError."""

    def check_areas(self, camera: str, areas: Mapping[str, Any]) -> str:
        """Return the lines for the file that give a camera these zones and masks. Raises WishError."""

    def viewer(self, cameras: Sequence[str] | None) -> Viewer:
        """Hear of everything, and see the frames of some cameras, or of all, from now until the viewer is closed.

        Raises UnknownCameraError.
        """

    def picture(self, camera: str, seq: int | None) -> bytes | None:
        """Return the JPEG of a live frame, or of the latest; None when there is none (any more)."""

    def video(self, camera: str, stream: StreamName, on_news: Callable[[], None]) -> VideoViewer:
        """Watch a stream until the viewer is closed; `on_news` is called from any thread and must not wait.

        Raises UnknownCameraError.
        """
