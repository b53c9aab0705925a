"""Replay of a short clip: what it prints and writes."""

from __future__ import annotations

import csv
import errno
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from soteirad.capture.clock import SystemClock
from soteirad.errors import SoteiraError
from soteirad.tools.check import replay_camera
from soteirad.tools.replay import TIMINGS, Play, Replay, replay, replay_all, report, summed, write_csv
from soteirad.tools.signals import FIELDS, SignalsFiles
from tests.clips import FPS
from tests.daemon import kinds, soteirad

FRAMES = 11 * FPS


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, entry_clip: Path) -> tuple[dict[str, Any], Path]:
    """The JSON document and the CSV file of one replay."""
    path = tmp_path_factory.mktemp("csv") / "events.csv"
    result = soteirad("replay", entry_clip, "--track", "person,cat", "--json", "--csv", path)
    assert (result.returncode, result.stderr) == (0, "")
    return json.loads(result.stdout), path


def test_the_document_holds_events_and_how_far_the_frames_came(written: tuple[dict[str, Any], Path]) -> None:
    document, summary = written[0], written[0]["summary"]
    assert set(document) == {"events", "summary"}
    assert {"frames", "analysed", "motion", "scene", "detector_runs", "latency_ms"} <= set(summary)
    assert summary["frames"] == summary["analysed"] == FRAMES
    assert 0 < summary["detector_runs"] < summary["motion"] < FRAMES
    assert 0 < summary["latency_ms"]["p50"] <= summary["latency_ms"]["p95"]
    assert summary["events"] == len(document["events"])


def test_a_visit_that_is_open_at_the_end_of_the_clip_ends_with_it(written: tuple[dict[str, Any], Path]) -> None:
    events = written[0]["events"]
    assert kinds(events) == ["entered person", "left person source_ended"]
    assert [e["media_time"] for e in events] == pytest.approx([5.8, 10.5], abs=1.0)
    assert [e["track_id"] for e in events] == [1, 1] and "snapshot" not in events[0]


def test_the_csv_file_has_a_header_and_a_row_for_each_event(written: tuple[dict[str, Any], Path]) -> None:
    document, path = written
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert ",".join(rows[0]) == (
        "media_time,event_type,label,track_id,confidence,x1,y1,x2,y2,dwell,trigger,reason,zones,id"
    )
    assert [(r["id"], r["event_type"], r["label"], float(r["media_time"])) for r in rows] == [
        (e["id"], e["event_type"], e["label"], e["media_time"]) for e in document["events"]
    ]
    assert [[int(r[k]) for k in ("x1", "y1", "x2", "y2")] for r in rows] == [e["box"] for e in document["events"]]


def test_without_json_each_event_is_a_line_and_a_table_follows(entry_clip: Path) -> None:
    result = soteirad("replay", entry_clip, "--track", "person, cat")
    assert (result.returncode, result.stderr) == (0, "")
    assert [line.split()[1:3] for line in result.stdout.splitlines()[:2]] == [["entered", "person"], ["left", "person"]]
    assert "detector runs" in result.stdout


def test_every_frame_looks_at_every_analysed_frame_and_fps_limits_those(entry_clip: Path) -> None:
    result = soteirad("replay", entry_clip, "--every-frame", "--fps", "2", "--json")
    summary = json.loads(result.stdout)["summary"]
    assert summary["frames"] == FRAMES
    assert summary["detector_runs"] == summary["analysed"] == FRAMES / FPS * 2


def test_a_replay_takes_the_settings_of_a_camera_and_options_go_before_them(tmp_path: Path, entry_clip: Path) -> None:
    config = tmp_path / "soteira.yaml"
    config.write_text(
        "cameras:\n  yard: {source: a.mp4}\n"
        "  porch:\n    source: rtsp://10.0.0.7/stream\n    fps: 5\n    objects: {track: [cat]}\n"
        "    zones: {step: {coordinates: [0,0,1,0,1,1,0,1]}}\n",
        encoding="utf-8",
    )

    own = replay(*replay_camera(entry_clip, config, "porch", "max", {}))
    result = soteirad("replay", entry_clip, "-c", config, "--camera", "porch", "--json", "--track", "person")
    changed = json.loads(result.stdout)
    assert own.summary["analysed"] == FRAMES / 2 and own.events == []
    assert kinds(changed["events"]) == ["entered person", "left person source_ended"]
    assert {(e["camera"], *e["zones"]) for e in changed["events"]} == {("porch", "step")}


def test_a_csv_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SoteiraError, match=r"events.csv: the CSV file cannot be written: No such file"):
        write_csv(tmp_path / "none" / "events.csv", [], [])


class StillClock(SystemClock):
    """Time passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        self.now += max(0.0, seconds)
        return stop.is_set()


def without_timings(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_timings(below) for key, below in value.items() if key not in TIMINGS}
    return [without_timings(item) for item in value] if isinstance(value, list) else value


def play(clip: Path, speed: str = "max", **keys: Any) -> Play:
    return Play(clip, *replay_camera(clip, None, None, speed, keys))


@pytest.mark.parametrize(("speed", "waited"), [("1", 8.4), ("4", 2.1), ("0.5", 16.8), ("max", 0.0)])
def test_a_clip_is_played_in_real_time_times_the_speed(leaving_clip: Path, speed: str, waited: float) -> None:
    clock = StillClock()
    clip = play(leaving_clip, speed, fps=1.0)
    replay(clip.name, clip.camera, clock=clock)
    assert clock.now - 1000.0 == pytest.approx(waited, abs=0.11)


def test_at_any_speed_and_in_any_process_the_report_and_the_signals_are_the_same_but_for_the_timings(
    tmp_path: Path, leaving_clip: Path
) -> None:
    done = soteirad("replay", leaving_clip, "--speed", "20", "--json", "--record", tmp_path / "0")
    assert (done.returncode, done.stderr) == (0, "")
    reports = [json.dumps(without_timings(json.loads(done.stdout)))]
    for number, speed in enumerate(("1", "max"), 1):
        clip, signals = play(leaving_clip, speed), SignalsFiles(tmp_path / f"{number}", leaving_clip.stem)
        signals.open()
        one = replay(clip.name, clip.camera, signals=signals, clock=StillClock())
        signals.finish(one.events)
        reports.append(json.dumps(without_timings(json.loads(json.dumps(report([clip], [one]))))))
    assert reports[0] == reports[1] == reports[2] and '"left"' in reports[0]
    files = [{path.name: path.read_bytes() for path in (tmp_path / f"{n}").iterdir()} for n in range(3)]
    assert files[0] == files[1] == files[2] and set(files[0]) == {"leaving.signals.csv", "leaving.events.csv"}


def test_recorded_signals_have_a_row_for_each_analysed_frame_and_agree_with_the_summary(
    tmp_path: Path, entry_clip: Path
) -> None:
    done = replay_all([play(entry_clip, track=["person", "cat"], fps=5.0)], folder=tmp_path / "new" / "signals")[0]
    with (tmp_path / "new" / "signals" / "entry.signals.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == FIELDS
    counts, looks = done.summary, [row for row in rows if row["look"]]
    assert len(rows) == counts["analysed"] and [row["frame"] for row in rows[:3]] == ["0", "2", "4"]
    for column, count in (("motion_open", "motion"), ("scene_ran", "scene_runs"), ("scene_open", "scene"),
                          ("detector_ran", "detector_runs")):  # fmt: skip
        assert sum(int(row[column]) for row in rows) == counts[count] > 0 or column == "scene_open"
    assert len(looks) == counts["detector_runs"] and {row["look"] for row in looks} == set(counts["looks"])
    assert all(row["detections"] == row["best"] == row["boxes"] == "" for row in rows if not row["look"])
    entered = done.events[0]
    row = next(row for row in rows if row["media_time"] == str(round(entered.media_time or 0, 3)))
    boxes = json.loads(row["boxes"])
    assert int(row["detections"]) == len(boxes) and json.loads(row["best"])["person"] == boxes[0][1]
    assert boxes[0][1] == pytest.approx(entered.confidence, abs=0.01)
    with (tmp_path / "new" / "signals" / "entry.events.csv").open(newline="", encoding="utf-8") as file:
        assert [row["id"] for row in csv.DictReader(file)] == [event.id for event in done.events]


def test_several_clips_each_have_a_start_of_their_own_and_a_report_with_sums(
    tmp_path: Path, entry_clip: Path, leaving_clip: Path
) -> None:
    clips = [leaving_clip, entry_clip]
    printed = soteirad("replay", *clips, "--fps", "3", "--json", "--csv", tmp_path / "events.csv")
    assert (printed.returncode, printed.stderr) == (0, "")
    document = json.loads(printed.stdout)
    alone = [json.loads(json.dumps(replay_all([play(clip, fps=3.0)])[0].document())) for clip in clips]
    assert set(document) == {"clips", "summary"}
    assert [clip["clip"] for clip in document["clips"]] == [str(clip) for clip in clips]
    each = [{key: clip[key] for key in ("events", "summary")} for clip in document["clips"]]
    assert without_timings(each) == without_timings(alone) and all(clip["events"] for clip in each)
    for key in ("frames", "analysed", "detector_runs", "events"):
        assert document["summary"][key] == sum(one["summary"][key] for one in alone)
    with (tmp_path / "events.csv").open(newline="", encoding="utf-8") as file:
        rows = [(row["clip"], row["id"]) for row in csv.DictReader(file)]
    assert rows == [(str(clip), event["id"]) for clip, one in zip(clips, alone, strict=True) for event in one["events"]]


def test_sums_are_of_counts_and_of_seconds_and_of_nothing_else() -> None:
    one = {"frames": 3, "looks": {"motion": 1}, "latency_ms": {"p50": 1.5}, "seconds": 0.25, "detector": {"name": "x"}}
    two = {"frames": 4, "looks": {"start": 2}, "latency_ms": {}, "seconds": 1.0, "detector": {"name": "x"}}
    assert summed([one, two]) == {"clips": 2, "frames": 7, "looks": {"motion": 1, "start": 2}, "seconds": 1.25}
    assert report([play(Path("a"))], [Replay([], one)]) == {"events": [], "summary": one}


def test_clips_that_are_not_there_or_have_one_name_are_told_before_anything_is_played(
    tmp_path: Path, entry_clip: Path
) -> None:
    with pytest.raises(SoteiraError, match=r"none.mp4: there is no such file: nothing was played"):
        replay_all([play(entry_clip), play(tmp_path / "none.mp4")])
    (tmp_path / "entry.mkv").write_bytes(b"x")
    with pytest.raises(SoteiraError, match=r"both would be recorded as entry.signals.csv"):
        replay_all([play(entry_clip), play(tmp_path / "entry.mkv")], folder=tmp_path / "signals")
    assert not (tmp_path / "signals").exists()


def test_a_folder_that_cannot_be_written_is_named_and_a_broken_clip_leaves_no_half_files(
    tmp_path: Path, entry_clip: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SoteiraError, match=r"file/entry.signals.csv: the signals cannot be written"):
        replay_all([play(entry_clip)], folder=tmp_path / "file")
    (tmp_path / "broken.mp4").write_bytes(entry_clip.read_bytes()[:20_000])
    with pytest.raises(SoteiraError):
        replay_all([play(tmp_path / "broken.mp4")], folder=tmp_path / "signals")
    assert list((tmp_path / "signals").iterdir()) == []


def test_a_folder_that_becomes_read_only_is_told_in_an_owners_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    signals = SignalsFiles(tmp_path, "a")
    signals.open()
    monkeypatch.setattr("pathlib.Path.replace", refuse)
    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    with pytest.raises(SoteiraError, match=r"a.signals.csv: the signals cannot be written: Read-only file system"):
        signals.finish([])
