"""The demo clip from its first frame to its last, through the daemon and a real broker."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.brokers import Mosquitto, Received, Subscriber, retained_at
from tests.clips import DEMO, truth
from tests.daemon import ROOT, Daemon, events, payloads, write_config

TOLERANCE_S = 1.0


@dataclass(frozen=True)
class Run:
    """What a run left: all messages as they came, and what a subscriber found that came in the middle of it."""

    messages: list[Received]
    found_in_the_middle: dict[str, bytes]
    exit_code: int
    folder: Path
    log: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return events(self.messages)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("whole")
    broker = Mosquitto(folder / "broker")
    broker.start()
    always = Subscriber(broker, client_id="always")
    always.start()
    config = write_config(folder, broker.port, {"porch": {"source": str(DEMO), "speed": 10}})
    daemon = Daemon(config, "--until-end").start()
    try:
        always.wait_for(lambda seen: any(m.topic == "soteira/porch/snapshot" for m in seen))
        # The state follows its event and picture.
        always.wait_for(lambda seen: '"present":true' in (payloads(seen, "soteira/porch/state") or [""])[-1])
        found = retained_at(broker)
        code = daemon.wait_exit()
        always.wait_for(lambda seen: payloads(seen, "soteira/status")[-1:] == ["offline"])
        yield Run(always.messages(), found, code, folder, daemon.log())
    finally:
        daemon.clean_up()
        always.stop()
        broker.stop()


@pytest.fixture(scope="module")
def replays() -> dict[str, dict[str, Any]]:
    """Replays of the clip at two speeds, at the same time."""
    command = [sys.executable, "-m", "soteirad", "replay", str(DEMO), "--track", "person,cat", "--json", "--speed"]
    running = {
        speed: subprocess.Popen([*command, speed], cwd=ROOT, stdout=subprocess.PIPE) for speed in ("max", "10")
    }
    return {speed: json.loads(process.communicate(timeout=120)[0]) for speed, process in running.items()}


def true_events() -> list[tuple[str, str, float]]:
    """Type, label and time of what happens in the clip."""
    visits = truth()["visits"]
    happened = [(kind, v["label"], float(v[kind])) for v in visits for kind in ("entered", "left")]
    return sorted(happened, key=lambda e: e[2])


def test_exactly_the_entries_and_departures_of_the_clip_are_published_each_within_a_second(run: Run) -> None:
    happened = true_events()
    assert [(e["event_type"], e["label"]) for e in run.events] == [(kind, label) for kind, label, _ in happened]
    assert [e["media_time"] for e in run.events] == pytest.approx([t for _, _, t in happened], abs=TOLERANCE_S)


def test_events_on_time_are_published_on_the_event_topic_and_not_retained(run: Run) -> None:
    assert [json.loads(m.payload)["id"] for m in run.messages if m.topic == "soteira/porch/event"] == [
        e["id"] for e in run.events
    ]
    assert not [topic for topic in run.found_in_the_middle if "/event" in topic]


def test_every_entry_says_where_when_and_why(run: Run) -> None:
    for event in run.events:
        x1, y1, x2, y2 = event["box"]
        assert 0 <= x1 < x2 <= 640 and 0 <= y1 < y2 <= 360 and event["frame_size"] == [640, 360]
        assert 0.1 <= event["confidence"] <= 1  # the weakest detection that keeps a track has 0.1
        assert event["camera"] == "porch" and event["time"].endswith("Z")
        assert event["why"].get("trigger") or event["why"].get("reason")
        if event["event_type"] == "entered":
            assert event["latency_ms"]["total"] >= event["latency_ms"]["detect"] > 0


def test_a_departure_names_the_visit_of_its_entry_and_how_long_it_lasted(run: Run) -> None:
    for entered, left in itertools.pairwise(run.events):
        if left["event_type"] == "left":
            assert left["track_id"] == entered["track_id"]
            assert left["dwell"] == pytest.approx(left["media_time"] - entered["media_time"], abs=TOLERANCE_S)


def test_the_daemon_says_online_once_and_offline_when_it_ends(run: Run) -> None:
    assert payloads(run.messages, "soteira/status") == ["online", "offline"]
    assert run.exit_code == 0


def test_a_subscriber_that_comes_in_the_middle_finds_status_state_and_snapshot(run: Run) -> None:
    found = run.found_in_the_middle
    assert sorted(found) == [
        "homeassistant/device/soteira_hub/config", "homeassistant/device/soteira_porch/config", "soteira/info",
        "soteira/porch/snapshot", "soteira/porch/state", "soteira/porch/status", "soteira/status",
    ]  # fmt: skip
    assert (found["soteira/status"], found["soteira/porch/status"]) == (b"online", b"online")
    assert json.loads(found["soteira/porch/state"])["objects"]["person"] == {"present": True, "count": 1}


def test_the_camera_is_offline_before_it_is_watched_and_after_the_end_of_its_file(run: Run) -> None:
    seen = [payload for payload, _ in itertools.groupby(payloads(run.messages, "soteira/porch/status"))]
    assert seen in (["offline", "online", "offline"], ["online", "offline"])  # the broker may be later than the clip


@pytest.mark.parametrize("label", ["person", "cat"])
def test_the_state_of_a_label_goes_to_present_and_back_with_each_visit(run: Run, label: str) -> None:
    states = [json.loads(text)["objects"][label] for text in payloads(run.messages, "soteira/porch/state")]
    visits = sum(v["label"] == label for v in truth()["visits"])
    assert [s for s, _ in itertools.groupby(states)] == [
        *[{"present": False, "count": 0}, {"present": True, "count": 1}] * visits,
        {"present": False, "count": 0},
    ]


def test_the_last_state_says_that_nothing_moves(run: Run) -> None:
    assert json.loads(payloads(run.messages, "soteira/porch/state")[-1])["motion"] is False


def test_snapshots_are_jpegs_of_the_whole_frame_and_at_most_200_kb(run: Run) -> None:
    pictures = [m.payload for m in run.messages if m.topic == "soteira/porch/snapshot"]
    assert len(pictures) == len(truth()["visits"])
    for picture in pictures:
        assert len(picture) <= 200_000 and picture[:2] == b"\xff\xd8"
        decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None and decoded.shape == (360, 640, 3)


def test_the_snapshot_that_an_entry_names_is_the_published_one_and_lies_in_the_state_folder(run: Run) -> None:
    pictures = [m.payload for m in run.messages if m.topic == "soteira/porch/snapshot"]
    named = [e["snapshot"] for e in run.events if "snapshot" in e]
    assert [(run.folder / "state" / "snapshots" / name).read_bytes() for name in named] == pictures


def test_diagnostics_come_at_the_end_and_the_detector_ran_on_at_most_15_percent_of_the_frames(run: Run) -> None:
    figures = json.loads(payloads(run.messages, "soteira/porch/diagnostics")[-1])
    assert figures["frames"] == figures["received"] == truth()["frames"]
    assert figures["corrupt"] == 0 and figures["events"] == len(run.events) and figures["memory_mb"] > 0
    assert 0 < figures["detector_runs"] <= 0.15 * figures["analysed"]


def test_the_log_has_one_line_for_each_transition_and_none_for_frames(run: Run) -> None:
    # Start, broker, online, six events, the end of the file, the end of the connection, stopped.
    assert len(run.log.splitlines()) <= 7 + len(run.events), run.log


def test_a_replay_gives_the_same_events_with_the_same_ids_at_any_speed(replays: dict[str, dict[str, Any]]) -> None:
    fast, paced = ([{**e, "latency_ms": None} for e in replays[speed]["events"]] for speed in ("max", "10"))
    assert len(fast) == len(true_events())
    assert fast == paced


def test_a_replay_gives_the_events_of_the_daemon(run: Run, replays: dict[str, dict[str, Any]]) -> None:
    def essence(found: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        return [(e["event_type"], e["label"], e["media_time"], e["box"]) for e in found]

    assert essence(run.events) == essence(replays["max"]["events"])
