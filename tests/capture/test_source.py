"""Sources: real files through FFmpeg, in order and in time, and what is said of those that cannot be played."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from soteirad.capture.age import CaptureClock
from soteirad.capture.frame import Frame
from soteirad.capture.source import (
    FileSource,
    LiveSource,
    Source,
    SourceSettings,
    StreamMemory,
    _MediaTimed,
    ffmpeg_address,
    open_source,
)
from soteirad.config.address import is_live
from soteirad.errors import SourceEnded, SourceError
from tests import clips, scripted_rtsp
from tests.capture.made import FakeClock, write_clip, write_sound
from tests.http_camera import HttpCamera
from tests.rtsp_server import RtspServer
from tests.scripted_rtsp import ScriptedRtsp
from tests.shared_data import DEMO


def read_some(source: Source, count: int) -> list[Frame]:
    source.open()
    try:
        return [source.read() for _ in range(count)]
    finally:
        source.close()


def read_all(source: Source) -> list[Frame]:
    frames = []
    source.open()
    try:
        while True:
            frames.append(source.read())
    except SourceEnded:
        return frames
    finally:
        source.close()


def refusal(url: Path | str) -> str:
    with pytest.raises(SourceError) as caught:
        read_all(open_source(str(url), SourceSettings("max", connect_timeout=2.0, read_timeout=2.0)))
    message = str(caught.value)
    assert "\n" not in message
    return message


# Files


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4")])
def test_a_file_is_read_without_loss_and_in_the_order_of_its_pictures(tmp_path: Path, name: str, codec: str) -> None:
    frames = read_all(open_source(str(write_clip(tmp_path / name, 20, codec=codec)), SourceSettings("max")))
    assert [f.index for f in frames] == list(range(20))
    levels = [float(f.bgr(64, 48).mean()) for f in frames]
    assert levels == pytest.approx([20 + 10 * i for i in range(20)], abs=4)


def test_every_frame_of_the_demo_clip_comes_with_its_own_time() -> None:
    frames = read_all(open_source(str(DEMO), SourceSettings("max")))
    with av.open(str(DEMO)) as container:
        expected = [f.time for f in container.decode(video=0)]
    assert len(frames) == 655
    assert [f.time for f in frames] == pytest.approx([t - expected[0] for t in expected])


def test_media_time_starts_at_zero_even_when_the_files_clock_does_not(tmp_path: Path) -> None:
    frames = read_all(open_source(str(write_clip(tmp_path / "a.mkv", 10, first_pts=77)), SourceSettings("max")))
    assert [f.time for f in frames] == pytest.approx([i / 10 for i in range(10)], abs=1e-3)


def test_the_capture_time_of_a_frame_is_the_opening_plus_its_media_time(tmp_path: Path) -> None:
    clock = FakeClock()
    frames = read_all(open_source(str(write_clip(tmp_path / "a.mp4")), SourceSettings("max"), clock=clock))
    assert [f.captured - clock.wall() for f in frames] == pytest.approx([f.time for f in frames])


def test_the_same_file_gives_the_same_frames_every_time() -> None:
    first, second = (read_some(open_source(str(DEMO), SourceSettings("max")), 30) for _ in range(2))
    assert len(first) == 30
    assert all(np.array_equal(a.grey(90), b.grey(90)) and a.time == b.time for a, b in zip(first, second, strict=True))


def test_a_file_is_no_live_source_and_an_address_is() -> None:
    assert not is_live("clip.mp4")
    assert is_live("RTSP://10.0.0.7/stream")
    assert isinstance(open_source("clip.mp4"), FileSource)
    assert isinstance(open_source("https://10.0.0.7/video"), LiveSource)


# Pacing


@pytest.mark.parametrize("speed", [1.0, 2.0, 10.0])
def test_a_paced_file_gives_each_frame_when_it_is_due(tmp_path: Path, speed: float) -> None:
    clock = FakeClock()
    source = open_source(str(write_clip(tmp_path / "a.mp4", 11)), SourceSettings(speed), clock=clock)
    source.open()
    for i in range(11):
        frame = source.read()
        assert clock.now == pytest.approx(1000.0 + i / 10 / speed)
        assert frame.received == clock.now
        assert frame.captured == pytest.approx(clock.wall())
    source.close()


def test_frames_that_nobody_wants_are_not_waited_for_and_the_next_one_is_given_when_it_is_due(tmp_path: Path) -> None:
    clock = FakeClock()
    source = open_source(str(write_clip(tmp_path / "a.mp4", 11)), SourceSettings(1.0), clock=clock)
    source.open()
    given = []
    for _ in range(3):
        given.append(source.read(lambda frame: frame.index % 4 == 1))
        assert given[-1].received == clock.now == pytest.approx(1000.0 + given[-1].time)
    assert [frame.index for frame in given] == [1, 5, 9] and len(clock.waits) == 3


def test_a_file_of_which_nothing_is_wanted_is_decoded_at_most_half_a_second_ahead(tmp_path: Path) -> None:
    clock, ahead = FakeClock(), []

    def note(frame: Frame) -> bool:
        ahead.append(frame.time - (clock.now - 1000.0))
        return False

    source = open_source(str(write_clip(tmp_path / "a.mp4", 24)), SourceSettings(1.0), clock=clock)
    source.open()
    with pytest.raises(SourceEnded):
        source.read(note)
    assert len(ahead) == 24 and max(ahead) <= 0.5 + 0.1 + 1e-6


def test_a_file_of_which_nothing_is_wanted_ends_when_the_stop_event_is_set(tmp_path: Path) -> None:
    stop = threading.Event()
    source = open_source(str(write_clip(tmp_path / "a.mp4", 24)), SourceSettings(1.0), stop=stop, clock=FakeClock(2))
    source.open()
    with pytest.raises(SourceEnded, match="stopped"):
        source.read(lambda _: False)


def test_an_unpaced_file_never_waits(tmp_path: Path) -> None:
    clock = FakeClock()
    read_all(open_source(str(write_clip(tmp_path / "a.mp4")), SourceSettings("max"), clock=clock))
    assert clock.waits == []


def test_a_paced_file_ends_when_the_stop_event_is_set_while_it_waits(tmp_path: Path) -> None:
    clock = FakeClock(stop_after=4)
    source = open_source(str(write_clip(tmp_path / "a.mp4")), SourceSettings(1.0), stop=threading.Event(), clock=clock)
    assert len(read_all(source)) == 3


# What cannot be played


def test_a_missing_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "no.mp4"
    assert refusal(path) == f"{path}: there is no such file: correct the path of this source"


def test_a_folder_is_no_source(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}: this is a folder: give a video file"


@pytest.mark.parametrize("name", ["clip.mp4", "notes.txt", "clip", "readme.nfo", "clip.avi"])
def test_a_text_file_is_no_video_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("This is a text about a video.\n" * 40, encoding="utf-8")
    message = refusal(path)
    assert message.startswith(f"{path}: ")
    assert "no video" in message


def test_an_empty_file_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert "this is not a video that FFmpeg can read" in refusal(tmp_path / "empty.mp4")


def test_a_file_with_sound_only_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "sound.wav")
    assert refusal(path) == (
        f"{path}: this source has no video stream: give a camera's stream or a video file"
    )


def test_a_recording_without_its_end_is_refused_when_its_index_was_there(tmp_path: Path) -> None:
    data = write_clip(tmp_path / "whole.mp4", 20).read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: len(data) // 2])
    assert refusal(path) == (
        f"{path}: this is not a video that FFmpeg can read: the file is damaged or no video at all"
    )


def test_a_recording_that_breaks_off_gives_the_frames_before_and_then_an_error(tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    data = DEMO.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    source = open_source(str(path), SourceSettings("max"))
    source.open()
    frames = 0
    with pytest.raises(SourceError, match=r"cut\.mp4: "):
        while True:
            source.read()
            frames += 1
    source.close()
    assert 100 < frames < 655


@pytest.mark.parametrize("scheme", ["rtsp", "http", "rtmp", "ftp", "srt"])
def test_no_password_is_in_the_message_about_an_address_that_cannot_be_played(scheme: str) -> None:
    """Nothing listens on the discard port of this machine."""
    message = refusal(f"{scheme}://admin:geheim@127.0.0.1:9/stream?password=geheim2")
    assert "geheim" not in message
    assert "127.0.0.1" in message


def test_an_address_that_is_neither_rtsp_nor_http_is_refused_with_those_that_work() -> None:
    assert refusal("rtmp://10.0.0.7/live") == (
        "rtmp://10.0.0.7/live: give an address with rtsp://, rtsps://, http://, https://, a device such as "
        "/dev/video0, or the path of a file"
    )


def test_closing_twice_and_before_opening_is_allowed() -> None:
    source = open_source(str(DEMO), SourceSettings("max"))
    source.close()
    source.open()
    source.read()
    source.close()
    source.close()
    with pytest.raises(SourceError):
        source.read()


# Live sources


def test_a_v4l2_camera_is_opened_as_a_device_with_the_size_that_was_asked_for() -> None:
    assert ffmpeg_address("/dev/video0", SourceSettings()) == ("/dev/video0", {}, "v4l2")
    assert ffmpeg_address("/dev/v4l/by-id/a", SourceSettings(size="1280x720")) == (
        "/dev/v4l/by-id/a", {"video_size": "1280x720"}, "v4l2"
    )  # fmt: skip


def test_an_avfoundation_camera_is_opened_by_what_stands_behind_the_colon() -> None:
    usual = {"framerate": "30", "pixel_format": "nv12"}
    assert ffmpeg_address("avfoundation:0", SourceSettings()) == ("0", usual, "avfoundation")
    assert ffmpeg_address("avfoundation:My: Cam", SourceSettings(size="640x480")) == (
        "My: Cam", {**usual, "video_size": "640x480"}, "avfoundation"
    )  # fmt: skip


@pytest.mark.parametrize(("transport", "asked"), [("tcp", "tcp"), ("udp", "udp+tcp")])
@pytest.mark.parametrize("url", ["rtsp://h/s", "rtsps://u:p@h/s", "RTSP://h/s"])
def test_rtsp_is_asked_for_by_the_transport_with_tcp_behind_udp_and_without_sound(
    url: str, transport: str, asked: str
) -> None:
    opened, options, format_ = ffmpeg_address(url, SourceSettings(transport=transport))
    assert (opened, format_) == (url, None)
    assert (options["rtsp_transport"], options["allowed_media_types"]) == (asked, "video")
    assert options["flags"] == "low_delay" and "video_size" not in options


def test_http_knows_no_transport() -> None:
    opened, options, format_ = ffmpeg_address("http://h/video", SourceSettings(transport="udp"))
    assert (opened, format_) == ("http://h/video", None)
    assert not {"rtsp_transport", "allowed_media_types"} & set(options)


class Noting(CaptureClock):
    """A capture clock that remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.stamps: list[float | None] = []
        self.restarts = 0

    def restart(self) -> None:
        self.restarts += 1
        super().restart()

    def captured(self, stamp: float | None, arrival: float, waited: float) -> float:
        self.stamps.append(stamp)
        return super().captured(stamp, arrival, waited)


def live_frames(url: str, count: int, memory: StreamMemory | None = None, **settings: object) -> list[Frame]:
    source = open_source(url, SourceSettings(connect_timeout=5, read_timeout=5, **settings), memory=memory)  # type: ignore[arg-type]
    assert isinstance(source, LiveSource)
    source.open()
    try:
        return [source.read() for _ in range(count)]
    finally:
        source.close()


def test_mjpeg_over_http_has_no_times_and_a_frame_counts_as_captured_when_it_came(tmp_path: Path) -> None:
    """FFmpeg counts 25 frames a second, whatever comes."""
    clock = Noting()
    with HttpCamera(clips.jpegs(write_clip(tmp_path / "a.mp4", 5)), fps=50) as camera:
        frames = live_frames(camera.url, 20, StreamMemory(clock=clock))
    assert clock.stamps == [None] * 20
    assert all(frame.time <= frame.received for frame in frames)
    assert [f.time for f in frames] == sorted(f.time for f in frames)


def test_rtsp_has_times_and_frames_are_captured_as_far_apart_as_they_say(tmp_path: Path) -> None:
    pictures = scripted_rtsp.jump(scripted_rtsp.units(clips.cut(tmp_path / "a.mp4", ((1.0, 3.0),))), 0.0, 100.0)
    clock = Noting()
    with ScriptedRtsp(pictures) as camera:
        frames = live_frames(camera.url, 12, StreamMemory(clock=clock))
    stamps = clock.stamps[1:]  # FFmpeg gives the first one none
    assert stamps == pytest.approx([index / 10 for index in range(1, 12)], abs=1e-3)
    assert not any(frame.corrupt for frame in frames)
    assert all(abs((f.captured - frames[0].captured) - (f.time - frames[0].time)) < 0.05 for f in frames)


def test_what_a_camera_has_sent_is_there_before_it_sends_the_next_picture(tmp_path: Path) -> None:
    """FFmpeg's parser keeps each picture until the next one begins."""
    pictures = scripted_rtsp.units(clips.cut(tmp_path / "a.mp4", ((6.0, 9.0),)))
    with ScriptedRtsp(pictures) as camera:
        source = open_source(camera.url, SourceSettings(connect_timeout=2.0, read_timeout=2.0))
        source.open()
        frames = [source.read() for _ in pictures]  # the camera hangs after the last one
        with pytest.raises(SourceError):
            source.read()
        source.close()
    assert len(frames) == 30 and not any(frame.corrupt for frame in frames)


def test_a_camera_that_announces_no_parameter_sets_is_joined_between_two_key_pictures(tmp_path: Path) -> None:
    pictures = scripted_rtsp.units(clips.cut(tmp_path / "a.mp4", ((4.0, 10.0),)))
    joined = pictures[1:]
    first = max(range(10), key=lambda index: len(joined[index].data))
    joined = [replace(picture, at=picture.at - joined[first].at) for picture in joined[first:]]
    assert not joined[0].key and len(joined[0].data) > scripted_rtsp.MTU, "it comes in fragments"
    with ScriptedRtsp(joined, speed=8.0, announces=False) as camera:
        frames = live_frames(camera.url, 10)
    assert frames[0].video.key_frame and not any(frame.corrupt for frame in frames)


def test_an_mjpeg_camera_that_fell_behind_goes_on_with_its_next_picture(tmp_path: Path) -> None:
    server = RtspServer()
    server.start(clips.cut_mjpeg(tmp_path / "a.avi", ((6.0, 9.0),)))
    memory = StreamMemory()
    try:
        source = open_source(server.url, SourceSettings(connect_timeout=5, read_timeout=5), memory=memory)
        source.open()
        source.read()
        source.decoder.skip()
        source.read()
        source.close()
    finally:
        server.kill()
    assert (memory.counters.skipped, memory.counters.decoded) == (0, 2)


@pytest.mark.parametrize(("cut", "name"), [(clips.cut, "a.mp4"), (clips.cut_hevc, "a.mp4"), (clips.cut_mjpeg, "a.avi")])
def test_every_picture_of_a_camera_is_the_one_that_it_sent(
    tmp_path: Path, cut: Callable[[Path, clips.Spans], Path], name: str
) -> None:
    clip = cut(tmp_path / name, ((6.0, 9.0),))
    sent = read_all(open_source(str(clip), SourceSettings("max")))
    server = RtspServer()
    server.start(clip)
    try:
        memory = StreamMemory()
        seen = live_frames(server.url, len(sent) - 1, memory)
    finally:
        server.kill()
    assert [np.array_equal(a.grey(90), b.grey(90)) for a, b in zip(sent, seen, strict=False)] == [True] * len(seen)
    assert [a.video.key_frame for a in seen] == [a.video.key_frame for a in sent][: len(seen)]
    assert (memory.counters.received, memory.counters.decoded, memory.counters.corrupt) == (len(seen), len(seen), 0)


def test_counters_and_capture_clock_go_on_from_connection_to_connection(tmp_path: Path) -> None:
    clock = Noting()
    memory = StreamMemory(clock=clock)
    with HttpCamera(clips.jpegs(write_clip(tmp_path / "a.mp4", 5)), fps=50) as camera:
        first, second = (live_frames(camera.url, 5, memory) for _ in range(2))
    assert clock.restarts == 2 and memory.counters.decoded == 10
    assert second[0].time >= first[-1].time
    assert [frame.index for frame in second] == list(range(5))


@pytest.mark.parametrize(("rotate", "size"), [(0, (64, 48)), (90, (48, 64)), (180, (64, 48)), (270, (48, 64))])
def test_live_frames_and_those_of_a_file_are_turned_and_masked(
    tmp_path: Path, rotate: int, size: tuple[int, int]
) -> None:
    clip = write_clip(tmp_path / "a.mp4", 3)
    upper_half = ((0.0, 0.0, 1.0, 0.0, 1.0, 0.5, 0.0, 0.5),)
    with HttpCamera(clips.jpegs(clip)) as camera:
        (live,) = live_frames(camera.url, 1, rotate=rotate, privacy=upper_half)
    file = read_all(open_source(str(clip), SourceSettings("max", rotate=rotate, privacy=upper_half)))[0]
    for frame in (live, file):
        picture = frame.bgr(frame.width, frame.height)
        assert (frame.width, frame.height) == size and picture.shape == (size[1], size[0], 3)
        assert not picture[: size[1] // 2 - 1].any() and picture[size[1] // 2 + 2 :].all()


def test_a_device_that_is_not_there_is_a_source_that_cannot_be_opened() -> None:
    assert refusal("/dev/video98") == (
        "/dev/video98: there is no such device, or the daemon may not open it: is it plugged in, and does the "
        "service have the drop-in for USB cameras?"
    )


class Tapped:
    """Keeps when packets came."""

    def __init__(self) -> None:
        self.times: list[tuple[str, float]] = []

    def begin(self, picture: Any, sound: Any) -> None:
        """Nothing is kept of that."""

    def take(self, packet: Any, time: float) -> None:
        self.times.append((packet.stream.type, time))


def media_times(stamps: list[tuple[str, float | None]]) -> list[float]:
    tap = Tapped()
    timed = _MediaTimed(tap)
    for kind, seconds in stamps:
        pts = None if seconds is None else round(seconds * 1000)
        stream = SimpleNamespace(type=kind)
        packet = SimpleNamespace(pts=pts, dts=None, time_base=Fraction(1, 1000), stream=stream)
        timed.take(packet, 0.0)  # type: ignore[arg-type]
    return [round(time, 3) for _, time in tap.times]


def test_a_files_packets_have_the_media_time_of_its_frames(tmp_path: Path) -> None:
    tap = Tapped()
    source = open_source(str(write_clip(tmp_path / "clip.mp4", first_pts=30)), SourceSettings(speed="max"), tap=tap)
    source.open()
    frames = []
    with suppress(SourceEnded):
        while True:
            frames.append(source.read().time)
    source.close()
    assert sorted(time for _, time in tap.times) == pytest.approx(frames)


def test_media_time_begins_with_the_first_picture_and_goes_on_where_stamps_jump_back() -> None:
    assert media_times([("audio", 5.0), ("video", 8.0), ("audio", 8.5), ("video", 8.1)]) == [0.0, 0.0, 0.5, 0.1]
    assert media_times([("video", 8.0), ("video", 8.4), ("video", 8.2), ("video", None)]) == [0.0, 0.4, 0.2, 0.2]
    assert media_times([("video", 100.0), ("video", 105.0), ("video", 0.0), ("video", 0.1)]) == [0.0, 5.0, 5.0, 5.1]
