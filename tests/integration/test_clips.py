"""Clips of visits: the real daemon, real cameras, real files; what is in them is decoded and looked at."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests import clips
from tests.brokers import Mosquitto, Received, Subscriber
from tests.daemon import clips_told, epoch, events, kinds, write_config
from tests.house import MakeCamera, StartDaemon
from tests.http_camera import HttpCamera
from tests.played import Picture, boxes, likeness, pictures, probe
from tests.rtsp_server import G711, pipeline_of

SHORT = {"enabled": True, "after": 1, "max": 6.5}
"""Clips that are complete soon after the entry."""
KEY_EVERY = 20
"""Pictures of the clips that tests cut, of which the first is a key picture."""


def wait_for_clips(listener: Subscriber, cameras: Iterable[str], timeout: float = 90.0) -> list[Received]:
    """Wait until of each camera a clip was told."""
    return listener.wait_for(lambda seen: all(clips_told(seen, name) for name in cameras), timeout)


def played(folder: Path, clip: dict[str, Any]) -> tuple[list[dict[str, Any]], list[tuple[float, Picture]]]:
    """Return a clip's streams, as ffprobe sees them, and its pictures; all of it plays, while it is loaded too."""
    path = folder / "state" / "clips" / clip["clip"]
    assert boxes(path)[:2] == ["ftyp", "moov"] and "moof" not in boxes(path), "it does not play while it is loaded"
    assert path.stat().st_size == clip["why"]["bytes"] and clip["why"]["parts"] == 1
    streams, found = probe(path)["streams"], pictures(path)
    assert int(streams[0]["nb_read_frames"]) == len(found)
    assert abs(found[-1][0] - found[0][0] - clip["why"]["seconds"]) <= 0.3
    return streams, found


def assert_shows_its_entry(folder: Path, messages: list[Received], name: str, most: float = 15.0,
                           apart_s: float = 0.15) -> list[dict[str, Any]]:  # fmt: skip
    """See that a camera's first clip begins 4 s before its entry and shows at its time what is in the box of its
    snapshot, within `most` levels; returns its streams."""
    clip = clips_told(messages, name)[0]
    entered = next(e for e in events(messages, name) if e["id"] == clip["about"])
    assert entered["clip"] == clip["clip"] == f"{name}/{entered['time'][:10]}/{entered['id']}.mp4"
    assert all(clip[key] == entered[key] for key in ("time", "label", "track_id", "zones"))
    streams, found = played(folder, clip)
    before = epoch(entered["time"]) - epoch(clip["why"]["begins"])
    assert before >= 4.0, f"{name}: it begins {before:.1f} s before the entry"
    snapshot = cv2.imread(str(folder / "state" / "snapshots" / entered["snapshot"]))
    assert snapshot is not None
    x1, y1, x2, y2 = entered["box"]
    part = slice(max(0, y1 - 20), y2 + 20), slice(max(0, x1 - 20), x2 + 20)
    apart = {at - found[0][0]: likeness(np.asarray(snapshot[part], np.uint8), one[part]) for at, one in found}
    best = min(apart, key=lambda at: apart[at])
    assert apart[best] < most and abs(best - before) <= apart_s, (
        f"{name}: the picture of the entry is {best - before:.2f} s from where it should be, and {apart[best]:.1f} off")
    return streams


def test_a_camera_s_own_packets_become_a_clip_that_begins_before_the_entry_and_shows_it(
    tmp_path: Path, make_camera: MakeCamera, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon,
    entry_clip: Path,
) -> None:  # fmt: skip
    """Of H.264 and H.265; with its sound if that is AAC and is wanted; of the detail stream if that is wanted."""
    servers = {name: make_camera() for name in ("porch", "hevc", "sound", "silent", "g711", "large")}
    sounding = clips.with_sound(tmp_path / "sound.mp4", entry_clip)
    large = clips.altered(tmp_path / "large.mp4", clips.ENTRY, lambda picture, _: np.asarray(
        cv2.resize(picture, (960, 540)), np.uint8))  # fmt: skip
    servers["porch"].start(entry_clip)
    servers["hevc"].start(clips.cut_hevc(tmp_path / "hevc.mp4", clips.ENTRY))
    servers["large"].start(large)
    for name, sound in (("sound", ""), ("silent", ""), ("g711", G711)):
        servers[name].start_pipeline(pipeline_of(sounding, sound))
    cameras: dict[str, dict[str, Any]] = {
        name: {"source": server.url} for name, server in servers.items() if name != "large"
    }
    cameras["silent"]["clips"] = {"audio": False}
    cameras["porch"] |= {"detail": servers["large"].url, "clips": {"stream": "detail"}}
    start_daemon(write_config(tmp_path, broker.port, cameras, clips=SHORT))
    messages = wait_for_clips(listener, cameras)
    kinds_of = {}
    for name in cameras:
        if name == "porch":
            continue
        streams = assert_shows_its_entry(tmp_path, messages, name)
        kinds_of[name] = [stream["codec_tag_string"] for stream in streams]
    assert kinds_of == {"hevc": ["hvc1"], "sound": ["avc1", "mp4a"], "silent": ["avc1"], "g711": ["avc1"]}
    assert clips_told(messages, "sound")[0]["why"]["audio"] and not clips_told(messages, "g711")[0]["why"]["audio"]
    detail = clips_told(messages)[0]
    streams, _ = played(tmp_path, detail)
    assert (streams[0]["width"], streams[0]["height"]) == (960, 540)
    assert epoch(detail["time"]) - epoch(detail["why"]["begins"]) >= 4.0
    for path in (tmp_path / "state" / "clips").rglob("*"):
        assert not path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH), path
    assert not list((tmp_path / "state" / "clips").rglob(".*")), "nothing half-written is left"


MASK = [0.0, 0.0, 0.25, 0.0, 0.25, 0.25, 0.0, 0.25]
"""The upper left corner."""


def test_what_cannot_be_passed_on_is_encoded_and_what_is_masked_is_black_in_the_clip(
    tmp_path: Path, make_camera: MakeCamera, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon,
    entry_clip: Path,
) -> None:  # fmt: skip
    """MJPEG over RTSP and HTTP, a masked camera, though clips of its large stream are wished, and a turned one; and
    the source's own packets are passed on when the large stream cannot be reached."""
    servers = {name: make_camera() for name in ("masked", "turned", "mjpeg", "alone")}
    upside_down = clips.altered(tmp_path / "turned.mp4", clips.ENTRY, lambda picture, _: np.ascontiguousarray(
        picture[::-1, ::-1]))  # fmt: skip
    servers["masked"].start(entry_clip)
    servers["alone"].start(entry_clip)
    servers["turned"].start(upside_down)
    servers["mjpeg"].start(clips.cut_mjpeg(tmp_path / "mjpeg.avi", clips.ENTRY))
    cameras: dict[str, dict[str, Any]] = {name: {"source": server.url} for name, server in servers.items()}
    of_detail = {"detail": "rtsp://127.0.0.1:1/none", "clips": {"stream": "detail"}}
    cameras["masked"] |= {"privacy_mask": [MASK], **of_detail}
    cameras["alone"] |= of_detail
    cameras["turned"] |= {"rotate": 180}
    with HttpCamera(clips.jpegs(entry_clip), loop=False) as http:
        cameras["http"] = {"source": http.url}
        daemon = start_daemon(write_config(tmp_path, broker.port, cameras, clips=SHORT))
        messages = wait_for_clips(listener, cameras)
        for name in cameras:
            streams = assert_shows_its_entry(tmp_path, messages, name)
            assert streams[0]["codec_name"] == "h264"
        daemon.stop()
    clip = clips_told(messages, "masked")[0]
    for at, picture in pictures(tmp_path / "state" / "clips" / clip["clip"]):
        high, wide = picture.shape[:2]
        assert picture[: high // 4 - 8, : wide // 4 - 8].max() <= 24, f"it can be seen at {at:.1f} s"
    assert daemon.log().count("masked: clips are cut from the source: it has a privacy_mask") == 1
    assert daemon.log().count("alone: clips are cut from the source: rtsp://127.0.0.1:1/none: ") == 1
    assert "alone: its video is encoded" not in daemon.log()


@pytest.mark.parametrize("speed", ["max", 4])
def test_clips_of_a_file_are_right_in_media_time_and_a_long_visit_has_one_of_its_entry_and_one_of_its_departure(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, visit_clip: Path,
    speed: float | str,
) -> None:  # fmt: skip
    """A short one is in a single clip, and whoever stood there before has one of the departure."""
    standing = clips.cut(tmp_path / "leaving.mp4", clips.LEAVING)
    mjpeg = clips.cut_mjpeg(tmp_path / "mjpeg.avi", clips.VISIT)
    cameras = {"long": {"source": str(visit_clip), "speed": speed, "clips": {"max": 6}},
               "whole": {"source": str(visit_clip), "speed": speed},
               "mjpeg": {"source": str(mjpeg), "speed": speed},
               "gone": {"source": str(standing), "speed": speed}}  # fmt: skip
    section = {"enabled": True, "before": 3, "after": 2}
    daemon = start_daemon(write_config(tmp_path, broker.port, cameras, clips=section), "--until-end")
    assert daemon.wait_exit() == 0
    messages = listener.messages()
    found = {name: events(messages, name) for name in cameras}
    told = {name: {clip["about"]: clip for clip in clips_told(messages, name)} for name in cameras}
    for name in ("long", "whole", "mjpeg"):
        assert kinds(found[name]) == ["entered person", "left person"], name
    for name, indices in {"long": (0, 1), "whole": (0,), "mjpeg": (0,), "gone": (-1,)}.items():
        assert {*told[name]} == {found[name][index]["id"] for index in indices}, name
    assert [e["clip"] for e in found["whole"]] == [found["whole"][0]["clip"]] * 2
    assert [e["clip"] for e in found["long"]] == [f"long/{e['time'][:10]}/{e['id']}.mp4" for e in found["long"]]
    assert found["gone"][0]["event_type"] == "present" and found["gone"][0].get("clip") is None
    whole = found["whole"][1]["media_time"] - found["whole"][0]["media_time"] + 5
    for name, expected in {"long": (6.0, 5.0), "whole": (whole,), "gone": (5.0,)}.items():
        source = [picture for _, picture in pictures(Path(str(cameras[name]["source"])))]
        for clip, seconds in zip(told[name].values(), expected, strict=True):
            assert_is_of_the_file(played(tmp_path, clip)[1], source, clip["media_time"] - 3.0, seconds)
    _, shown = played(tmp_path, next(iter(told["mjpeg"].values())))
    assert shown[-1][0] >= whole - 0.5 and len(shown) >= 4 * whole


def assert_is_of_the_file(shown: Sequence[tuple[float, Picture]], source: Sequence[Picture], begins: float,
                          seconds: float) -> None:  # fmt: skip
    """See that a clip is that part of a file, from the key picture before its beginning on."""
    first = int(max(0.0, begins + 0.05) * clips.FPS) // KEY_EVERY * KEY_EVERY
    last = min(len(source) - 1, round((begins + seconds) * clips.FPS))
    assert abs(first + len(shown) - 1 - last) <= 1, "it does not end where it should"
    assert all(abs(later - sooner - 0.1) < 0.02 for (sooner, _), (later, _) in pairwise(shown))
    for index in (0, len(shown) // 2, len(shown) - 1):
        assert likeness(source[first + index], shown[index][1]) < 0.5, f"picture {index} is another one"
