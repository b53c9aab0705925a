"""Clips of visits: the real daemon, a real camera over RTSP, real files; what is in them is decoded and looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.brokers import Mosquitto, Received, Subscriber
from tests.daemon import epoch, events, write_config
from tests.house import StartDaemon
from tests.played import boxes, likeness, pictures, probe
from tests.rtsp_server import RtspServer


@pytest.fixture
def camera() -> Iterator[RtspServer]:
    server = RtspServer()
    yield server
    server.kill()


def told(messages: list[Received], name: str = "porch") -> list[dict[str, Any]]:
    """Return what was published of complete clips."""
    topics = (f"soteira/{name}/clip", f"soteira/{name}/clip/late")
    return [json.loads(m.payload) for m in messages if m.topic in topics]


def test_a_visit_becomes_a_clip_that_begins_before_the_entry_and_shows_it(
    tmp_path: Path, camera: RtspServer, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon,
    visit_clip: Path,
) -> None:  # fmt: skip
    camera.start(visit_clip)
    config = write_config(tmp_path, broker.port, {"porch": {"source": camera.url}}, clips={"enabled": True})
    start_daemon(config)
    messages = listener.wait_for(lambda seen: any(c["about"] for c in told(seen)), 90.0)
    clip = told(messages)[0]
    entered = next(e for e in events(messages) if e["id"] == clip["about"])
    assert entered["clip"] == clip["clip"] == f"porch/{entered['time'][:10]}/{entered['id']}.mp4"
    path = tmp_path / "state" / "clips" / clip["clip"]
    assert boxes(path)[:2] == ["ftyp", "moov"] and "moof" not in boxes(path), "it does not play while it is loaded"
    assert int(probe(path)["streams"][0]["nb_read_frames"]) == len(pictures(path))
    before = epoch(entered["time"]) - epoch(clip["why"]["begins"])
    assert before >= 4.0
    snapshot = cv2.imread(str(tmp_path / "state" / "snapshots" / entered["snapshot"]))
    assert snapshot is not None
    found = pictures(path)
    apart = {round(at - found[0][0], 2): likeness(np.asarray(snapshot, np.uint8), one) for at, one in found}
    best = min(apart, key=lambda at: apart[at])
    assert apart[best] < 5.0 and abs(best - before) <= 0.15, "the picture of the entry is not where it should be"
