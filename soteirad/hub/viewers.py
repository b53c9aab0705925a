"""Viewers: who looks at the page now, and what waits for each of them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection
from typing import Any

from soteirad.web.box import MessageKind

MOST_WAITING = 200
"""Events and near misses that wait for a slow browser; beyond that the oldest go, and its list of events has them."""


class Viewer:
    """One browser, which hears of everything and sees the frames of some cameras (None: of all).

    Of frames and cameras only the newest waits.
    """

    def __init__(self, cameras: Collection[str] | None, on_close: Callable[[Viewer], None]) -> None:
        self.cameras = None if cameras is None else frozenset(cameras)
        self._on_close = on_close
        self._waiting: deque[tuple[MessageKind, dict[str, Any]]] = deque(maxlen=MOST_WAITING)
        self._newest: dict[tuple[MessageKind, str], dict[str, Any]] = {}
        self._changed = threading.Condition()
        self._closed = False

    def next(self, timeout: float) -> tuple[MessageKind, dict[str, Any]] | None:
        """Return what comes next, or None after `timeout` seconds, or when it was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._newest or self._closed, timeout)
            if self._closed:
                return None
            if self._waiting:
                return self._waiting.popleft()
            if self._newest:
                key = next(iter(self._newest))
                return key[0], self._newest.pop(key)
            return None

    def close(self) -> None:
        """Look no more; from any thread, as often as one likes."""
        with self._changed:
            first, self._closed = not self._closed, True
            self._changed.notify_all()
        if first:
            self._on_close(self)

    def sees(self, camera: str) -> bool:
        """Say whether it sees a camera's frames."""
        return self.cameras is None or camera in self.cameras

    def put(self, kind: MessageKind, camera: str, data: dict[str, Any]) -> None:
        """Give it something about a camera, if it is no frame that it does not see."""
        if kind == "frame" and not self.sees(camera):
            return
        with self._changed:
            if kind in ("frame", "camera"):
                self._newest.pop((kind, camera), None)  # the newest goes to the end, so that no camera is starved
                self._newest[kind, camera] = data
            else:
                self._waiting.append((kind, data))
            self._changed.notify()

    def begin_with(self, kind: MessageKind, camera: str, data: dict[str, Any]) -> None:
        """Give it what there was when it came, unless something newer of that kind waits already."""
        with self._changed:
            self._newest.setdefault((kind, camera), data)
            self._changed.notify()


class Viewers:
    """All who look; `on_change` is called when somebody comes or goes, from any thread."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._lock = threading.Lock()
        self._viewers: list[Viewer] = []

    def add(self, cameras: Collection[str] | None) -> Viewer:
        """Return a new viewer, who sees the frames of these cameras, or of all."""
        viewer = Viewer(cameras, self._remove)
        with self._lock:
            self._viewers.append(viewer)
        self._on_change()
        return viewer

    def __len__(self) -> int:
        return len(self._viewers)

    @property
    def there(self) -> bool:
        """Whether there is anybody."""
        return bool(self._viewers)

    def see(self, camera: str) -> bool:
        """Say whether anybody sees a camera's frames."""
        return any(viewer.sees(camera) for viewer in self._all())

    def tell(self, kind: MessageKind, camera: str, data: dict[str, Any]) -> None:
        """Give something about a camera to all whom it concerns."""
        for viewer in self._all():
            viewer.put(kind, camera, data)

    def close(self) -> None:
        """Send all away."""
        for viewer in self._all():
            viewer.close()

    def _all(self) -> list[Viewer]:
        with self._lock:
            return list(self._viewers)

    def _remove(self, viewer: Viewer) -> None:
        with self._lock:
            self._viewers.remove(viewer)
        self._on_change()
