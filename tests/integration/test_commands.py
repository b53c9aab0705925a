"""Commands over MQTT and what lies retained at the broker, with the real daemon on video."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from tests.brokers import Mosquitto, Received, Subscriber, retained_at
from tests.clips import DEMO
from tests.daemon import Daemon, events, kinds, payloads, soteirad, write_config
from tests.house import StartDaemon

ALL = ["enabled", "detect", "motion_threshold", "min_score", "snapshot", "restart"]


def states(messages: list[Received], camera: str = "porch") -> list[dict[str, Any]]:
    return [json.loads(p) for p in payloads(messages, f"soteira/{camera}/state") if p]


def wait_state(listener: Subscriber, camera: str = "porch", **expected: Any) -> dict[str, Any]:
    """Wait until the last state of a camera says this."""
    def holds(seen: list[Received]) -> bool:
        return expected.items() <= (states(seen, camera) or [{}])[-1].items()

    return states(listener.wait_for(holds), camera)[-1]


def house(tmp_path: Path, broker: Mosquitto, cameras: dict[str, Any], **sections: Any) -> Path:
    mqtt = {"host": "127.0.0.1", "port": broker.port, "commands": ALL, **sections.pop("mqtt", {})}
    return write_config(tmp_path, broker.port, cameras, mqtt=mqtt, **sections)


def reload(daemon: Daemon) -> None:
    before = daemon.log().count("the configuration was reloaded")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("the configuration was reloaded", before + 1)


def test_settings_are_changed_while_the_camera_is_watched_and_stay_so_after_a_restart(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon
) -> None:
    listener.publish("soteira/porch/set/detect", "OFF", retain=True)
    path = house(tmp_path, broker, {"porch": {"source": str(DEMO)}})
    daemon = start_daemon(path)
    daemon.wait_log("online")
    daemon.wait_log("soteira/porch/set/detect: a command that lies retained at the broker is ignored")
    assert wait_state(listener, detect=True, min_score=0.4)["overrides"] == []
    process = daemon.camera_pid(DEMO)
    listener.publish("soteira/porch/set/min_score", "0.55")
    listener.publish("soteira/porch/set/detect", "OFF")
    wait_state(listener, detect=False, min_score=0.55, overrides=["detect", "min_score"])
    seen = len(states(listener.messages()))
    for topic, payload in (("porch/set/motion_threshold", b"\xff\xfe"), ("porch/set/motion_threshold", "7"),
                           ("porch/set/min_score", b"x" * 10_000_000),
                           ("porch/set/fps", "3")):  # fmt: skip
        listener.publish(f"soteira/{topic}", payload)
    daemon.wait_log("refused", 4)
    told = states(listener.wait_for(lambda found: len(states(found)) >= seen + 4))
    assert all(state == told[seen] for state in told[seen:]), "who was refused is told what is true"
    assert daemon.camera_pid(DEMO) == process, "the camera process was not disturbed"
    assert soteirad("config", "diff", "-c", path).stdout == (
        "cameras:\n  porch:\n    detect: false\n    objects:\n      min_score: 0.55\n"
    )
    listener.publish("soteira/set/restart", "PRESS")
    daemon.wait_log("watching porch", 2)
    daemon.wait_log("porch: min_score is 0.55, set over MQTT or on the page; the file says 0.4")
    wait_state(listener, detect=False, min_score=0.55, overrides=["detect", "min_score"])
    for key in ("detect", "min_score"):
        listener.publish(f"soteira/porch/set/{key}", "default")
    wait_state(listener, detect=True, min_score=0.4, overrides=[])
    daemon.stop()
    assert events(listener.messages()) == [], "nothing was detected while detection was off"


def test_a_restart_leaves_no_dead_children_and_a_signal_in_its_midst_is_an_orderly_end(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(house(tmp_path, broker, {"porch": {"source": str(DEMO)}}))
    for count in (1, 2):
        daemon.wait_log("connected to the MQTT broker", count)
        daemon.wait_log("porch: online", count)
        listener.publish("soteira/set/restart", "PRESS")
        daemon.wait_log("told over MQTT to restart", count)
    daemon.wait_log("porch: online", 3)
    assert dead_children(daemon.process.pid) == []
    listener.publish("soteira/set/restart", "PRESS")
    daemon.wait_log("told over MQTT to restart", 3)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait_exit() == 0
    assert daemon.log().rstrip().endswith("stopped")
    assert retained_at(broker)["soteira/status"] == b"offline"


def dead_children(parent: int) -> list[str]:
    """Return the children of a process that ended and that it has not noticed yet."""
    command = ["ps", "-A", "-o", "ppid=,stat=,pid="]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = (row.split() for row in told.splitlines())
    return [pid for ppid, stat, pid in rows if int(ppid) == parent and stat.startswith("Z")]


def test_a_camera_is_switched_off_and_on_and_gives_a_picture_when_it_is_asked_for_one(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, standing_clip: Path
) -> None:
    daemon = start_daemon(house(tmp_path, broker, {"porch": {"source": str(standing_clip)}}))
    listener.wait_for(lambda seen: "present person" in kinds(events(seen)))
    listener.publish("soteira/porch/set/snapshot", "PRESS")
    seen = listener.wait_for(lambda found: any(m.topic == "soteira/porch/preview" for m in found))
    jpeg = next(m.payload for m in seen if m.topic == "soteira/porch/preview")
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None and picture.shape == (360, 640, 3)
    listener.publish("soteira/porch/set/enabled", "OFF")
    nobody = {"person": {"present": False, "count": 0}, "cat": {"present": False, "count": 0}}
    wait_state(listener, enabled=False, motion=False, objects=nobody, overrides=["enabled"])
    listener.wait_for(lambda found: kinds(events(found)) == ["present person", "left person switched_off"])
    listener.wait_for(lambda found: payloads(found, "soteira/porch/status")[-1] == "offline")
    listener.publish("soteira/porch/set/snapshot", "PRESS")
    daemon.wait_log("porch: no picture: nobody watches this camera at the moment")
    listener.publish("soteira/porch/set/enabled", "ON")
    wait_state(listener, enabled=True, overrides=[])
    listener.wait_for(lambda found: payloads(found, "soteira/porch/status")[-1] == "online")
    daemon.stop()


def test_nothing_is_left_of_what_is_not_wanted_any_more(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, visit_clip: Path
) -> None:
    clip = {"source": str(visit_clip)}
    cameras = {"porch": {**clip, "objects": {"track": ["person", "cat"]}}, "yard": dict(clip), "gate": dict(clip)}
    path = house(tmp_path, broker, cameras)
    daemon = start_daemon(path)
    announced = "homeassistant/device/soteira_{}/config"
    listener.wait_for(lambda seen: any(m.topic == announced.format("gate") for m in seen))
    listener.wait_for(lambda seen: any(m.topic == "soteira/porch/snapshot" for m in seen))

    del cameras["gate"]  # while it runs
    cameras["porch"]["objects"] = {"track": ["person"]}
    house(tmp_path, broker, cameras)
    reload(daemon)
    daemon.wait_until(lambda: not any("gate" in t for t in retained_at(broker)), "the gate is gone")

    def entities() -> set[str]:
        return set(json.loads(retained_at(broker)[announced.format("porch")])["components"])

    daemon.wait_until(lambda: {"person", "cat"} & entities() == {"person"}, "the cat is gone")
    removal = [json.loads(m.payload)["components"].get("cat") for m in listener.messages()
               if m.topic == announced.format("porch")]  # fmt: skip
    assert removal[-2:] == [{"platform": "binary_sensor"}, None]
    daemon.stop()

    del cameras["yard"]  # while it does not run, and another prefix
    house(tmp_path, broker, cameras, mqtt={"topic_prefix": "house"})
    daemon = start_daemon(path)
    daemon.wait_until(lambda: not any("soteira" in t for t in retained_at(broker)), "the old prefix is gone")
    assert "house/porch/state" in retained_at(broker)
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    refused = soteirad("forget", "-c", path)
    assert refused.returncode == 1 and "stop it first" in refused.stderr
    daemon.stop()

    listener.publish("other/state", "stays", retain=True)
    forgotten = soteirad("forget", "-c", path, "--json")
    assert document["mqtt"]["topic_prefix"] == "house" and forgotten.returncode == 0, forgotten.stderr
    assert "homeassistant/device/house_porch/config" in json.loads(forgotten.stdout)["topics"]
    assert retained_at(broker) == {"other/state": b"stays"}


def test_a_camera_is_switched_on_by_the_file_in_force_whatever_was_changed_in_it_since(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon
) -> None:
    clip = {"source": str(DEMO), "speed": 1}
    other = {**clip, "enabled": False, "detector": {"backend": "onnx", "precision": "fp32"}}
    daemon = start_daemon(house(tmp_path, broker, {"porch": clip, "yard": other}))
    wait_state(listener, "yard", enabled=False)
    daemon.wait_log("porch: online")
    process = daemon.camera_pid(DEMO)
    house(tmp_path, broker, {"yard": {**other, "fps": "not yet finished"}})
    listener.publish("soteira/yard/set/enabled", "ON")
    daemon.wait_log("yard: online")
    assert wait_state(listener, "yard", enabled=True)["overrides"] == ["enabled"]
    assert process in daemon.group() and "cannot be" not in daemon.log()


def test_a_camera_that_cannot_be_switched_on_is_off_again_and_keeps_nothing_else_from_working(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, misfit_card: Path
) -> None:
    clip = {"source": str(DEMO), "speed": 1}
    config = write_config(
        tmp_path, broker.port,
        {"porch": clip, "yard": {**clip, "enabled": False, "detector": {"model": str(misfit_card)}}},
        mqtt={"host": "127.0.0.1", "port": broker.port, "commands": ["enabled", "min_score", "detect"]},
    )  # fmt: skip
    daemon = start_daemon(config)
    wait_state(listener, "yard", enabled=False, overrides=[])
    listener.wait_for(lambda seen: payloads(seen, "soteira/porch/status")[-1:] == ["online"])
    listener.publish("soteira/yard/set/enabled", "ON")
    listener.publish("soteira/porch/set/min_score", "0.75")
    wait_state(listener, min_score=0.75, overrides=["min_score"])
    daemon.wait_log("yard: it cannot be switched on")
    wait_state(listener, "yard", enabled=False, overrides=[])
    listener.publish("soteira/porch/set/detect", "OFF")
    wait_state(listener, detect=False, overrides=["detect", "min_score"])
    daemon.stop()
    again = start_daemon(config)
    again.wait_log("porch: min_score is 0.75, set over MQTT")
    listener.wait_for(lambda seen: payloads(seen, "soteira/porch/status")[-1:] == ["online"])
    wait_state(listener, detect=False, min_score=0.75)
    again.stop()
