"""A look at a source in a process of its own."""

from __future__ import annotations

import os
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from soteirad.config import CameraConfig
from soteirad.config.schema import camera_from
from soteirad.sight import look, look_apart, unreachable
from tests.brokers import free_port
from tests.clips import DEMO

SOURCE = "rtsp://10.0.0.7/live"


def test_a_clip_is_measured_by_its_own_time_and_a_missing_one_is_a_problem(tmp_path: Path) -> None:
    sight = look(camera_from({"source": str(DEMO)}), 5.0)
    assert (sight.width, sight.height, sight.codec, sight.problem) == (640, 360, "h264", "")
    assert sight.fps == pytest.approx(10.0, rel=0.01)
    missing = look(camera_from({"source": str(tmp_path / "none.mp4")}), 5.0)
    assert "there is no such file" in missing.problem


def crash(connection: Connection, camera: CameraConfig, seconds: float) -> None:
    os._exit(11)


def hang(connection: Connection, camera: CameraConfig, seconds: float) -> None:
    connection.poll(60)


def test_a_reader_that_crashes_costs_its_camera_only() -> None:
    sight = look_apart(camera_from({"source": SOURCE}), 1.0, target=crash)
    assert "crashed" in sight.problem and "11" in sight.problem


def test_a_reader_that_hangs_ends_with_the_check() -> None:
    assert "hangs" in look_apart(camera_from({"source": SOURCE}), 1.0, lambda: True, target=hang).problem


def test_an_address_where_nothing_is_is_told_from_one_that_answers() -> None:
    port = free_port()
    assert f"127.0.0.1 port {port} is refused" in unreachable(f"rtsp://u:p@127.0.0.1:{port}/x", 3.0)
    assert "camera.invalid is not known" in unreachable("rtsp://camera.invalid/x", 3.0)
    assert unreachable("/dev/video0", 3.0) == unreachable("/clip.mp4", 3.0) == ""
