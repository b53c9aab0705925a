"""A camera over RTSP: its first frame. What can go wrong with one is in tests/faults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from soteirad.capture.source import open_source
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
