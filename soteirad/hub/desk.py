"""The desk: what the hub lays out for the page, and the wishes that the page leaves there.

The hub's thread puts things down and takes wishes; the page's threads read and wish. Neither waits for the other.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from soteirad import __version__
from soteirad.archive import Archive, Row
from soteirad.config import CameraConfig, Config
from soteirad.config.overrides import SETTINGS, THRESHOLDS, as_yaml, limits, value_of
from soteirad.diagnostics import memory_mb
from soteirad.errors import StorageError
from soteirad.event import Event, iso_time
from soteirad.hub.areas import areas_as_yaml
from soteirad.hub.commands import Change
from soteirad.hub.video import SWITCHED_OFF, Video
from soteirad.hub.viewers import Viewers
from soteirad.messages import LiveFrame, Missed, StreamName
from soteirad.web.box import UnknownCameraError, VideoViewer, Viewer, WishError
from soteirad.web.items import event_item

KEPT_FRAMES = 12
"""Live pictures of a camera that can still be fetched: some seconds, at two a second."""
KEPT_MISSES = 200
MISSES_WITH_PICTURE = 40
PICTURE_AGE_S = 1.5
"""A live picture shows a near miss if it is no older than this."""


@dataclass
class _Place:
    """What lies on the desk of one camera."""

    online: bool = False
    reason: str = ""
    state: Mapping[str, Any] = field(default_factory=dict)
    diagnostics: Mapping[str, Any] = field(default_factory=dict)
    diagnosed_at: float | None = None
    starts: int = 0
    seq: int = 0
    frames: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=KEPT_FRAMES))
    frame_at: float = float("-inf")


@dataclass(frozen=True)
class Facts:
    """What the hub knows of itself: whether the broker is there, and what ails the disk."""

    connected: bool = False
    storage_problem: str = ""
    free_bytes: int | None = None
    total_bytes: int | None = None


class Desk:
    """Implements `web.box.Box`; `on_wake` is called when a wish waits for the hub, from any thread.

    `diff` returns what lines such as `as_yaml` gives would change in the configuration file, without its secrets.
    """

    def __init__(self, storage: Path, on_wake: Callable[[], None], diff: Callable[[str], str] = lambda _: "",
                 monotonic: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        self.journal = storage / "journal.sqlite3"
        self.pictures = storage / "snapshots"
        self.clips = storage / "clips"
        self._storage = storage
        self._on_wake = on_wake
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._viewers = Viewers(on_wake)
        self.videos = Video(on_wake, monotonic)
        self._newcomers: set[str] = set()
        self._places: dict[str, _Place] = {}
        self._file: Config | None = None
        self._config: Config | None = None
        self._diff = diff
        self._misses: deque[tuple[dict[str, Any], int | None]] = deque(maxlen=KEPT_MISSES)
        """Near misses, the newest first, and the number of the live frame that shows each."""
        self._miss_pictures: dict[tuple[str, int], bytes] = {}
        self._wishes: deque[Change] = deque(maxlen=1000)
        self._llm: Mapping[str, Any] | None = None
        self._facts = Facts()
        self._not_ready = "starting"
        self._began = monotonic()

    # For the hub's thread.

    def configure(self, file: Config, config: Config) -> None:
        """Go by another configuration: that of the file, and that in force."""
        gone = [item for item in self.cameras() if item["name"] not in config.cameras]
        with self._lock:
            before = {} if self._config is None else self._config.cameras
            self._file, self._config = file, config
            self._llm = self._llm if config.llm is not None else None
            self._places = {name: self._places.get(name, _Place()) for name in config.cameras}
            for name in config.cameras.keys() - config.offered.keys():
                self._places[name].state = {}  # nobody says any more what there is
            for name, camera in before.items():
                if name not in config.cameras or config.cameras[name].privacy_mask != camera.privacy_mask:
                    self._forget_pictures(name)
                self.videos.change(name, camera, config.cameras.get(name))
        for name in config.cameras:
            self._tell_camera(name)
        for item in gone:
            last = {**item, "online": False, "reason": "it is not in the configuration any more", "state": {}}
            self._viewers.tell("camera", item["name"], last)

    def be_ready(self, why_not: str = "") -> None:
        """Say that the daemon watches, or why it does not."""
        self._not_ready = why_not

    def know(self, facts: Facts) -> None:
        """Keep what the hub knows of itself."""
        self._facts = facts

    def llm(self, payload: Mapping[str, Any]) -> None:
        """Keep how the models do that answer questions."""
        self._llm = dict(payload)

    def state(self, camera: str, state: Mapping[str, Any]) -> None:
        """Keep what there is now at a camera, and tell those who look."""
        with self._lock:
            place = self._places.get(camera)
            if place is None or place.state == state:
                return
            place.state = dict(state)
        self._tell_camera(camera)

    def status(self, camera: str, online: bool, reason: str = "") -> None:
        """Keep whether frames come from a camera, and tell those who look."""
        if not online:
            self.videos.away(camera, reason)
        with self._lock:
            place = self._places.get(camera)
            if place is None or (place.online, place.reason) == (online, reason):
                return
            place.online, place.reason = online, "" if online else reason
        self._tell_camera(camera)

    def diagnostics(self, camera: str, values: Mapping[str, Any], starts: int) -> None:
        """Keep a camera's figures."""
        with self._lock:
            place = self._places.get(camera)
            if place is not None:
                place.diagnostics, place.diagnosed_at, place.starts = dict(values), self._monotonic(), starts

    def frame(self, camera: str, frame: LiveFrame) -> None:
        """Show a live frame to those who look."""
        with self._lock:
            place = self._places.get(camera)
            if place is None:
                return
            place.seq += 1
            seq = place.seq
            place.frames.append((seq, frame.jpeg))
            place.frame_at = self._monotonic()
        self._viewers.tell("frame", camera, {"camera": camera, "seq": seq, **frame.values})

    def missed(self, camera: str, missed: Missed) -> None:
        """Keep what a gate let go, with a picture if there is one of that moment, and tell those who look."""
        with self._lock:
            place = self._places.get(camera)
            if place is None:
                return
            shown = bool(place.frames) and self._monotonic() - place.frame_at <= PICTURE_AGE_S
            item = {"camera": camera, "time": missed.time, **missed.what.payload()}
            seq = place.frames[-1][0] if shown else None
            if seq is not None:
                self._miss_pictures[camera, seq] = place.frames[-1][1]
            while len(self._miss_pictures) > MISSES_WITH_PICTURE:
                del self._miss_pictures[next(iter(self._miss_pictures))]
            self._misses.appendleft((item, seq))
            told = self._with_picture(item, seq)
        self._viewers.tell("near_miss", camera, told)

    def confirmed(self, event: Event) -> None:
        """Tell those who look of an event that was just committed; its picture follows, and so does its clip, of which
        a `recorded` tells that is `about` it."""
        if not self._viewers.there:
            return
        item = event_item(Row(0, event, 0.0, None, None), ())  # its place in the journal is told to those who ask
        self._viewers.tell("event", event.camera, {**item, "seq": None})

    def looked_at(self, camera: str) -> bool:
        """Say whether anybody looks at a camera now."""
        return self._viewers.see(camera)

    def watched(self, camera: str) -> frozenset[StreamName]:
        """Return which of a camera's streams somebody watches now, of those that it has."""
        config = None if self._config is None else self._config.cameras.get(camera)
        found = self.videos.watched(camera)
        return found - {"detail"} if config is None or config.detail is None else found

    def take_newcomers(self) -> set[str]:
        """Return the cameras that somebody began to look at since the last call: he waits for the latest frame."""
        with self._lock:
            found, self._newcomers = self._newcomers, set()
        return found

    def take_wishes(self) -> list[Change]:
        """Return what was wished since the last call."""
        wishes: list[Change] = []
        while self._wishes:
            wishes.append(self._wishes.popleft())
        return wishes

    def close(self) -> None:
        """Send all away who look."""
        self._viewers.close()
        self.videos.close()

    # For the page's threads: see `web.box.Box`.

    def ready(self) -> str:
        """Return nothing when the daemon watches, else the word why it does not yet."""
        return self._not_ready

    def cameras(self) -> list[dict[str, Any]]:
        """Return all cameras: state, thresholds, zones and masks."""
        with self._lock:
            names = list(self._config.cameras) if self._config is not None else []
        return [item for name in names if (item := self._camera(name)) is not None]

    def health(self) -> dict[str, Any]:
        """Return how the daemon and its cameras do."""
        now, facts = self._monotonic(), self._facts
        with self._lock:
            cameras = [
                {"name": name, "online": p.online, "reason": p.reason, "starts": p.starts,
                 "age_s": None if p.diagnosed_at is None else round(now - p.diagnosed_at, 1),
                 "diagnostics": dict(p.diagnostics)}
                for name, p in self._places.items()
            ]  # fmt: skip
        return {
            "version": __version__, "time": iso_time(datetime.now(timezone.utc).timestamp()),
            "uptime_s": round(now - self._began), "ready": self._not_ready, "hub": {"memory_mb": memory_mb()},
            "mqtt": {"connected": facts.connected, **self._outbox()},
            "storage": {"path": str(self._storage), "free_bytes": facts.free_bytes, "total_bytes": facts.total_bytes,
                        "problem": facts.storage_problem},
            "llm": self._llm, "viewers": {"stream": len(self._viewers), "video": len(self.videos)}, "cameras": cameras,
        }  # fmt: skip

    def overrides(self) -> dict[str, str]:
        """Return what was set and is not in the file, as `yaml`, and as a `diff` of the file; secrets are hidden."""
        with self._lock:
            file, config = self._file, self._config
        cameras = {} if config is None else config.cameras
        lines = as_yaml({
            (name, setting): value_of(camera, setting)
            for name, camera in cameras.items()
            for setting in SETTINGS
            if file is not None and value_of(camera, setting) != value_of(file.cameras[name], setting)
        })  # fmt: skip
        return {"yaml": lines, "diff": self._diff(lines) if lines else ""}

    def near_misses(self) -> list[dict[str, Any]]:
        """Return what the gates let go lately, newest first."""
        with self._lock:
            return [self._with_picture(item, seq) for item, seq in self._misses]

    def set(self, camera: str, setting: str, value: float | None) -> None:
        """Change a threshold soon; None is what the file says. Raises WishError."""
        known = self._known(camera)
        if setting not in THRESHOLDS:
            raise WishError(f"there is no such threshold: there are {', '.join(THRESHOLDS)}")
        if value is not None:
            low, high = limits(known, setting)
            if not low <= value <= high:  # nor is it, for what is no number
                raise WishError(f"this number is out of range: allowed is {low:g} to {high:g}")
            value += 0.0  # zero without a sign
        self._wishes.append(Change(camera, setting, value, "on the page"))
        self._on_wake()

    def check_areas(self, camera: str, areas: Mapping[str, Any]) -> str:
        """Return the lines for the file that give a camera these zones and masks. Raises WishError."""
        return areas_as_yaml(camera, self._known(camera), areas)

    def viewer(self, cameras: Sequence[str] | None) -> Viewer:
        """Look at some cameras, or at all, and hear of everything, until the viewer is closed.

        Raises UnknownCameraError.
        """
        for name in cameras or ():
            self._known(name)
        with self._lock:
            self._newcomers.update(self._places if cameras is None else cameras)
        viewer = self._viewers.add(cameras)
        for item in self.cameras():
            viewer.begin_with("camera", item["name"], item)
        return viewer

    def video(self, camera: str, stream: StreamName, on_news: Callable[[], None]) -> VideoViewer:
        """Watch a stream until the viewer is closed. Raises UnknownCameraError."""
        known, place = self._known(camera), self._places.get(camera)
        if stream == "detail" and known.detail is None:
            raise UnknownCameraError("this camera has no large stream: add `detail` to it in the configuration file")
        away = "" if place is None or place.online else place.reason
        return self.videos.watch(camera, stream, on_news, away if known.enabled else SWITCHED_OFF)

    def picture(self, camera: str, seq: int | None) -> bytes | None:
        """Return the JPEG of a live frame, or of the latest; None when there is none (any more)."""
        with self._lock:
            place = self._places.get(camera)
            if place is None:
                return None
            if seq is None:
                fresh = place.frames and self._monotonic() - place.frame_at <= PICTURE_AGE_S
                return place.frames[-1][1] if fresh else None
            return dict(place.frames).get(seq, self._miss_pictures.get((camera, seq)))

    def _forget_pictures(self, camera: str) -> None:
        """Let live pictures go: they may show what is masked by now. With the lock."""
        if camera in self._places:
            self._places[camera].frames.clear()
        self._miss_pictures = {key: jpeg for key, jpeg in self._miss_pictures.items() if key[0] != camera}

    def _with_picture(self, item: dict[str, Any], seq: int | None) -> dict[str, Any]:
        """Return a near miss with the address of its picture, if that is still there. With the lock."""
        there = seq is not None and (item["camera"], seq) in self._miss_pictures
        return {**item, "picture": f"/api/cameras/{item['camera']}/live/{seq}.jpg" if there else None}

    def _known(self, camera: str) -> CameraConfig:
        config = self._config
        if config is None or camera not in config.cameras:
            raise UnknownCameraError(f"there is no camera of this name: there are {_names(config)}")
        return config.cameras[camera]

    def _tell_camera(self, name: str) -> None:
        item = self._camera(name) if self._viewers.there else None
        if item is not None:
            self._viewers.tell("camera", name, item)

    def _camera(self, name: str) -> dict[str, Any] | None:
        with self._lock:
            file, config, place = self._file, self._config, self._places.get(name)
            if file is None or config is None or place is None:
                return None
            state, online, reason = dict(place.state), place.online, place.reason
        camera = config.cameras[name]
        return {
            "name": name, "title": camera.name or name, "enabled": camera.enabled, "online": online, "reason": reason,
            "file": not camera.live, "detail": camera.detail is not None, "state": state,
            "thresholds": {s: _threshold(s, camera, file.cameras[name]) for s in THRESHOLDS},
            "labels": list(camera.objects.track),
            "zones": [{"name": key, "coordinates": list(zone.coordinates),
                       "objects": None if zone.objects is None else list(zone.objects)}
                      for key, zone in camera.zones.items()],
            "motion_mask": [list(polygon) for polygon in camera.motion.mask],
            "privacy_mask": [list(polygon) for polygon in camera.privacy_mask],
            "questions": list(config.asked_of(name)),
        }  # fmt: skip

    def _outbox(self) -> dict[str, int]:
        try:
            with Archive(self.journal) as archive:
                return {"waiting": archive.waiting(), "dropped": archive.dropped()}
        except StorageError:  # told where it is written; there is none before the first event
            return {"waiting": 0, "dropped": 0}


def _threshold(setting: str, camera: CameraConfig, file: CameraConfig) -> dict[str, Any]:
    (low, high), value, said = limits(camera, setting), value_of(camera, setting), value_of(file, setting)
    return {"value": value, "file": said, "low": low, "high": high, "overridden": value != said}


def _names(config: Config | None) -> str:
    return "none yet" if config is None else ", ".join(config.cameras)
