"""The test cameras do what they say, seen with PyAV alone."""

from __future__ import annotations

import itertools
import random
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import av.error
import pytest

from tests import clips, scripted_rtsp
from tests.http_camera import SNAPSHOT, VIDEO, HttpCamera
from tests.rtsp_server import AUDIO_ONLY, RtspServer
from tests.scripted_rtsp import ScriptedRtsp, Unit

SPAN = ((1.0, 4.0),)
ODD = "p@ss/w:rd#1%"
Cameras = Callable[..., RtspServer]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cameras")


@pytest.fixture(scope="module")
def clip(folder: Path) -> Path:
    return clips.cut(folder / "clip.mp4", SPAN)


@pytest.fixture
def camera() -> Iterator[Cameras]:
    """Make cameras that end with the test."""
    made: list[RtspServer] = []

    def make(**options: object) -> RtspServer:
        if options.get("tls") and shutil.which("openssl") is None:
            pytest.skip("openssl is not installed: nothing was tested over TLS")
        made.append(RtspServer(**options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for server in made:
        server.kill()


def frames(url: str, most: int = 8, transport: str = "tcp", media: str = "video") -> list[av.VideoFrame]:
    """Return the first frames of a camera."""
    options = {"flags": "low_delay", "fpsprobesize": "0", "rtsp_transport": transport, "allowed_media_types": media}
    found: list[av.VideoFrame] = []
    with av.open(url, options=options if url.startswith("rtsp") else {}, timeout=(3.0, 2.0)) as container:
        if not container.streams.video:
            return []
        container.streams.video[0].thread_type = "NONE"
        for packet in container.demux(container.streams.video[0]):
            try:
                found += packet.decode()
            except av.error.InvalidDataError:
                continue
            if len(found) >= most:
                break
    return found[:most]


def snapshot(server: HttpCamera, timeout: float = 5.0) -> bytes:
    with urllib.request.urlopen(server.snapshot_url, timeout=timeout) as answer:  # noqa: S310 - the test's own server
        return bytes(answer.read())


def times(found: list[av.VideoFrame]) -> list[float]:
    return [round(frame.time, 1) for frame in found if frame.time is not None]


@pytest.mark.parametrize("auth", ["digest", "basic"])
def test_a_camera_wants_its_password_whatever_is_in_it(camera: Cameras, clip: Path, auth: str) -> None:
    server = camera(user="admin", password=ODD, auth=auth)
    server.start(clip)
    assert frames(server.url, 2)
    for wrong in (server.url_for("admin", "guess"), server.url_for()):
        with pytest.raises(av.error.HTTPUnauthorizedError):
            frames(wrong, 1)
    with pytest.raises(av.error.HTTPNotFoundError):
        frames(server.url_for("admin", ODD, path="elsewhere"), 1)


def test_a_camera_with_tls_is_seen_over_rtsps_only(camera: Cameras, clip: Path) -> None:
    server = camera(tls=True, user="admin", password=ODD)
    server.start(clip)
    assert server.url.startswith("rtsps://") and frames(server.url, 2)
    with pytest.raises((av.error.FFmpegError, OSError)):
        frames(server.url.replace("rtsps:", "rtsp:"), 1)


@pytest.mark.parametrize(("agreed", "other"), [("tcp", "udp"), ("udp", "tcp")])
def test_a_camera_refuses_the_transport_that_it_does_not_have(
    camera: Cameras, clip: Path, agreed: str, other: str
) -> None:
    server = camera(transport=agreed)
    server.start(clip)
    assert frames(server.url, 2, agreed)
    with pytest.raises(OSError, match="Protocol not supported"):
        frames(server.url, 1, other)


def test_packets_lost_over_udp_damage_frames(camera: Cameras, clip: Path) -> None:
    server = camera(loss=0.1)
    server.start(clip)
    intact = {frame.pts: frame.to_ndarray(format="gray") for frame in frames(str(clip), 25)}
    seen = frames(server.url, 25, "udp")
    assert len(seen) < 25 or any(
        abs(frame.to_ndarray(format="gray").astype(int) - whole).max() > 20
        for frame, whole in zip(seen, intact.values(), strict=True)
    )


def test_a_live_camera_never_ends_and_late_clients_join_in_the_middle(camera: Cameras, folder: Path) -> None:
    server = camera()
    server.start(clips.cut(folder / "short.mp4", ((1.0, 2.0),)), loop=True)
    first = times(frames(server.url, 15))
    steps = [round(later - earlier, 1) for earlier, later in itertools.pairwise(first)]
    assert len(first) >= 14 and set(steps) == {0.1}, "the time stamps are not continuous over the clip's end"
    assert frames(server.url, 3)


def test_a_killed_camera_comes_back_on_its_port_and_a_frozen_one_keeps_its_connections(
    camera: Cameras, clip: Path
) -> None:
    server = camera()
    server.start(clip)
    before = server.url
    assert frames(server.url, 1)
    server.start(clip)
    assert server.url == before and frames(server.url, 1)
    server.freeze()
    with pytest.raises((av.error.FFmpegError, OSError)), av.open(before, timeout=(0.5, 0.5)):
        pass
    server.thaw()
    assert frames(server.url, 1)


@pytest.mark.parametrize("codec", ["hevc", "mjpeg"])
def test_a_camera_sends_other_codecs(camera: Cameras, folder: Path, codec: str) -> None:
    make = {"hevc": clips.cut_hevc, "mjpeg": clips.cut_mjpeg}[codec]
    server = camera()
    server.start(make(folder / {"hevc": "hevc.mp4", "mjpeg": "mjpeg.avi"}[codec], ((1.0, 2.0),)))
    with av.open(server.url, options={"rtsp_transport": "tcp"}, timeout=(3.0, 3.0)) as container:
        assert container.streams.video[0].codec_context.name == codec
    assert [frame.width for frame in frames(server.url, 3)] == [640] * 3


def test_a_camera_may_have_sound_only(camera: Cameras) -> None:
    server = camera()
    server.start_pipeline(AUDIO_ONLY)
    assert frames(server.url, 1, media="audio") == []


def test_a_scripted_camera_may_send_a_codec_that_nobody_knows(clip: Path) -> None:
    options = {"rtsp_transport": "tcp", "analyzeduration": "500000"}
    with ScriptedRtsp(scripted_rtsp.units(clip), encoding="X-FUTURE") as server:
        try:
            with av.open(server.url, options=options, timeout=(3.0, 2.0)) as container:
                assert not [stream for stream in container.streams.video if stream.codec_context is not None]
        except av.error.FFmpegError:
            pass


def test_the_size_changes_in_mid_stream(camera: Cameras, folder: Path) -> None:
    server = camera()
    server.start(clips.two_sizes(folder / "sizes.ts", SPAN, after=1.0))
    assert [(f.width, f.height) for f in frames(server.url, 20)] == [(640, 360)] * 10 + [(320, 240)] * 10


def test_the_rate_changes_in_mid_stream(camera: Cameras, folder: Path) -> None:
    server = camera()
    server.start(clips.two_rates(folder / "rates.ts", SPAN, after=1.0))
    assert times(frames(server.url, 13))[-3:] == [1.0, 1.5, 2.0]


def test_time_stamps_jump_an_hour_ahead_and_back(clip: Path) -> None:
    pictures = scripted_rtsp.jump(scripted_rtsp.jump(scripted_rtsp.units(clip), 1.0, 3600.0), 2.0, -3600.0)
    with ScriptedRtsp(pictures) as server:
        seen = times(frames(server.url, 25))
    steps = [round(later - earlier) for earlier, later in itertools.pairwise(seen)]
    assert [step for step in steps if step] == [3600, -3600]


@pytest.mark.parametrize("harm", [scripted_rtsp.corrupt, scripted_rtsp.lose])
def test_a_scripted_camera_corrupts_and_loses_packets(clip: Path, harm: Callable[..., list[Unit]]) -> None:
    pictures = scripted_rtsp.units(clip)
    with ScriptedRtsp(harm(pictures, 0.3), speed=8, hang_up=True) as server:
        seen = frames(server.url, 99)
    assert len(seen) < len(pictures) or any(frame.is_corrupt for frame in seen)


def test_a_scripted_camera_stalls_refuses_and_hangs_up(clip: Path) -> None:
    pictures = scripted_rtsp.units(clip)
    with ScriptedRtsp(scripted_rtsp.stall(pictures, 1.0, 60.0)) as server, pytest.raises(av.error.FFmpegError):
        frames(server.url, 20)
    with ScriptedRtsp(pictures, answers={"DESCRIBE": 403}) as server, pytest.raises(av.error.HTTPForbiddenError):
        frames(server.url, 1)
    with ScriptedRtsp(pictures) as server:
        threading.Timer(1.0, server.reset).start()
        assert len(frames(server.url, 99)) < len(pictures)


def test_bit_errors_in_a_file_are_repeatable_and_seen_by_the_decoder(clip: Path, folder: Path) -> None:
    hit = clips.damage(clip, folder / "damaged.ts", 0.3)
    assert hit == clips.damage(clip, folder / "again.ts", 0.3)
    assert (folder / "damaged.ts").read_bytes() == (folder / "again.ts").read_bytes()
    seen = frames(str(folder / "damaged.ts"), 99)
    assert hit and (len(seen) < 30 or any(frame.is_corrupt for frame in seen))
    data = b"\0\0\0\1" + bytes(range(1, 200))
    assert clips.flip(data, random.Random(1)) != data and len(clips.flip(data, random.Random(1))) == len(data)


@pytest.mark.parametrize("auth", ["digest", "basic"])
def test_an_http_camera_shows_video_and_pictures_to_who_knows_the_password(clip: Path, auth: str) -> None:
    with HttpCamera(clips.jpegs(clip)[:5], user="admin", password=ODD, auth=auth) as server:  # type: ignore[arg-type]
        assert len(frames(server.url, 8)) == 8, "it does not begin again"
        assert len(frames(server.snapshot_url, 8)) == 1
        assert server.served == {VIDEO: 1, SNAPSHOT: 1}
        with pytest.raises(av.error.HTTPUnauthorizedError):
            frames(server.url_for(VIDEO, "admin", "guess"), 1)


def test_an_http_camera_refuses_freezes_and_hangs_up(clip: Path) -> None:
    with HttpCamera(clips.jpegs(clip)[:5]) as server:
        server.refuse(503)
        with pytest.raises(urllib.error.HTTPError, match="503"):
            snapshot(server)
        server.refuse(0)
        assert snapshot(server).startswith(b"\xff\xd8")
        assert server.requests[SNAPSHOT] == 2 and server.served[SNAPSHOT] == 1
        server.freeze()
        with pytest.raises(TimeoutError):
            snapshot(server, timeout=0.3)
        server.thaw()
        threading.Timer(0.5, server.hang_up).start()
        with pytest.raises(OSError, match="Input/output error"):
            frames(server.url, 99)
