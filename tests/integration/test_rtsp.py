"""A camera over RTSP: it comes, it reports, it dies, it comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from soteirad.capture.source import open_source
from tests.brokers import Mosquitto, Subscriber
from tests.daemon import events, kinds, payloads, write_config
from tests.house import StartDaemon
from tests.rtsp_server import RtspServer


@pytest.fixture
def camera() -> Iterator[RtspServer]:
    server = RtspServer()
    yield server
    server.kill()


def test_the_first_key_frame_that_a_camera_sends_is_not_thrown_away(camera: RtspServer, visit_clip: Path) -> None:
    camera.start(visit_clip)
    source = open_source(camera.url)
    source.open()
    try:
        source.read()  # GStreamer gives the first one no time
        second = source.read().video.time
    finally:
        source.close()
    assert second is not None and second < 2.0, "it begins with the second key frame, or a later one"


def test_a_camera_that_dies_in_mid_visit_is_lost_and_comes_back_with_the_person_present_not_entered(
    tmp_path: Path, camera: RtspServer, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon,
    visit_clip: Path, leaving_clip: Path,
) -> None:  # fmt: skip
    def status() -> list[str]:
        return payloads(listener.messages(), "soteira/porch/status")

    camera.start(visit_clip)
    daemon = start_daemon(write_config(tmp_path, broker.port, {"porch": {"source": camera.url}}))
    listener.wait_for(lambda _: status()[-1:] == ["online"])
    entered = events(listener.wait_for(lambda seen: len(events(seen)) >= 1))[0]
    assert kinds([entered]) == ["entered person"]
    assert entered["latency_ms"]["total"] >= entered["latency_ms"]["detect"] > 0
    assert "media_time" not in entered, "only files have a media time"

    camera.kill()
    found = events(listener.wait_for(lambda seen: len(events(seen)) >= 3 and status()[-1:] == ["offline"]))
    assert kinds(found) == ["entered person", "source_lost", "left person source_lost"]
    assert found[1]["why"]["reason"] and found[2]["track_id"] == entered["track_id"]
    state = json.loads(payloads(listener.messages(), "soteira/porch/state")[-1])
    assert state["objects"]["person"]["present"] is False and state["motion"] is False, "nobody knows that now"
    assert daemon.running

    camera.start(leaving_clip)
    found = events(listener.wait_for(lambda seen: len(events(seen)) >= 6 and status()[-1:] == ["online"]))
    assert kinds(found[3:6]) == ["source_restored", "present person", "left person"]
    daemon.stop()
