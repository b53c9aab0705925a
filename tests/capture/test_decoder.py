"""The decoder: which frames are damaged, told against the intact clip; streams, counters and patience."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from soteirad.capture.clock import Clock, SystemClock
from soteirad.capture.damage import Damage
from soteirad.capture.decoder import Decoded, Decoder, StreamCounters
from soteirad.errors import SourceEnded, SourceError
from tests import clips, scripted_rtsp
from tests.capture.made import FakeClock, picture, write_clip
from tests.http_camera import HttpCamera
from tests.scripted_rtsp import ScriptedRtsp, Unit

SPAN = ((4.0, 10.0),)
FRAMES = 60
RTSP = {"flags": "low_delay", "fpsprobesize": "0", "rtsp_transport": "tcp", "allowed_media_types": "video"}
START = 100.0
"""Where the time stamps of a scripted camera begin; FFmpeg counts from there."""
VISIBLE = 8.0
"""Mean difference of brightness in 16 x 16 pixels."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.cut(tmp_path_factory.mktemp("decoder") / "clip.mp4", SPAN)


@dataclass
class Run:
    """All that a decoder gave of a source."""

    frames: list[Decoded]
    counters: StreamCounters
    error: SourceError

    def marked(self) -> list[bool]:
        return [frame.corrupt for frame in self.frames]


def decode(url: str | Path, *, lossy: bool = False, clock: Clock | None = None, stream: int = 0,
           patience: float = float("inf"), counters: StreamCounters | None = None) -> Run:  # fmt: skip
    counters, frames = counters or StreamCounters(), []
    source = Decoder("it", counters, clock or SystemClock(), stream=stream, patience=patience, lossy=lossy)
    live = str(url).startswith("rtsp")
    source.open(str(url), RTSP if live else {}, (5.0, 5.0) if live else None)
    try:
        while True:
            frames.append(source.next())
    except SourceError as error:
        return Run(frames, counters, error)
    finally:
        source.close()


def play(pictures: list[Unit], lossy: bool = False) -> Run:
    with ScriptedRtsp(pictures, speed=12, hang_up=True) as camera:
        return decode(camera.url, lossy=lossy)


def scripted(clip: Path) -> list[Unit]:
    return scripted_rtsp.jump(scripted_rtsp.units(clip), 0.0, START)


@pytest.fixture(scope="module")
def intact(clip: Path) -> Intact:
    return Intact(clip)


class Intact:
    """The pictures of a clip as they were before anything happened to them."""

    def __init__(self, clip: Path) -> None:
        frames = decode(clip).frames
        self._pictures = {round(f.stamp or 0.0, 2): self._grey(f) for f in frames}

    def difference(self, frame: Decoded, first: float) -> float:
        """Say how far a frame is from its original; the first one of an RTSP stream has no time stamp."""
        time = 0.0 if frame.stamp is None else frame.stamp - first
        return float(cv2.resize(np.abs(self._grey(frame) - self._pictures[round(time, 2)]), None, fx=1 / 16, fy=1 / 16,
                                interpolation=cv2.INTER_AREA).max())  # fmt: skip

    def _grey(self, frame: Decoded) -> NDArray[np.float32]:
        return frame.video.to_ndarray(format="gray").astype(np.float32)


def judge(run: Run, intact: Intact, first: float) -> tuple[list[float], list[float]]:
    """Return the differences of the frames that passed as whole, and of those that were marked."""
    passed = [intact.difference(frame, first) for frame in run.frames if not frame.corrupt]
    marked = [intact.difference(frame, first) for frame in run.frames if frame.corrupt]
    return passed, marked


# Damage


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
@pytest.mark.parametrize("keys", [True, False])
def test_no_frame_of_a_damaged_file_that_looks_damaged_passes_as_whole(
    clip: Path, intact: Intact, tmp_path: Path, seed: int, keys: bool
) -> None:
    hit = clips.damage(clip, tmp_path / "damaged.ts", 0.06, seed, keys=keys)
    run = decode(tmp_path / "damaged.ts")
    first = run.frames[0].stamp or 0.0
    passed, marked = judge(run, intact, first)
    assert hit and max(marked) > VISIBLE, "the damage shows"
    assert max(passed) < VISIBLE
    assert run.counters.corrupt >= len(marked) > 0
    assert run.counters.received == FRAMES


@pytest.mark.parametrize(
    ("harm", "share", "seed"),
    [(scripted_rtsp.corrupt, 0.05, 1), (scripted_rtsp.corrupt, 0.05, 2), (scripted_rtsp.lose, 0.005, 1),
     (scripted_rtsp.lose, 0.005, 2), (scripted_rtsp.lose, 0.005, 3), (scripted_rtsp.lose, 0.03, 1),
     (scripted_rtsp.lose, 0.03, 2)],
)  # fmt: skip
def test_no_frame_of_a_bad_connection_that_looks_damaged_passes_as_whole(
    clip: Path, intact: Intact, harm: Callable[..., list[Unit]], share: float, seed: int
) -> None:
    pictures = harm(scripted(clip), share, seed)
    assert not all(unit.intact for unit in pictures)
    run = play(pictures, lossy=harm is scripted_rtsp.lose)
    passed, marked = judge(run, intact, 0.0)
    assert len(marked) > 0
    assert max(passed, default=0.0) < VISIBLE
    assert run.counters.decoded == len(run.frames)


def test_frames_before_the_damage_and_from_the_next_key_frame_on_are_whole(clip: Path) -> None:
    pictures = scripted(clip)
    broken = 27  # in the middle of a group
    pictures[broken] = replace(pictures[broken], lost=frozenset({0}), intact=False)
    run = play(pictures, lossy=True)
    keys = [index for index, unit in enumerate(pictures) if unit.key]
    healed = min(key for key in keys if key > broken)
    times = [round((f.stamp or 0.0) * clips.FPS) for f in run.frames]
    assert [time for time, frame in zip(times, run.frames, strict=True) if not frame.corrupt] == [
        *range(broken), *range(healed, FRAMES)
    ]  # fmt: skip


def test_a_whole_stream_has_no_damage_whether_packets_may_be_lost_or_not(clip: Path) -> None:
    for lossy in (False, True):
        run = play(scripted(clip), lossy)
        assert run.marked() == [False] * FRAMES
        assert run.counters == StreamCounters(FRAMES, FRAMES, 0)
    run = decode(clip)
    assert run.marked() == [False] * FRAMES and isinstance(run.error, SourceEnded)


def without(pictures: list[Unit], *missing: int) -> list[Unit]:
    """Lose whole pictures, of which only the gap between the time stamps tells."""
    everything = frozenset(range(1000))
    return [replace(unit, lost=everything) if index in missing else unit for index, unit in enumerate(pictures)]


def test_a_picture_that_was_lost_as_a_whole_damages_those_that_build_on_it(clip: Path) -> None:
    run = play(without(scripted(clip), 27), lossy=True)
    assert len(run.frames) == FRAMES - 1
    assert run.marked() == [False] * 27 + [True] * 12 + [False] * 20


@pytest.fixture
def gappy(tmp_path: Path, clip: Path) -> Path:
    """The clip with a pause of its time stamps where no picture is missing, in a file."""
    target = tmp_path / "gappy.mkv"
    with av.open(str(clip)) as source, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.pts is None or packet.dts is None or packet.time_base is None:
                continue
            if float(packet.pts * packet.time_base) > 2.55:
                packet.pts += round(1 / packet.time_base)
                packet.dts += round(1 / packet.time_base)
            packet.stream = stream
            out.mux(packet)
    return target


def test_a_gap_between_time_stamps_is_damage_only_where_packets_may_be_lost(gappy: Path) -> None:
    assert decode(gappy).marked() == [False] * FRAMES
    assert decode(gappy, lossy=True).marked() == [False] * 26 + [True] * 14 + [False] * 20


def test_a_rate_that_falls_is_damage_for_no_longer_than_the_median_needs(tmp_path: Path) -> None:
    """A dark camera sends fewer pictures: the first long steps are in doubt, the later ones are usual."""
    target = tmp_path / "slow.mkv"
    with av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=10, options={**clips.X264, "g": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(60):
            frame = av.VideoFrame.from_ndarray(picture(0), format="rgb24")
            frame.pts, frame.time_base = index if index < 20 else 20 + 5 * (index - 20), Fraction(1, 10)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    marked = decode(target, lossy=True).marked()
    assert not any(marked[:20]) and any(marked[20:30])
    assert not any(marked[30:])


class TickingClock(FakeClock):
    """Each look at it takes `step` seconds."""

    def __init__(self, step: float) -> None:
        super().__init__()
        self._step = step

    def monotonic(self) -> float:
        self.now += self._step
        return self.now


@pytest.mark.parametrize(("seconds", "healed"), [(1.0, True), (20.0, False)])
def test_a_camera_without_key_frames_is_believed_again_after_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, healed: bool
) -> None:
    """Six seconds of a clip that has one key frame."""
    monkeypatch.setattr(Damage, "HEAL_S", seconds)
    clip = clips.cut(tmp_path / "endless.mp4", SPAN, options={**clips.X264, "g": "1000"})
    hits = [round(time * clips.FPS) for time in clips.damage(clip, tmp_path / "damaged.ts", 0.1, 3, keys=False)]
    marked = decode(tmp_path / "damaged.ts").marked()
    assert len(hits) > 1 and not any(marked[: hits[0]]) and all(marked[hits[-1] : hits[-1] + 5])
    assert any(not mark for mark in marked[hits[0] :]) == healed


def test_a_camera_over_udp_with_uneven_steps_is_not_damaged(tmp_path: Path) -> None:
    """20 frames a second from a sensor with 30: steps of 33 and 67 ms."""
    target = tmp_path / "uneven.mkv"
    with av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=30, options={**clips.X264, "g": "40"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(120):
            frame = av.VideoFrame.from_ndarray(picture(0), format="rgb24")
            frame.pts, frame.time_base = index * 3 // 2, Fraction(1, 30)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert sum(decode(target, lossy=True).marked()) == 0


# Streams


def two_streams(path: Path) -> Path:
    """A file whose second video stream is dark and smaller, with sound between them."""
    with av.open(str(path), "w") as out:
        streams = []
        for width, height in ((64, 48), (32, 24)):
            stream = out.add_stream("libx264", rate=10, options={"bf": "0"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            streams.append(stream)
        for index in range(5):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(picture(index, stream.width, stream.height), format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 10)
                out.mux(stream.encode(frame))
        for stream in streams:
            out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("stream", "width"), [(0, 64), (1, 32)])
def test_a_source_with_several_video_streams_gives_the_one_that_was_chosen(
    tmp_path: Path, stream: int, width: int
) -> None:
    run = decode(two_streams(tmp_path / "two.mkv"), stream=stream)
    assert [frame.video.width for frame in run.frames] == [width] * 5
    assert run.counters == StreamCounters(5, 5, 0)


def test_a_stream_that_the_source_does_not_have_is_told_with_those_that_it_has(tmp_path: Path) -> None:
    path = two_streams(tmp_path / "two.mkv")
    with pytest.raises(SourceError, match=r"it: this source has no video stream 2: set stream to a number from 0 to 1"):
        decode(path, stream=2)


# Counters, patience, ends


def test_counters_go_on_from_connection_to_connection(tmp_path: Path) -> None:
    clip, counters = write_clip(tmp_path / "a.mp4", 10), StreamCounters()
    for _ in range(3):
        decode(clip, counters=counters)
    assert counters == StreamCounters(received=30, decoded=30, corrupt=0)


def ruined(clip: Path, target: Path, first: int, count: int) -> Path:
    """Replace packets of a clip by noise."""
    with av.open(str(clip)) as source, av.open(str(target), "w", format="matroska") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(source.demux(source.streams.video[0])):
            if packet.dts is None:
                continue
            noise = av.Packet(b"\xff" * 40 if first <= index < first + count else bytes(packet))
            noise.pts, noise.dts, noise.time_base, noise.stream = packet.pts, packet.dts, packet.time_base, stream
            noise.is_keyframe = packet.is_keyframe
            out.mux(noise)
    return target


def test_a_packet_that_cannot_be_decoded_costs_its_frame_and_those_that_build_on_it(
    clip: Path, tmp_path: Path
) -> None:
    run = decode(ruined(clip, tmp_path / "ruined.mkv", 25, 3))
    assert (run.counters.received, run.counters.decoded, len(run.frames)) == (FRAMES, FRAMES - 3, FRAMES - 3)
    assert run.marked() == [False] * 25 + [True] * 12 + [False] * 20
    assert run.counters.corrupt == 3 + 12
    assert isinstance(run.error, SourceEnded)


def test_a_source_that_can_never_be_decoded_is_given_up(tmp_path: Path) -> None:
    clip = clips.cut(tmp_path / "long.mp4", ((4.0, 18.0),))
    run = decode(ruined(clip, tmp_path / "ruined.mkv", 10, 130))
    assert not isinstance(run.error, SourceEnded) and "the file is damaged" in str(run.error)
    assert (len(run.frames), run.counters) == (10, StreamCounters(110, 10, Decoder.MAX_DAMAGED))


def test_a_file_that_ends_in_noise_is_no_whole_file(clip: Path, tmp_path: Path) -> None:
    run = decode(ruined(clip, tmp_path / "ruined.mkv", 55, 5))
    assert len(run.frames) == 55
    assert not isinstance(run.error, SourceEnded) and "it ends in data that cannot be decoded" in str(run.error)


def keyless(clip: Path) -> list[Unit]:
    """A camera that sends its parameters and never a key frame."""
    pictures = scripted(clip)
    parameters = b"".join(
        b"\0\0\0\1" + nal for nal in clips.nals(pictures[0].data) if nal[0] & 0x1F in (7, 8)
    )
    return [replace(pictures[0], data=parameters), *(unit for unit in pictures if not unit.key)]


def test_packets_without_a_picture_are_waited_for_with_patience_only(clip: Path) -> None:
    pictures = keyless(clip)
    with ScriptedRtsp(pictures, speed=4) as camera:
        run = decode(camera.url, clock=TickingClock(0.1), patience=2.0)
    assert run.frames == []
    assert str(run.error).startswith("it: data comes, but no picture in 2 s: is it the right stream")
    assert run.counters.received < len(pictures), "it was given up while packets came"


def test_a_picture_now_and_then_is_enough_for_the_patience(tmp_path: Path) -> None:
    """The first pictures wait for their B frames; the pictures after them follow at once."""
    clip = write_clip(tmp_path / "a.mp4", 20, gop=20)
    run = decode(clip, clock=TickingClock(0.1), patience=1.0)
    assert len(run.frames) == 20 and isinstance(run.error, SourceEnded)


def test_how_long_the_reader_waited_does_not_count_what_was_done_with_the_frame(tmp_path: Path) -> None:
    clock = FakeClock()
    source = Decoder("it", StreamCounters(), clock)
    source.open(str(write_clip(tmp_path / "a.mkv", 5, codec="mpeg4")), {}, None)
    found = []
    for _ in range(5):
        found.append(source.next())
        clock.now += 7.0
    source.close()
    assert [frame.waited for frame in found] == [0.0] * 5
    assert [frame.arrival - found[0].arrival for frame in found] == [0.0, 7.0, 14.0, 21.0, 28.0]


@pytest.mark.parametrize("path", ["url", "snapshot_url"])
def test_pictures_over_http_only_count_frames(tmp_path: Path, path: str) -> None:
    with HttpCamera(clips.jpegs(write_clip(tmp_path / "a.mp4", 3))) as camera:
        source = Decoder("it", StreamCounters(), SystemClock())
        source.open(getattr(camera, path), {}, (5.0, 5.0))
        counts, width = source.counts_frames, source.next().video.width
        source.close()
    assert (counts, width) == (True, 64)


def test_a_file_and_rtsp_tell_real_times(clip: Path) -> None:
    source = Decoder("it", StreamCounters(), SystemClock())
    source.open(str(clip), {}, None)
    assert not source.counts_frames
    source.close()
    with ScriptedRtsp(scripted(clip)) as camera:
        source.open(camera.url, RTSP, (5.0, 5.0))
        assert not source.counts_frames
        source.close()


def test_a_closed_decoder_has_no_frames(clip: Path) -> None:
    source = Decoder("it", StreamCounters(), SystemClock())
    source.open(str(clip), {}, None)
    source.next()
    source.close()
    source.close()
    with pytest.raises(SourceEnded):
        source.next()


def test_a_camera_without_key_frames_that_fell_behind_is_not_skipped_for_ever(clip: Path) -> None:
    pictures = [picture for picture in scripted_rtsp.units(clip) if not picture.key or picture.at == 0]
    with ScriptedRtsp(pictures, speed=2.0) as camera:
        source = Decoder("it", StreamCounters(), SystemClock(), patience=0.5)
        source.open(camera.url, RTSP, (5.0, 5.0))
        source.next()
        source.skip()
        with pytest.raises(SourceError, match="does the camera send key frames"):
            source.next()
        source.close()


def test_a_decoder_that_is_told_to_skip_goes_on_with_the_next_key_frame_and_nothing_is_damaged(clip: Path) -> None:
    counters = StreamCounters()
    source = Decoder("it", counters, SystemClock())
    source.open(str(clip), {}, None)
    frames = [source.next() for _ in range(5)]
    source.skip()
    frames += [source.next() for _ in range(5)]
    source.close()
    keys = [index for index, frame in enumerate(frames) if frame.video.key_frame]
    assert keys == [0, 5] and frames[5].stamp == 2.0, "the clip has a key frame every two seconds"
    assert not any(frame.corrupt for frame in frames)
    assert (counters.received, counters.skipped, counters.decoded) == (25, 15, 10)
