"""What goes wrong while a clip is written: no clip is lost, and each is told of once."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from soteirad.event import Event, clip_id, iso_time
from soteirad.spool import Spool
from tests import clips
from tests.brokers import Mosquitto, Received, Subscriber
from tests.daemon import Daemon, clips_told, events, kinds, payloads, write_config
from tests.disks import small_disk
from tests.house import MakeCamera, StartDaemon
from tests.played import pictures, probe
from tests.rtsp_server import G711, pipeline_of

Measured = Callable[[str], None]
MB = 1 << 20
KEPT = {"enabled": True, "max": 30}


def parts(state: Path, camera: str = "porch") -> list[Path]:
    return [*(state / "clips" / camera).rglob(".*.part")]


def entered(listener: Subscriber, camera: str = "porch", times: int = 1) -> dict[str, Any]:
    """Return the last of so many entries, once they have happened."""

    def found(seen: list[Received]) -> dict[str, dict[str, Any]]:
        return {e["id"]: e for e in events(seen, camera) if e["event_type"] == "entered"}

    return [*found(listener.wait_for(lambda seen: len(found(seen)) == times, 60.0)).values()][-1]


def in_mid_clip(daemon: Daemon, state: Path, camera: str = "porch") -> Path:
    """Return the file of the clip that is written, once there is something in it."""
    daemon.wait_until(lambda: any(part.stat().st_size > 200_000 for part in parts(state, camera)), "a clip grows")
    return parts(state, camera)[0]


def assert_told_once(listener: Subscriber, state: Path, about: dict[str, Any], camera: str = "porch") -> dict[str, Any]:
    """See that a clip was told once, as that of the event that named it, and that all of it plays.

    Who is killed before the broker's answer was noted publishes the same again.
    """
    told = {str(clip): clip for clip in clips_told(listener.messages(), camera) if clip["about"] == about["id"]}
    assert len(told) == 1
    clip = next(iter(told.values()))
    assert clip["clip"] == about["clip"] and all(clip[key] == about[key] for key in ("time", "label", "track_id"))
    path = state / "clips" / clip["clip"]
    assert int(probe(path)["streams"][0]["nb_read_frames"]) == len(pictures(path)) >= 40
    assert path.stat().st_size == clip["why"]["bytes"]
    return clip


def wait_told(listener: Subscriber, camera: str = "porch", times: int = 1) -> None:
    listener.wait_for(lambda seen: len({clip["id"] for clip in clips_told(seen, camera)}) == times, 60.0)


@pytest.mark.fault(
    "the camera's stream breaks off while a clip is written",
    "the clip goes on with the next connection, all of it plays, and it is told of once",
)
def test_a_clip_whose_source_was_away_for_a_moment_goes_on_when_it_is_back(
    tmp_path: Path, make_camera: MakeCamera, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon,
    entry_clip: Path, measured: Measured,
) -> None:  # fmt: skip
    camera, state = make_camera(), tmp_path / "state"
    camera.start(entry_clip)
    start_daemon(write_config(tmp_path, broker.port, {"porch": {"source": camera.url}}, clips={"enabled": True}))
    about = entered(listener)
    camera.start(entry_clip)
    wait_told(listener)
    clip = assert_told_once(listener, state, about)
    found = [at for at, _ in pictures(state / "clips" / clip["clip"])]
    gap = max(later - sooner for sooner, later in pairwise(found))
    assert gap > 0.5 and found[-1] - found[0] >= 8.0, "the second connection is in it"
    left = next(e for e in events(listener.messages()) if e["event_type"] == "left")
    assert (left["why"]["reason"], left["clip"]) == ("source_lost", about["clip"])
    measured(f"{clip['why']['seconds']:.0f} s, with a gap of {gap:.1f} s")


@pytest.mark.fault(
    "a camera's process, or the hub, or both are killed while a clip is written",
    "what was written plays at once; the next start finishes the clip and tells of it once",
)
def test_a_clip_outlives_its_camera_s_process_and_the_hub_and_is_told_of_once(
    tmp_path: Path, make_camera: MakeCamera, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon,
    entry_clip: Path, measured: Measured,
) -> None:  # fmt: skip
    camera, state = make_camera(), tmp_path / "state"
    camera.start(entry_clip)
    config = write_config(tmp_path, broker.port, {"porch": {"source": camera.url}}, clips=KEPT)
    daemon, abouts = start_daemon(config), []

    def play_what_is_there(part: Path) -> None:
        there = Path(shutil.copy(part, tmp_path / "there.mp4"))
        times = [at for at, _ in pictures(there)]
        assert times[-1] - times[0] >= 4.0 and probe(there)["streams"]
        measured(f"{times[-1] - times[0]:.1f} s played at once")

    abouts.append(entered(listener))
    part = in_mid_clip(daemon, state)
    os.kill(daemon.camera_pid(part), signal.SIGKILL)
    play_what_is_there(part)
    wait_told(listener)

    abouts.append(entered(listener, times=2))
    part = in_mid_clip(daemon, state)
    daemon.signal_group(signal.SIGKILL)
    daemon.wait_exit()
    play_what_is_there(part)
    daemon = start_daemon(config)
    wait_told(listener, times=2)

    abouts.append(entered(listener, times=3))
    in_mid_clip(daemon, state)
    daemon.kill()  # its camera ends by itself, and finishes the clip
    assert (state / "clips" / abouts[-1]["clip"]).exists() and Spool(state / "spool").read()
    daemon = start_daemon(config)
    wait_told(listener, times=3)
    daemon.wait_until(lambda: not parts(state), "nothing half-written is left")
    daemon.stop()
    for about in abouts:
        assert_told_once(listener, state, about)


@pytest.mark.fault(
    "the daemon is stopped, a camera restarted by a reload or taken out of the configuration, while clips are written",
    "the clips are finished with what there is, within the 5 s, and each is told of once",
)
def test_clips_that_are_under_way_are_finished_when_their_camera_ends_as_told(
    tmp_path: Path, make_camera: MakeCamera, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon,
    visit_clip: Path,
) -> None:  # fmt: skip
    state, names = tmp_path / "state", ("changed", "removed", "stopped")
    servers = {name: make_camera() for name in names}
    for server in servers.values():
        server.start(visit_clip)
    cameras: dict[str, dict[str, Any]] = {name: {"source": server.url} for name, server in servers.items()}
    daemon = start_daemon(write_config(tmp_path, broker.port, cameras, clips=KEPT))
    abouts = {name: entered(listener, name) for name in names}
    for name in names:
        in_mid_clip(daemon, state, name)
    cameras["changed"]["read_timeout"] = 7
    del cameras["removed"]
    config = write_config(tmp_path, broker.port, cameras, clips=KEPT)
    daemon.signal(signal.SIGHUP)
    wait_told(listener, "changed")
    wait_told(listener, "removed")
    daemon.stop()
    assert not [*state.joinpath("clips").rglob(".*")], "all is finished"
    assert start_daemon(config, "--until-end").running
    wait_told(listener, "stopped")
    for name in names:
        clip = assert_told_once(listener, state, abouts[name], name)
        assert clip["why"]["seconds"] >= 5.0


@pytest.mark.fault(
    "the disk has no room for clips, or fills up while one is written",
    "one line; events go on; what was written plays, and is told of when there is room",
)
def test_on_a_full_disk_there_is_no_clip_in_one_line_and_one_that_was_cut_off_is_told_of_when_there_is_room(
    tmp_path: Path, make_camera: MakeCamera, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon,
    entry_clip: Path, measured: Measured,
) -> None:  # fmt: skip
    camera = make_camera()
    with small_disk(tmp_path / "disk", 60) as disk:
        state = disk.folder / "state"
        disk.fill(leave=4 * MB)
        camera.start(entry_clip)
        daemon = start_daemon(write_config(tmp_path, broker.port, {"porch": {"source": camera.url}},
                                           clips={"enabled": True, "before": 4, "after": 1, "max": 60},
                                           storage={"path": str(state)}))  # fmt: skip
        refused = entered(listener)
        daemon.wait_log("no clips are written")
        assert not [*state.joinpath("clips").rglob("*.*4*")] and refused["clip"]

        disk.relieve()
        camera.start(entry_clip)
        about = entered(listener, times=2)
        part = in_mid_clip(daemon, state)
        disk.fill(leave=4 * MB)
        size = part.stat().st_size
        listener.wait_for(lambda seen: kinds(events(seen)).count("left person source_lost") == 2)
        times = [at for at, _ in pictures(part)]
        assert times[-1] - times[0] >= 4.0 and part.stat().st_size - size < 2 * MB
        assert clips_told(listener.messages()) == []
        disk.relieve()
        wait_told(listener)
        clip = assert_told_once(listener, state, about)
        daemon.wait_until(lambda: not parts(state), "nothing half-written is left")
        daemon.stop()
        assert daemon.log().count("no clips are written") == 1
        measured(f"{clip['why']['seconds']:.0f} s of it")


@pytest.mark.fault(
    "the broker is away while a clip is completed", "it is told of when the broker is back, late ones apart"
)
def test_a_clip_that_is_complete_while_the_broker_is_away_is_told_of_later(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, visit_clip: Path
) -> None:
    name = "01KXYZ0000ABCDEFGHJKMNPQRS"
    old = Event(clip_id(name), "recorded", "porch", iso_time(1.7e9), about=name, clip=f"porch/2023-11-14/{name}.mp4",
                label="person", track_id=1, confirmed=iso_time(1.7e9 + 30))  # fmt: skip
    spool = Spool(tmp_path / "state" / "spool")
    spool.create()
    spool.write(old)
    broker.stop()
    config = write_config(tmp_path, broker.port, {"porch": {"source": str(visit_clip), "speed": 8}},
                          clips={"enabled": True})  # fmt: skip
    daemon = start_daemon(config)
    daemon.wait_log("recorded person")
    broker.start()
    wait_told(listener, times=2)
    about = next(e for e in events(listener.messages()) if e["event_type"] == "entered")
    assert_told_once(listener, tmp_path / "state", about)
    assert [yaml.safe_load(text)["id"] for text in payloads(listener.messages(), "soteira/porch/clip/late")] == [old.id]
    daemon.stop()


@pytest.mark.fault(
    "the camera's sound goes on and its picture stops", "it is lost within the read timeout, as without sound"
)
def test_a_camera_of_which_only_the_sound_goes_on_is_lost(
    tmp_path: Path, make_camera: MakeCamera, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon
) -> None:
    camera = make_camera()
    short = clips.cut(tmp_path / "short.mp4", ((1.0, 4.0),))
    camera.start_pipeline(pipeline_of(short, G711))
    porch = {"source": camera.url, "read_timeout": 2.0}
    daemon = start_daemon(write_config(tmp_path, broker.port, {"porch": porch}, clips={"enabled": True}))
    listener.wait_for(lambda seen: payloads(seen, "soteira/porch/status")[-1:] == ["online"])
    listener.wait_for(lambda seen: "source_lost" in kinds(events(seen)))
    assert "nothing comes from it any more" in daemon.log()
    daemon.stop()
