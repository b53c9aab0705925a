"""`record`: real cameras over RTSP and HTTP, and files whose every frame can be decoded."""

from __future__ import annotations

import itertools
import json
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest

from soteirad.capture.source import SourceSettings
from soteirad.errors import SoteiraError, SourceError
from soteirad.tools.check import replay_camera
from soteirad.tools.record import Order, Recorded, order, record
from soteirad.tools.replay import replay
from tests import clips
from tests.daemon import ROOT
from tests.http_camera import HttpCamera
from tests.rtsp_server import AUDIO_ONLY, RtspServer
from tests.scripted_rtsp import ScriptedRtsp, Unit, jump, units

SETTINGS = SourceSettings(connect_timeout=2.0, read_timeout=2.0)


@pytest.fixture
def camera() -> Iterator[RtspServer]:
    server = RtspServer()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def pictures(visit_clip: Path) -> list[Unit]:
    return units(visit_clip)


def take(url: str, path: Path, seconds: float, **keys: Any) -> Recorded:
    return record(Order(url, SETTINGS, path, seconds, **keys), threading.Event())


def frames(path: Path) -> tuple[str, list[float], bool]:
    """Decode every frame: the container's kind, the times, and whether the first is a key frame."""
    with av.open(str(path)) as container:
        found = list(container.decode(video=0))
    assert not any(frame.is_corrupt for frame in found)
    return container.format.name, [round(float(frame.time or 0), 2) for frame in found], bool(found[0].key_frame)


def probed(path: Path) -> dict[str, Any]:
    """Ask somebody else's program about the file, which decodes it, too; it may not complain."""
    command = ["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-of", "json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return dict(json.loads(done.stdout)["streams"][0])


MAKERS: dict[str, tuple[Callable[[Path, clips.Spans], Path], str, str]] = {
    "h264": (clips.cut, "clip.mp4", ".mp4"),
    "hevc": (clips.cut_hevc, "clip.mp4", ".mp4"),
    "mjpeg": (clips.cut_mjpeg, "clip.avi", ".mkv"),
}


@pytest.mark.parametrize("codec", MAKERS)
def test_a_camera_that_is_joined_late_gives_a_file_of_its_codec_that_begins_at_zero_with_a_key_frame(
    tmp_path: Path, camera: RtspServer, codec: str
) -> None:
    make, name, ending = MAKERS[codec]
    camera.start(make(tmp_path / name, ((0.0, 2.5),)), loop=True)
    done = take(camera.url, tmp_path / "r", 1.0)
    assert done.path == tmp_path / f"r{ending}" and done.seconds == pytest.approx(1.0, abs=0.15)
    assert stat.S_IMODE(done.path.stat().st_mode) == 0o600
    _, times, key = frames(done.path)
    assert key and times == [pytest.approx(index / clips.FPS, abs=0.02) for index in range(done.packets)]
    assert (probe := probed(done.path))["codec_name"] == codec and probe["nb_read_frames"] == str(done.packets)


def test_reordered_frames_are_shown_in_their_order(tmp_path: Path, camera: RtspServer) -> None:
    clip = clips.cut(tmp_path / "clip.mp4", ((0.0, 4.0),), options={"g": "20", "bf": "2", "preset": "fast"})
    camera.start(clip, loop=True)
    times = frames(take(camera.url, tmp_path / "r.mkv", 1.0).path)[1]
    assert times == sorted(times) and len(set(times)) == len(times) > 8


def test_what_comes_before_the_first_key_frame_is_left_out(tmp_path: Path, pictures: list[Unit]) -> None:
    second = next(index for index, unit in enumerate(pictures) if unit.key and index)
    first = replace(pictures[0], lost=frozenset(range(10_000)))
    with ScriptedRtsp([first, *pictures[1:]], speed=4.0) as rtsp:
        done = take(rtsp.url, tmp_path / "r.mp4", 3.0)
    assert frames(done.path)[1:] == ([pytest.approx(i / clips.FPS, abs=0.02) for i in range(done.packets)], True)
    whole = [unit.data for unit in pictures[second : second + 3]]
    with av.open(str(done.path)) as container:
        sizes = [packet.size for packet in container.demux(video=0)][:3]
    assert sizes == [pytest.approx(len(data), abs=60) for data in whole]


def test_a_clock_that_jumps_leaves_no_gap(tmp_path: Path, pictures: list[Unit]) -> None:
    with ScriptedRtsp(jump(pictures, 1.0, 50_000.0), speed=4.0) as rtsp:
        times = frames(take(rtsp.url, tmp_path / "r.mp4", 2.0).path)[1]
    assert times[-1] == pytest.approx(2.0, abs=0.3) and times == sorted(times)


def test_a_lost_connection_is_made_again_and_the_file_goes_on_after_the_outage(
    tmp_path: Path, pictures: list[Unit]
) -> None:
    notes: list[str] = []
    with ScriptedRtsp(pictures[:10], hang_up=True) as rtsp:
        what = Order(rtsp.url, SETTINGS, tmp_path / "r.mp4", 2.6)
        done = record(what, threading.Event(), on_note=notes.append)
    times = frames(done.path)[1]
    assert done.outages == len(notes) == 1 and "goes on when the camera is back" in notes[0]
    steps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert sorted(steps)[-2:] == [pytest.approx(0.1, abs=0.05), pytest.approx(1.2, abs=0.5)]


def test_a_camera_that_does_not_come_back_ends_it_when_its_time_is_over(tmp_path: Path, pictures: list[Unit]) -> None:
    with ScriptedRtsp(pictures[:10], speed=4.0) as rtsp:
        done = take(rtsp.url, tmp_path / "r.mp4", 1.0)
    assert done.ended == "its time is over" and len(frames(done.path)[1]) >= 8


def test_a_stream_that_becomes_another_one_ends_the_file(tmp_path: Path, camera: RtspServer, visit_clip: Path) -> None:
    small = tmp_path / "small.mp4"
    smaller = ["-t", "2", "-vf", "scale=320:180", "-g", "20"]
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(visit_clip), *smaller, str(small)], check=True)
    camera.start(visit_clip, loop=True)
    changed = threading.Event()

    def change(progress: Any) -> None:
        if progress.seconds > 0.5 and not changed.is_set():
            changed.set()
            camera.start(small, loop=True)

    done = record(Order(camera.url, SETTINGS, tmp_path / "r.mp4", 30.0), threading.Event(), change)
    assert "another kind of stream" in done.ended and len(frames(done.path)[1]) == done.packets


def test_the_file_becomes_no_larger_than_it_may(tmp_path: Path, pictures: list[Unit]) -> None:
    with ScriptedRtsp(pictures, speed=4.0) as rtsp:
        done = take(rtsp.url, tmp_path / "r.mp4", 60.0, max_bytes=300_000)
    assert done.ended == "it is as large as it may become"
    assert 200_000 < done.bytes <= 300_000 and len(frames(done.path)[1]) == done.packets


def test_small_pictures_with_large_tables_keep_to_the_largest_size_too(tmp_path: Path) -> None:
    still, path = ["-f", "lavfi", "-i", "color=gray:s=320x180:r=25", "-t", "60", "-g", "50"], tmp_path / "still.mp4"
    subprocess.run(["ffmpeg", "-v", "error", *still, "-pix_fmt", "yuv420p", "-bf", "0", str(path)], check=True)
    with ScriptedRtsp(units(path), speed=30.0) as rtsp:
        done = take(rtsp.url, tmp_path / "r.mp4", 60.0, max_bytes=40_000)
    assert done.ended == "it is as large as it may become" and 20_000 < done.bytes <= 40_000


@pytest.mark.parametrize("there", [True, False])
def test_a_file_that_somebody_else_makes_or_removes_meanwhile_is_told(
    tmp_path: Path, pictures: list[Unit], there: bool
) -> None:
    path = tmp_path / "r.mp4"

    def meddle(progress: Any) -> None:
        if there:
            path.write_bytes(b"mine")
        elif progress.seconds > 0:
            path.unlink(missing_ok=True)

    slow = [replace(unit, at=unit.at + 1.5) for unit in pictures] if there else pictures
    with ScriptedRtsp(slow) as rtsp, pytest.raises(SoteiraError) as caught:
        record(Order(rtsp.url, SETTINGS, path, 1.2), threading.Event(), meddle)
    assert str(caught.value).endswith(": File exists" if there else "was it moved or deleted?")
    assert not there or path.read_bytes() == b"mine"


def test_mjpeg_over_http_has_the_times_of_its_arrival(tmp_path: Path, leaving_clip: Path) -> None:
    with HttpCamera(clips.jpegs(leaving_clip)[:10], fps=5.0) as camera:
        done = take(camera.url, tmp_path / "r", 1.0)
        assert done.path.suffix == ".mkv" and 4 <= len(frames(done.path)[1]) <= 8
        with pytest.raises(SourceError, match="a single picture"):
            take(camera.snapshot_url, tmp_path / "s", 2.0)
        with pytest.raises(SoteiraError, match=r"MJPEG.*name it .mkv"):
            take(camera.url, tmp_path / "s.mp4", 2.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.mkv"]


def test_a_camera_that_is_away_or_has_no_video_is_told_at_once_and_leaves_no_file(
    tmp_path: Path, camera: RtspServer
) -> None:
    with pytest.raises(SourceError, match="connection refused"):
        take(camera.url, tmp_path / "r", 5.0)
    camera.start_pipeline(AUDIO_ONLY)
    with pytest.raises(SourceError):
        take(camera.url, tmp_path / "r", 5.0)
    assert list(tmp_path.iterdir()) == []


def config(folder: Path, **keys: Any) -> Path:
    path = folder / "soteira.yaml"
    path.write_text(json.dumps({"cameras": {"porch": keys}}), encoding="utf-8")
    return path


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "no such camera": ({"source": "rtsp://h/s"}, {"camera": "yard"}, "there is no camera 'yard': it has porch"),
    "a file": ({"source": "a.mp4"}, {}, "give that to soteirad replay"),
    "a device": ({"source": "/dev/video0"}, {}, "record it with ffmpeg"),
    "no detail": ({"source": "rtsp://h/s"}, {"detail": True}, "it has no detail stream"),
    "a mask": ({"source": "rtsp://h/s", "privacy_mask": [[0, 0, 1, 0, 1, 1]]}, {}, "say --unmasked"),
    "another ending": ({"source": "rtsp://h/s"}, {"out": Path("x.avi")}, "name it .mp4 or .mkv"),
    "no folder": ({"source": "rtsp://h/s"}, {"out": Path("/nowhere/x.mp4")}, "there is no folder /nowhere"),
    "a file that is there": ({"source": "rtsp://h/s"}, {"out": Path(__file__).with_suffix("")}, "ending|there already"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_recorded_is_told_before(tmp_path: Path, case: str) -> None:
    keys, asked, message = REFUSED[case]
    wanted = {"camera": "porch", "out": tmp_path / "r.mp4", "minutes": 1.0, "max_mb": None, "detail": False,
              "unmasked": False, **asked}  # fmt: skip
    if case == "a file that is there":
        (tmp_path / "r.mp4").touch()
        wanted["out"] = tmp_path / "r"
    with pytest.raises(SoteiraError, match=message):
        order(config(tmp_path, **keys), **wanted)


def test_a_masked_camera_is_recorded_if_the_owner_says_so_and_the_detail_stream_has_its_own_address(
    tmp_path: Path,
) -> None:
    path = config(tmp_path, source="rtsp://h/s", detail="rtsp://h/d", stream=1, privacy_mask=[[0, 0, 1, 0, 1, 1]])
    what = order(path, "porch", None, 2.0, 5.0, detail=True, unmasked=True)
    assert (what.url, what.settings.stream, what.seconds, what.max_bytes) == ("rtsp://h/d", 0, 120.0, 5e6)
    assert what.path.name.startswith("porch-") and what.path.suffix == ""


def test_an_interrupted_command_finishes_the_file_which_can_be_replayed(tmp_path: Path, camera: RtspServer,
                                                                         visit_clip: Path) -> None:  # fmt: skip
    camera.start(visit_clip, loop=True)
    path = config(tmp_path, source=camera.url)
    command = [sys.executable, "-m", "soteirad", "record", "porch", "-c", str(path), "--out", str(tmp_path / "r.mp4")]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    pause = threading.Event()
    while not (tmp_path / "r.mp4").exists() and running.poll() is None:
        pause.wait(0.05)
    pause.wait(1.5)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert (running.returncode, err.strip()) == (0, "") and "(stopped)" in out and "soteirad replay" in out
    count = len(frames(tmp_path / "r.mp4")[1])
    assert replay(*replay_camera(tmp_path / "r.mp4", None, None, "max", {})).summary["frames"] == count > 5


def test_a_full_disk_is_told_and_what_was_written_can_be_played(tmp_path: Path, pictures: list[Unit]) -> None:
    with ScriptedRtsp(pictures, speed=4.0) as rtsp:
        command = [sys.executable, "-m", "soteirad", "record", "porch", "-c", str(config(tmp_path, source=rtsp.url)),
                   "--out", str(tmp_path / "r.mp4")]  # fmt: skip
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)),
        )  # fmt: skip
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "r.mp4: the recording cannot be written: File too large; what was written before can" in done.stderr
    assert len(frames(tmp_path / "r.mp4")[1]) > 10


def test_a_camera_that_hangs_does_not_keep_an_owner_who_wants_to_stop(tmp_path: Path, pictures: list[Unit]) -> None:
    stop = threading.Event()
    patient = replace(SETTINGS, read_timeout=600.0)
    with ScriptedRtsp(pictures[:10], speed=4.0) as rtsp:
        def step(progress: Any) -> None:
            if progress.seconds > 0.5:
                stop.set()

        done = record(Order(rtsp.url, patient, tmp_path / "r.mp4", 600.0), stop, step)
    assert done.ended == "stopped" and len(frames(done.path)[1]) == done.packets > 5
