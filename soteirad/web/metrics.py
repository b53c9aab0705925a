"""What monitoring reads: figures of the box in Prometheus' text format, gathered when they are asked for.

Imported at the first time that somebody asks: prometheus_client is not small.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from soteirad.web.box import Box

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_COUNTERS = (
    ("frames_received", "received", "Video packets that came from the source."),
    ("frames_decoded", "decoded", "Frames that were decoded."),
    ("frames_corrupt", "corrupt", "Frames that were damaged."),
    ("frames_skipped", "skipped", "Packets that were left out to catch up."),
    ("frames_dropped", "dropped", "Frames that gave way to newer ones."),
    ("frames_late", "late", "Frames that were too old to be analysed."),
    ("frames", "frames", "Frames that reached gate 1, before the fps cap."),
    ("frames_analysed", "analysed", "Frames that gate 1 looked at."),
    ("motion_frames", "motion", "Frames with motion."),
    ("scene_runs", "scene_runs", "How often gate 2 compared the scene."),
    ("scene_frames", "scene", "How often gate 2 was open."),
    ("detector_runs", "detector_runs", "How often the detector looked."),
    ("looks_lost", "looks_lost", "Looks for which there was no detector."),
    ("events", "events", "Events since the camera's process began."),
)
"""Name, key of a camera's diagnostics, help. They begin at 0 with each process of a camera."""
_QUESTIONS = ("answered", "skipped_duplicate", "skipped_budget", "skipped_stale", "failed")


class BoxCollector:
    """Reads the box when it is asked, and no sooner."""

    def __init__(self, box: Box) -> None:
        self._box = box

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        health = self._box.health()
        yield from _of_hub(health)
        yield from _of_llm(health["llm"])
        yield from _of_cameras(health["cameras"])
        yield from _of_states(self._box.cameras())


def exposition(box: Box) -> bytes:
    """Return all metrics of a box as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(BoxCollector(box))
    return generate_latest(registry)


def _of_hub(health: Mapping[str, Any]) -> Iterator[Metric]:
    mqtt, storage = health["mqtt"], health["storage"]
    yield InfoMetricFamily("soteira", "The version that runs.", {"version": health["version"]})
    yield _gauge("ready", "Whether the daemon watches.", not health["ready"])
    yield _gauge("uptime_seconds", "Since the daemon began.", health["uptime_s"])
    yield _gauge("hub_memory_bytes", "Memory of the hub's process.", health["hub"]["memory_mb"] * 1e6)
    yield _gauge("mqtt_connected", "Whether there is a connection to the broker.", mqtt["connected"])
    yield _gauge("outbox_waiting", "Events that wait for the broker.", mqtt["waiting"])
    yield CounterMetricFamily("soteira_outbox_dropped", "Events that were given up, over all starts.", mqtt["dropped"])
    for key, text in (("free", "Free space where events are kept."), ("total", "Space there altogether.")):
        if (size := storage[f"{key}_bytes"]) is not None:
            yield _gauge(f"storage_{key}_bytes", text, size)
    yield _gauge("storage_problem", "Whether something cannot be written.", bool(storage["problem"]))
    viewers = GaugeMetricFamily("soteira_viewers", "Who looks, at the stream of events or at video.", labels=["kind"])
    for kind, count in health["viewers"].items():
        _add(viewers, [kind], count)
    yield viewers


def _of_llm(llm: Mapping[str, Any] | None) -> Iterator[Metric]:
    if llm is None:
        return
    left = GaugeMetricFamily("soteira_llm_left", "What is left of the budget for questions.", labels=["limit"])
    for limit, value in llm.get("left", {}).items():
        _add(left, [limit], value)
    yield left
    asked = CounterMetricFamily("soteira_llm_questions", "Questions by what became of them.", labels=["outcome"])
    for outcome in _QUESTIONS:
        _add(asked, [outcome], llm.get(outcome))
    yield asked
    yield _gauge("llm_failing", "Whether no vision model answers.", llm.get("state") == "failing")
    if (waiting := llm.get("waiting")) is not None:
        yield _gauge("llm_waiting", "Questions that wait for a model.", waiting)


def _of_cameras(cameras: list[dict[str, Any]]) -> Iterator[Metric]:
    yield from _plain(cameras)
    looks = CounterMetricFamily("soteira_looks", "Looks by what led to them.", labels=["camera", "reason"])
    stage = GaugeMetricFamily("soteira_stage_seconds", "Mean time of a stage.", labels=["camera", "stage"])
    latency = GaugeMetricFamily("soteira_latency_seconds", "From capture to what gate 3 says, of recent looks.",
                                labels=["camera", "quantile"])  # fmt: skip
    detector = InfoMetricFamily("soteira_detector", "The engine that looks.", labels=["camera"])
    for camera in cameras:
        name, found = camera["name"], camera["diagnostics"]
        for reason, count in found.get("looks", {}).items():
            _add(looks, [name, reason], count)
        for what, ms in found.get("stage_ms", {}).items():
            _add(stage, [name, what], ms, 1e-3)
        for text, quantile in (("p50", "0.5"), ("p95", "0.95")):
            _add(latency, [name, quantile], found.get("latency_ms", {}).get(text), 1e-3)
        facts = found.get("detector", {})
        if facts:
            detector.add_metric([name], {key: str(facts.get(key, "")) for key in ("model", "backend", "precision")})
    yield from (looks, stage, latency, detector)


def _plain(cameras: list[dict[str, Any]]) -> Iterator[Metric]:
    """Yield what is one figure for each camera."""
    for name, key, text in _COUNTERS:
        counter = CounterMetricFamily(f"soteira_{name}", text, labels=["camera"])
        for camera in cameras:
            _add(counter, [camera["name"]], camera["diagnostics"].get(key))
        yield counter
    starts = CounterMetricFamily("soteira_camera_starts", "How often the camera's process began.", labels=["camera"])
    online = GaugeMetricFamily("soteira_camera_online", "Whether frames come from the camera.", labels=["camera"])
    age = GaugeMetricFamily("soteira_camera_figures_age_seconds", "How old these figures are.", labels=["camera"])
    fps = GaugeMetricFamily("soteira_fps", "Frames that are analysed in a second.", labels=["camera"])
    memory = GaugeMetricFamily("soteira_camera_memory_bytes", "Memory of the camera's process.", labels=["camera"])
    for camera in cameras:
        label, found = [camera["name"]], camera["diagnostics"]
        _add(starts, label, camera["starts"])
        _add(online, label, float(camera["online"]))
        _add(age, label, camera["age_s"])
        _add(fps, label, found.get("fps"))
        _add(memory, label, found.get("memory_mb"), 1e6)
    yield from (starts, online, age, fps, memory)


def _of_states(cameras: list[dict[str, Any]]) -> Iterator[Metric]:
    motion = GaugeMetricFamily("soteira_motion", "Whether there is motion now.", labels=["camera"])
    objects = GaugeMetricFamily("soteira_objects", "Objects that are there now.", labels=["camera", "label"])
    for camera in cameras:
        name, state = camera["name"], camera["state"]
        _add(motion, [name], float(bool(state.get("motion"))))
        for label, there in state.get("objects", {}).items():
            _add(objects, [name, label], there.get("count"))
    yield from (motion, objects)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"soteira_{name}", text, float(value))


def _add(family: CounterMetricFamily | GaugeMetricFamily, labels: list[str], value: object, scale: float = 1.0) -> None:
    """Add a sample, if there is a figure: a camera that has not said anything yet has none."""
    if isinstance(value, (int, float)):
        family.add_metric(labels, value * scale)
