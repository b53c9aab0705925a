"""The page's API of the real daemon on real video: what is shown, and what may be wished."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.brokers import Mosquitto, Subscriber, free_port
from tests.clips import DEMO
from tests.daemon import Daemon, payloads, soteirad, write_config
from tests.house import StartDaemon
from tests.waiting import wait_until
from tests.web.client import Page


def house(folder: Path, broker: Mosquitto, clip: Path = DEMO, speed: Any = 1.0, **sections: Any) -> tuple[Path, Page]:
    """Return a configuration with a page, and the client of that."""
    port = free_port()
    camera = {"source": str(clip), "speed": speed}
    path = write_config(folder, broker.port, {"porch": camera}, web={"listen": f"127.0.0.1:{port}"}, **sections)
    return path, Page(folder / "state", port)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, Page]]:
    """A daemon for the tests that only look."""
    folder = tmp_path_factory.mktemp("shared")
    broker = Mosquitto(folder / "broker")
    broker.start()
    path, page = house(folder, broker)
    daemon = Daemon(path).start()
    daemon.wait_log("porch: online")
    yield daemon, page
    daemon.clean_up()
    broker.stop()


@pytest.fixture
def started(tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon) -> tuple[Daemon, Page]:
    path, page = house(tmp_path, broker)
    daemon = start_daemon(path)
    daemon.wait_log("porch: online")
    return daemon, page


def test_who_looks_sees_frames_and_their_pictures_and_an_event_as_it_happens(shared: tuple[Daemon, Page]) -> None:
    _, page = shared
    with page.stream("porch") as stream:
        frame = stream.wait("frame", 2)[1]
        assert (frame["camera"], frame["frame_size"]) == ("porch", [640, 360])
        status, jpeg = page.ask("GET", f"/api/cameras/porch/live/{frame['seq']}.jpg")
        assert status == 200 and jpeg[:2] == b"\xff\xd8"
        event = stream.wait("event")[0]
        assert event["event"]["label"] in ("person", "cat")
        last = stream.of("frame")[-1]["seq"]
    threading.Event().wait(2.5)
    assert page.ask("GET", f"/api/cameras/porch/live/{last + 4}.jpg")[0] == 404, "nobody looks, but frames are made"
    kept = page.get("/api/events")["events"]
    assert event["event"]["id"] in [item["event"]["id"] for item in kept]
    wait_until(lambda: page.ask("GET", event["picture"])[0] == 200)


def test_a_threshold_set_on_the_page_is_in_force_at_once_told_over_mqtt_and_stays_after_a_restart(
    started: tuple[Daemon, Page], listener: Subscriber, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    daemon, page = started
    process = daemon.camera_pid(DEMO)
    for setting, value in (("motion_threshold", 0.05), ("scene_ssim", 0.6), ("min_score", 0.55)):
        assert page.ask("PUT", f"/api/cameras/porch/thresholds/{setting}", {"value": value})[0] == 202

    def told(value: float) -> bool:
        states = [json.loads(p) for p in payloads(listener.messages(), "soteira/porch/state") if p]
        return bool(states) and states[-1]["min_score"] == value

    wait_until(lambda: told(0.55))
    assert page.camera()["thresholds"]["scene_ssim"] == {
        "value": 0.6, "file": 0.8, "low": 0.01, "high": 1.0, "overridden": True}  # fmt: skip
    pending = page.get("/api/overrides")
    assert yaml.safe_load(pending["yaml"]) == {"cameras": {"porch": {
        "motion": {"threshold": 0.05}, "scene": {"ssim": 0.6}, "objects": {"min_score": 0.55}}}}  # fmt: skip
    assert "+" in pending["diff"] and "min_score: 0.55" in pending["diff"]
    assert daemon.camera_pid(DEMO) == process, "the camera is watched on by the same process"
    assert "porch: min_score is 0.55 now, set on the page" in daemon.log()
    file = tmp_path / "soteira.yaml"
    assert "0.55" not in file.read_text(encoding="utf-8"), "the daemon never writes its configuration"
    daemon.stop()
    again = start_daemon(file)
    again.wait_log("porch: min_score is 0.55, set over MQTT or on the page; the file says 0.4")
    page.wait_ready()
    assert page.ask("DELETE", "/api/cameras/porch/thresholds/min_score")[0] == 202
    wait_until(lambda: told(0.4))
    assert page.camera()["thresholds"]["min_score"]["overridden"] is False


def test_what_the_gates_let_go_is_shown_with_the_reason(
    tmp_path: Path, broker: Mosquitto, start_daemon: StartDaemon, entry_clip: Path
) -> None:
    path, page = house(tmp_path, broker, entry_clip, "max", objects={"track": ["person"], "min_score": 0.97})
    start_daemon(path).wait_log("the file has ended")
    found = page.get("/api/near-misses?camera=porch")["near_misses"]
    assert {miss["kind"] for miss in found} >= {"score_below"}
    miss = next(miss for miss in found if miss["kind"] == "score_below")
    assert miss["values"]["limit"] == 0.97 and miss["text"].endswith("was not enough: min_score is 0.97")
    assert [miss["time"] for miss in found] == sorted((miss["time"] for miss in found), reverse=True)


def test_health_and_metrics_tell_of_the_camera_the_engine_and_the_broker(shared: tuple[Daemon, Page]) -> None:
    daemon, page = shared
    daemon.wait_until(lambda: page.get("/api/health")["cameras"][0]["diagnostics"].get("detector"), "diagnostics")
    health = page.get("/api/health")
    assert health["mqtt"]["connected"] and health["ready"] == "" and health["storage"]["free_bytes"] > 0
    detector = health["cameras"][0]["diagnostics"]["detector"]
    assert detector["model"] == "nanodet-g-416" and "objects" in detector["golden"]
    status, text = page.ask("GET", "/metrics")
    assert status == 200 and b"soteira_" in text
    assert page.ask("GET", "/metrics", Authorization="Bearer wrong")[0] == 401


def test_zones_that_were_drawn_become_lines_that_the_file_may_have(shared: tuple[Daemon, Page]) -> None:
    _, page = shared
    step = [0.1, 0.5, 0.9, 0.5, 0.9, 1.0, 0.1, 1.0]
    zones = {"step": {"coordinates": step, "objects": ["person"]}}
    status, body = page.ask("POST", "/api/cameras/porch/areas", {"zones": zones, "motion_mask": [], "privacy_mask": []})
    assert status == 200
    assert yaml.safe_load(json.loads(body)["yaml"]) == {"cameras": {"porch": {"zones": zones}}}
    dog = {"step": {"coordinates": step, "objects": ["dog"]}}
    status, body = page.ask("POST", "/api/cameras/porch/areas", {"zones": dog, "motion_mask": [], "privacy_mask": []})
    assert status == 422 and "not tracked" in json.loads(body)["error"]


def test_nobody_sees_anything_without_the_token(shared: tuple[Daemon, Page]) -> None:
    _, page = shared
    closed = ("cameras", "events", "stream", "health", "overrides", "near-misses", "cameras/porch/picture.jpg")
    for path in ("/metrics", *(f"/api/{name}" for name in closed)):
        assert page.ask("GET", path, Authorization="Bearer wrong")[0] == 401, path
    assert page.ask("GET", "/healthz", Authorization="")[0] == 200
    assert page.token_file.stat().st_mode & 0o777 == 0o600
    assert page.ask("GET", "/api/cameras", Host="evil.example")[0] == 421


def test_a_port_that_is_taken_ends_the_start_with_one_line(
    shared: tuple[Daemon, Page], tmp_path: Path, broker: Mosquitto
) -> None:
    _, page = shared
    (tmp_path / "second").mkdir()
    taken = {"listen": f"127.0.0.1:{page.port}"}
    second = write_config(tmp_path / "second", broker.port, {"a": {"source": "x.mp4"}}, web=taken)
    result = soteirad("run", "-c", second)
    assert result.returncode == 75, "the other one may be about to end"
    (line,) = [line for line in result.stderr.splitlines() if "web.listen" in line]
    assert f"127.0.0.1:{page.port} cannot be used: another program listens there" in line
    assert "Traceback" not in result.stderr


def test_a_reload_moves_the_page_and_switches_it_off_and_an_end_with_somebody_looking_is_quick(
    started: tuple[Daemon, Page], tmp_path: Path
) -> None:
    daemon, page = started
    page.wait_ready()
    file = tmp_path / "soteira.yaml"
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    moved = Page(tmp_path / "state", free_port())
    pages = [(page, {"enabled": False}), (moved, {"listen": f"127.0.0.1:{moved.port}"})]
    for times, (there, web) in enumerate(pages, 1):
        file.write_text(yaml.safe_dump({**config, "web": web}), encoding="utf-8")
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("the configuration was reloaded: nothing changes for the cameras", times)
        with pytest.raises(OSError):
            page.ask("GET", "/healthz")
        assert there is page or there.ask("GET", "/healthz")[0] == 200
    with moved.stream("porch") as stream:
        stream.wait("frame")
        daemon.stop()
