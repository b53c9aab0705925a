"""The detail picture: fetched when an object was confirmed, and never in the way."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from tests import clips
from tests.brokers import Mosquitto, Received, Subscriber
from tests.daemon import epoch, events, kinds, payloads, write_config
from tests.house import StartDaemon
from tests.http_camera import HttpCamera
from tests.rtsp_server import RtspServer


def large(picture: clips.Picture, _time: float) -> clips.Picture:
    """A blue one, so that it is known again."""
    return np.full((720, 1280, 3), (200, 40, 40), np.uint8)


def size_of(jpeg: bytes) -> tuple[int, int]:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture.shape[1], picture.shape[0]


def sizes_of(seen: list[Received]) -> list[tuple[int, int]]:
    """Return the sizes of the pictures that were published of events."""
    return [size_of(m.payload) for m in seen if m.topic == "soteira/porch/snapshot"]


def test_a_confirmed_object_gets_the_detail_picture_in_place_of_the_small_one_with_its_own_time(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, visit_clip: Path
) -> None:
    picture = cv2.imencode(".jpg", large(np.zeros((1, 1, 3), np.uint8), 0.0))[1].tobytes()
    camera = RtspServer()
    camera.start(visit_clip)
    try:
        with HttpCamera([picture], user="viewer", password="p@ss/1") as pictures:  # noqa: S106
            porch = {"source": camera.url, "detail": pictures.snapshot_url}
            daemon = start_daemon(write_config(tmp_path, broker.port, {"porch": porch}))
            listener.wait_for(lambda seen: "online" in payloads(seen, "soteira/porch/status"))
            assert not pictures.requests, "nobody was confirmed yet"
            seen = listener.wait_for(lambda seen: (1280, 720) in sizes_of(seen))
            event = events(seen)[0]
            assert kinds([event]) == ["entered person"]
            # A hub that finds both at once publishes the later one only.
            assert sizes_of(seen) in ([(640, 360), (1280, 720)], [(1280, 720)])
            assert size_of((tmp_path / "state" / "snapshots" / event["snapshot"]).read_bytes()) == (1280, 720)
            listener.wait_for(lambda seen: '"detail":true' in payloads(seen, "soteira/porch/state")[-1])
            told = json.loads(payloads(listener.messages(), "soteira/porch/state")[-1])["snapshot"]
            assert told["event"] == event["id"] and epoch(told["time"]) > epoch(event["time"])
            assert pictures.served["/snapshot.jpg"] == 1
            daemon.stop()
    finally:
        camera.kill()


def test_when_the_detail_stream_fails_the_small_picture_serves_and_the_log_says_so_once(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, visit_clip: Path
) -> None:
    camera = RtspServer()
    camera.start(visit_clip)
    try:
        with HttpCamera([b"no picture"]) as pictures:
            pictures.refuse(404)
            porch = {"source": camera.url, "detail": pictures.snapshot_url}
            daemon = start_daemon(write_config(tmp_path, broker.port, {"porch": porch}))
            seen = listener.wait_for(lambda seen: "left person" in kinds(events(seen)), timeout=40.0)
            assert sizes_of(seen) == [(640, 360)]
            assert daemon.log().count("no detail picture, the small one serves: ") == 1
            daemon.stop()
    finally:
        camera.kill()
