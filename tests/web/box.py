"""A box without cameras: the shape and strictness of the real one, moving live data, and a real journal."""

from __future__ import annotations

import json
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from soteirad import __version__
from soteirad.archive import Archive, Row, Wanted
from soteirad.event import Event, clip_id, iso_time, new_id
from soteirad.hub.answer_book import AnswerBook
from soteirad.hub.ask_record import AskRecord
from soteirad.hub.journal import Journal
from soteirad.web.box import MessageKind, UnknownCameraError, WishError
from soteirad.web.items import event_item
from soteirad.web.models import Areas, Camera, Health, Item, NearMiss, Overrides
from tests.web.video import FPS, FakeVideo, FakeVideoViewer, walker

WIDTH, HEIGHT = 640, 360
KEPT_FRAMES = 40
AWAY = "10.0.0.8 does not answer: is the camera switched on?"
KEPT_MESSAGES = 64
LIMITS = {
    "motion_threshold": (0.001, 0.799),
    "scene_distance": (0.01, 1.0),
    "scene_ssim": (0.01, 1.0),
    "min_score": (0.0, 1.0),
}
FILE = {"motion_threshold": 0.02, "scene_distance": 0.35, "scene_ssim": 0.6, "min_score": 0.4}
TITLES = {"porch": "Front porch", "garden": "Garden & shed", "clip": "A clip"}
ZONES: dict[str, list[dict[str, Any]]] = {
    "porch": [
        {"name": "step", "coordinates": [0.05, 0.6, 0.45, 0.6, 0.45, 0.98, 0.05, 0.98], "objects": ["person"]},
        {"name": "street", "coordinates": [0.5, 0.35, 0.98, 0.3, 0.98, 0.6, 0.5, 0.6], "objects": None},
    ],
    "garden": [],
    "clip": [],
}
CLIP = Path(__file__).parents[1] / "data" / "demo.mp4"
"""What all clips of visits show."""
UNRECORDED = 3
"""Each so many-th visit's clip is not complete."""
KINDS = ("entered", "left", "present", "scene_changed", "source_lost", "source_restored")


class FakeBox:
    """Implements `soteirad.web.box.Box`. `folder` gets the journal, the snapshots and the clips.

    It checks all that it is given and all that it returns. Frames come from `tick`, which `tests.web.serve` calls twice
    a second. Video is that of `tests.web.video`: the porch has a large stream, too, the garden is away, the clip's is
    `encoded`; `video_of` lets it go and come. `wishes` holds what was set; `fail` makes every method raise it.
    """

    def __init__(self, folder: Path, events: int = 120) -> None:
        self._folder = folder
        self._many = events
        self._lock = threading.RLock()
        self._viewers: list[FakeViewer] = []
        self._set: dict[tuple[str, str], float] = {}
        self._seq = 0
        self._began = time.time()
        self._misses: deque[dict[str, Any]] = deque(maxlen=200)
        self._starting = ""
        self._named: dict[int, str] = {}
        self.wishes: list[tuple[str, str, float | None]] = []
        self.opened = 0
        self._videos = {
            ("porch", "source"): FakeVideo("source", lambda index: self._overlay("porch", index)),
            ("porch", "detail"): FakeVideo("detail", lambda index: self._overlay("porch", index)),
            ("garden", "source"): FakeVideo("source", lambda index: self._overlay("garden", index)),
            ("clip", "source"): FakeVideo("source", lambda index: self._overlay("clip", index), encoded=True),
        }
        self._videos["garden", "source"].go(AWAY)
        self.fail: Exception | None = None

    def create(self) -> None:
        """Write the journal with some events of the last two days, their pictures, and the clips of visits."""
        self.pictures.mkdir(parents=True, exist_ok=True)
        now = time.time()
        self._write_events([(index, now - (self._many - index) * 1200.0) for index in range(self._many)])
        with Archive(self.journal) as archive:
            visits = [row.event for row in archive.find(Wanted(types=["entered"], limit=self._many)) if row.event.clip]
        for number, event in enumerate(reversed(visits), 1):
            if number % UNRECORDED:
                self.record(event)
            else:
                half = self.clips / f"{event.camera}/{event.time[:10]}/.{event.id}.mp4.part"
                half.parent.mkdir(parents=True, exist_ok=True)
                half.write_bytes(CLIP.read_bytes()[:1000])

    # --- the protocol ---

    @property
    def journal(self) -> Path:
        return self._folder / "journal.db"

    @property
    def pictures(self) -> Path:
        return self._folder / "snapshots"

    @property
    def clips(self) -> Path:
        return self._folder / "clips"

    def ready(self) -> str:
        self._maybe_fail()
        return self._starting

    def cameras(self) -> list[dict[str, Any]]:
        self._maybe_fail()
        with self._lock:
            return [_checked(Camera, self._camera(name)) for name in TITLES]

    def health(self) -> dict[str, Any]:
        self._maybe_fail()
        now = time.time()
        cameras = [
            {
                "name": name,
                "online": name != "garden",
                "starts": 1,
                "age_s": 3.5,
                "reason": AWAY if name == "garden" else "",
                "diagnostics": self._diagnostics(name),
            }
            for name in TITLES
        ]
        return _checked(
            Health,
            {
                "version": __version__,
                "time": iso_time(now),
                "uptime_s": round(now - self._began, 1),
                "ready": self._starting,
                "hub": {"memory_mb": 61.2},
                "mqtt": {"connected": True, "waiting": 2, "dropped": 0},
                "storage": {
                    "path": str(self._folder),
                    "free_bytes": 12_345_678_901,
                    "total_bytes": 31_000_000_000,
                    "problem": "",
                },
                "llm": {
                    "state": "ok",
                    "left": {"per_minute": 5, "per_hour": 40, "per_day": 480, "tokens_per_day": None},
                    "answered": 18,
                    "skipped_duplicate": 3,
                    "skipped_budget": 0,
                    "skipped_stale": 0,
                    "failed": 2,
                    "waiting": 1,
                    "asking": 1,
                    "dropped": 0,
                    "providers": [{"server": "10.0.0.9:11434", "model": "qwen2.5vl:3b", "state": "closed"}],
                },
                "viewers": {"stream": self.looking, "video": self.watching},
                "cameras": cameras,
            },
        )

    def overrides(self) -> dict[str, str]:
        self._maybe_fail()
        with self._lock:
            if not self._set:
                return {"yaml": "", "diff": ""}
            lines = [
                f"  {camera}:\n    # {setting}\n    value: {value}\n" for (camera, setting), value in self._set.items()
            ]
        yaml = "cameras:\n" + "".join(lines)
        diff = "--- soteira.yaml\n+++ soteira.yaml\n@@ -1,1 +1,3 @@\n cameras:\n" + "".join(
            f"+{line}" for line in lines
        )
        return _checked(Overrides, {"yaml": yaml, "diff": diff})

    def near_misses(self) -> list[dict[str, Any]]:
        self._maybe_fail()
        with self._lock:
            return [_checked(NearMiss, miss) for miss in reversed(self._misses)]

    def set(self, camera: str, setting: str, value: float | None) -> None:
        self._maybe_fail()
        assert isinstance(camera, str)
        assert isinstance(setting, str)
        self._known(camera)
        if setting not in FILE:
            raise WishError(f"there is no such setting: use {', '.join(FILE)}")
        assert value is None or (isinstance(value, float) and math.isfinite(value)), value
        low, high = LIMITS[setting]
        if value is not None and not low <= value <= high:
            raise WishError(f"{setting}: {value:g} is out of range: allowed is a number from {low} to {high}")
        with self._lock:
            self.wishes.append((camera, setting, value))
            if value is None or value == FILE[setting]:
                self._set.pop((camera, setting), None)
            else:
                self._set[camera, setting] = value
        self.tell("camera", _checked(Camera, self._camera(camera)))

    def check_areas(self, camera: str, areas: Mapping[str, Any]) -> str:
        self._maybe_fail()
        self._known(camera)
        drawn = _checked(Areas, dict(areas))
        assert set(drawn) == {"zones", "motion_mask", "privacy_mask"}
        polygons = (
            [zone["coordinates"] for zone in drawn["zones"].values()] + drawn["motion_mask"] + drawn["privacy_mask"]
        )
        if any(len(polygon) % 2 for polygon in polygons):
            raise WishError("an odd count of numbers: list the corners as x1, y1, x2, y2, x3, y3, ...")
        for name, zone in drawn["zones"].items():
            if zone["objects"] and not set(zone["objects"]) <= {"person", "cat"}:
                raise WishError(f"zones.{name}: this label is not tracked: use one of person, cat")
        return f"cameras:\n  {camera}:\n    zones: {json.dumps(drawn['zones'])}\n"

    def viewer(self, cameras: Sequence[str] | None) -> FakeViewer:
        self._maybe_fail()
        for name in cameras or ():
            self._known(name)
        viewer = FakeViewer(self, None if cameras is None else frozenset(cameras))
        with self._lock:
            self._viewers.append(viewer)
            self.opened += 1
        return viewer

    def picture(self, camera: str, seq: int | None) -> bytes | None:
        self._maybe_fail()
        self._known(camera)
        assert seq is None or (isinstance(seq, int) and seq >= 0)
        with self._lock:
            newest = self._seq
        wanted = newest if seq is None else seq
        if camera == "garden" or not newest - KEPT_FRAMES < wanted <= newest or wanted == 0:
            return None
        return draw(camera, wanted)

    def video(self, camera: str, stream: str, on_news: Callable[[], None]) -> FakeVideoViewer:
        self._maybe_fail()
        self._known(camera)
        assert stream in ("source", "detail")
        if (camera, stream) not in self._videos:
            raise UnknownCameraError(f"the camera {camera} has no detail stream")
        return self._videos[camera, stream].watch(on_news)

    # --- for tests and `serve` ---

    def video_of(self, camera: str, stream: str = "source") -> FakeVideo:
        """Return a stream's video, which can be let go and come back."""
        return self._videos[camera, stream]

    @property
    def watching(self) -> int:
        """How many watch video."""
        return sum(video.watching for video in self._videos.values())

    @property
    def looking(self) -> int:
        """How many viewers are open."""
        with self._lock:
            return len(self._viewers)

    def start(self) -> None:
        """Be ready."""
        self._starting = ""

    def starting(self) -> None:
        """Be not ready yet."""
        self._starting = "starting"

    def tell(self, kind: MessageKind, data: dict[str, Any]) -> None:
        """Send a message to all viewers."""
        with self._lock:
            viewers = list(self._viewers)
        for viewer in viewers:
            viewer.put(kind, data)

    def tick(self) -> None:
        """Half a second passes: a frame of each camera that sends, now and then an event or a near miss."""
        with self._lock:
            self._seq += 1
            seq = self._seq
        for name in TITLES:
            if name != "garden":
                self.tell("frame", self._frame(name, seq))
        if seq % 20 == 10:
            self._near_miss(seq)
        if seq % 30 == 5:
            [row] = self._write_events([(seq, time.time())])
            self.tell("event", _checked(Item, event_item(row, ())))

    def record(self, event: Event) -> None:
        """The clip that an event names is complete now."""
        assert event.clip is not None
        file = self.clips / event.clip
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(CLIP.read_bytes())
        why = {"seconds": 65.5, "bytes": CLIP.stat().st_size, "begins": event.time, "codec": "h264", "audio": False,
               "parts": 1}  # fmt: skip
        recorded = Event(clip_id(event.id), "recorded", event.camera, event.time, confirmed=iso_time(time.time()),
                         label=event.label, track_id=event.track_id, zones=event.zones, about=event.id,
                         clip=event.clip, why=why)  # fmt: skip
        with closing(Journal(self.journal)) as journal:
            journal.open()
            journal.append([recorded])
            journal.mark_published({recorded.id: f"soteira/{event.camera}/clip"})
            seq = journal.highest
        self.tell("event", _checked(Item, event_item(Row(seq, recorded, 0.0, None, None), ())))

    def forget(self, viewer: FakeViewer) -> None:
        """A viewer was closed."""
        with self._lock:
            if viewer in self._viewers:
                self._viewers.remove(viewer)

    def _maybe_fail(self) -> None:
        if self.fail is not None:
            raise self.fail

    def _known(self, camera: str) -> None:
        if camera not in TITLES:
            raise UnknownCameraError(f"there is no camera of this name: use {', '.join(TITLES)}")

    def _camera(self, name: str) -> dict[str, Any]:
        inside = name == "porch" and self._seq % 60 > 20
        settings = {setting: self._set.get((name, setting), FILE[setting]) for setting in FILE}
        return {
            "name": name,
            "title": TITLES[name],
            "enabled": True,
            "online": name != "garden",
            "reason": AWAY if name == "garden" else "",
            "file": name == "clip",
            "detail": name == "porch",
            "state": {
                "motion": inside,
                "view": {"changed": False, "seen": None},
                "objects": {"person": {"present": inside, "count": int(inside)}, "cat": {"present": False, "count": 0}},
                "zones": {zone["name"]: {"present": False, "count": 0} for zone in ZONES[name]},
                "enabled": True,
                "detect": True,
                **settings,
                "overrides": [setting for camera, setting in self._set if camera == name],
            },
            "thresholds": {
                setting: {
                    "value": settings[setting],
                    "file": FILE[setting],
                    "low": LIMITS[setting][0],
                    "high": LIMITS[setting][1],
                    "overridden": (name, setting) in self._set,
                }
                for setting in FILE
            },
            "labels": ["person", "cat"],
            "zones": [dict(zone) for zone in ZONES[name]],
            "motion_mask": [[0.7, 0.0, 1.0, 0.0, 1.0, 0.12, 0.7, 0.12]] if name == "porch" else [],
            "privacy_mask": [[0.0, 0.0, 0.15, 0.0, 0.15, 0.2, 0.0, 0.2]] if name == "porch" else [],
            "questions": ["parcel"] if name == "porch" else [],
        }

    def _diagnostics(self, name: str) -> dict[str, Any]:
        if name == "garden":
            return {"online": False, "reason": AWAY}
        return {
            "online": True,
            "reason": "",
            "received": 9000 + self._seq,
            "skipped": 0,
            "decoded": 8990 + self._seq,
            "corrupt": 1,
            "dropped": 3,
            "late": 0,
            "analysed": 4500 + self._seq,
            "frames": 9000 + self._seq,
            "motion": 312,
            "scene": 120,
            "looks": {"motion": 40, "motion_spike": 12, "scene": 9, "tracking": 60, "interval": 22},
            "detector_runs": 143,
            "looks_lost": 0,
            "events": 17,
            "fps": 4.97,
            "memory_mb": 141.3,
            "stage_ms": {"decode": 1.6, "motion": 2.5, "scene": 1.1, "detect": 61.1},
            "latency_ms": {"p50": 71.2, "p95": 140.8},
            "detector": {
                "model": "nanodet-g-416",
                "backend": "openvino",
                "precision": "fp16",
                "device": "CPU",
                "golden": {"passed": True, "pictures": 6},
                "why": "fastest of 3 that passed",
            },
        }

    def _frame(self, camera: str, seq: int) -> dict[str, Any]:
        x, score = 0.1 + 0.6 * abs(math.sin(seq / 25)), round(0.3 + 0.25 * math.sin(seq / 7), 3)
        box = [round(x, 3), 0.4, round(x + 0.12, 3), 0.9]
        counts = score >= self._set.get((camera, "min_score"), FILE["min_score"])
        look = ("motion", None, "scene", None)[seq % 4]
        return {
            "camera": camera,
            "seq": seq,
            "time": iso_time(time.time()),
            "media_time": seq / 2 if camera == "clip" else None,
            "frame_size": [WIDTH, HEIGHT],
            "motion": {
                "ratio": round(0.02 + 0.018 * math.sin(seq / 5), 4),
                "blob": 0.011,
                "open": seq % 10 > 4,
                "flood": False,
            },
            "scene": {
                "distance": round(0.2 + 0.18 * math.sin(seq / 9), 3),
                "ssim": round(0.75 + 0.2 * math.cos(seq / 9), 3),
                "open": seq % 18 > 9,
                "view": ("same", "doubtful", "changed", "other", "settled")[seq // 40 % 5],
            },
            "look": look,
            "score": score if look else None,
            "detections": [
                {"label": "person", "score": score, "box": box, "counts": counts, "why": None if counts else "score"},
                {"label": "cat", "score": 0.22, "box": [0.8, 0.7, 0.85, 0.76], "counts": False, "why": "area"},
            ],
            "looked": round(seq % 4 * 0.5, 1),
            "tracks": [
                {
                    "id": 1 + seq // 60,
                    "label": "person",
                    "score": score,
                    "box": box,
                    "still": seq % 8 > 5,
                    "seconds": round(seq % 60 / 2, 1),
                    "zones": ["step"] if x < 0.4 else [],
                }
            ]
            if counts
            else [],
        }

    def _overlay(self, camera: str, index: int) -> dict[str, Any]:
        """Return what is drawn over a picture of the video: somebody is followed, exactly where he is."""
        box, seq = [round(edge, 3) for edge in walker(index)], 1 + index // (FPS // 2)
        values = self._frame(camera, seq)
        del values["camera"], values["seq"]
        person = {"label": "person", "score": 0.8, "box": box, "counts": True, "why": None}
        track = {"id": 1, "label": "person", "score": 0.8, "box": box, "still": False,
                 "seconds": round(index / FPS, 1), "zones": []}  # fmt: skip
        return {**values, "detections": [person], "tracks": [track], "looked": 0.0}

    def _near_miss(self, seq: int) -> None:
        kinds = (
            (
                "score_below",
                3,
                "a person of score 0.34 was not enough: min_score is 0.40",
                {"score": 0.34, "limit": 0.4},
            ),
            (
                "motion_below",
                1,
                "motion of 1.8 % was not enough: motion.threshold is 2.0 %",
                {"ratio": 0.018, "limit": 0.02},
            ),
            (
                "area_below",
                3,
                "a person of 0.4 % of the picture was too small: min_area is 1.0 %",
                {"area": 0.004, "limit": 0.01},
            ),
            ("flood", 1, "92 % of the picture changed at once: that is light", {"ratio": 0.92, "limit": 0.8}),
            ("not_confirmed", 3, "a cat was seen in one look only", {"looks": 1.0, "limit": 2.0}),
        )
        kind, gate, text, values = kinds[seq // 20 % len(kinds)]
        label = "person" if gate == 3 else None
        miss = {
            "camera": "porch",
            "time": iso_time(time.time()),
            "kind": kind,
            "gate": gate,
            "text": text,
            "label": label,
            "box": [0.3, 0.4, 0.42, 0.9] if label else None,
            "values": values,
            "picture": f"/api/cameras/porch/live/{seq}.jpg",
        }
        with self._lock:
            self._misses.append(_checked(NearMiss, miss))
        self.tell("near_miss", miss)

    def _write_events(self, moments: Sequence[tuple[int, float]]) -> list[Row]:
        """Journal an event for each number and time (epoch seconds); the first event of a visit has a picture."""
        events = [self._event(index, at) for index, at in moments]
        with closing(Journal(self.journal)) as journal:
            journal.open()
            journal.append(events)
            found = journal.rows("SELECT seq, id FROM events ORDER BY seq DESC LIMIT ?", (len(events),))
            seqs = {event_id: seq for seq, event_id in found}
            topics = {
                event.id: f"soteira/{event.camera}/event"
                for (index, _), event in zip(moments, events, strict=True)
                if index % 10 != 9
            }
            journal.mark_published(topics)
            asked = [event for event in events if (event.event_type, event.camera) == ("entered", "porch")]
            AnswerBook(journal).write([_answer_to(event) for event in asked], [], time.time())
        rows = [(seqs[event.id], event, at) for (_, at), event in zip(moments, events, strict=True)]
        sent = [(row, topics.get(row[1].id)) for row in rows]
        return [Row(seq, event, at, None if topic is None else at, topic) for (seq, event, at), topic in sent]

    def _event(self, index: int, at: float) -> Event:
        kind = KINDS[index % len(KINDS)]
        camera = ("porch", "clip")[index // 6 % 2]
        event_id, about = new_id(at), kind in ("entered", "left", "present")
        path = f"{camera}/{iso_time(at)[:10]}/{event_id}.jpg" if kind in ("entered", "scene_changed") else None
        if (kind, camera) == ("entered", "porch"):
            self._named[index // 6] = f"{camera}/{iso_time(at)[:10]}/{event_id}.mp4"
        label = ("cat" if kind == "present" else "person") if about else None
        if path is not None:
            file = self.pictures / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(draw(camera, index, f"{label or kind}"))
        if not about:
            return Event(event_id, kind, camera, iso_time(at), why={"seen": "moved"}, snapshot=path)  # type: ignore[arg-type]
        return Event(
            id=event_id,
            event_type=kind,  # type: ignore[arg-type]
            camera=camera,
            time=iso_time(at),
            label=label,
            track_id=index // 6,
            confidence=0.752,
            box=(60, 132, 175, 358),
            frame_size=(WIDTH, HEIGHT),
            zones=("step",) if (kind, camera) == ("entered", "porch") else (),
            dwell=12.4 if kind == "left" else None,
            why={"trigger": "motion_spike", "motion_ratio": 0.082, "reason": "confirmed"},
            latency_ms={"detect": 61.1, "total": 66.6} if kind == "entered" else {},
            snapshot=path,
            clip=self._named.get(index // 6) if kind in ("entered", "left") else None,
        )


def _answer_to(event: Event) -> AskRecord:
    answer = {"state": "answered", "kind": "yes_no", "answer": True, "confidence": 0.9, "because": "a box lies there"}
    if event.id[-1] < "8":
        answer = {"state": "skipped_budget", "kind": "yes_no", "reason": "no call was left in this hour"}
    return AskRecord(
        new_id(time.time()), event.camera, "parcel", "Is there a parcel?", "entered", event.time, event_id=event.id,
        label=event.label, **answer,  # type: ignore[arg-type]
    )  # fmt: skip


class FakeViewer:
    """Implements `soteirad.web.box.Viewer`."""

    def __init__(self, box: FakeBox, cameras: frozenset[str] | None) -> None:
        self._box = box
        self._cameras = cameras
        self._ready = threading.Condition()
        self._messages: deque[tuple[MessageKind, dict[str, Any]]] = deque()
        self.closed = False

    def next(self, timeout: float) -> tuple[MessageKind, dict[str, Any]] | None:
        assert timeout > 0
        assert threading.current_thread() is not threading.main_thread(), "it blocks: call it from a worker thread"
        with self._ready:
            self._ready.wait_for(lambda: self._messages or self.closed, timeout)
            return self._messages.popleft() if self._messages and not self.closed else None

    def close(self) -> None:
        with self._ready:
            self.closed = True
            self._ready.notify_all()
        self._box.forget(self)

    def put(self, kind: MessageKind, data: dict[str, Any]) -> None:
        """Queue a message; frames that were not taken give way."""
        camera = data["event"]["camera"] if kind == "event" else data["name"] if kind == "camera" else data["camera"]
        if kind == "frame" and self._cameras is not None and camera not in self._cameras:
            return
        with self._ready:
            if len(self._messages) >= KEPT_MESSAGES:
                frames = [message for message in self._messages if message[0] == "frame"]
                if frames:
                    self._messages.remove(frames[0])
            self._messages.append((kind, data))
            self._ready.notify_all()


def _checked(model: type[Any], data: dict[str, Any]) -> dict[str, Any]:
    """Return a fresh copy that went through JSON, after the model has accepted it."""
    fresh: dict[str, Any] = json.loads(json.dumps(data, allow_nan=False))
    model.model_validate(fresh)
    return fresh


def draw(camera: str, seq: int, text: str = "") -> bytes:
    """Return a picture as a JPEG: sky, ground, somebody who walks, and the frame's number."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[:] = np.linspace((200, 170, 120), (60, 110, 70), HEIGHT).astype(np.uint8)[:, None, :]
    x = int((0.1 + 0.6 * abs(math.sin(seq / 25))) * WIDTH)
    cv2.rectangle(picture, (x, int(0.4 * HEIGHT)), (x + int(0.12 * WIDTH), int(0.9 * HEIGHT)), (40, 40, 160), -1)
    cv2.putText(picture, f"{camera} {seq} {text}", (12, HEIGHT - 14), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1)
    return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 75])[1].tobytes())
