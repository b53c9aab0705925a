"""Replay of a short clip: what it prints and writes."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

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


def test_a_second_replay_gives_the_same_events_ids_included(
    written: tuple[dict[str, Any], Path], entry_clip: Path
) -> None:
    again = json.loads(soteirad("replay", entry_clip, "--track", "person,cat", "--json").stdout)
    first, second = ([{**e, "latency_ms": None} for e in d["events"]] for d in (written[0], again))
    assert first == second and len(first) == 2


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

    def document(*options: str) -> dict[str, Any]:
        result = soteirad("replay", entry_clip, "-c", config, "--camera", "porch", "--json", *options)
        return dict(json.loads(result.stdout))

    own, changed = document(), document("--track", "person")
    assert own["summary"]["analysed"] == FRAMES / 2 and own["events"] == []
    assert kinds(changed["events"]) == ["entered person", "left person source_ended"]
    assert {(e["camera"], *e["zones"]) for e in changed["events"]} == {("porch", "step")}


def test_a_csv_file_that_cannot_be_written_is_named(tmp_path: Path, entry_clip: Path) -> None:
    result = soteirad("replay", entry_clip, "--fps", "1", "--csv", tmp_path / "none" / "events.csv")
    assert result.returncode == 1
    assert "events.csv: the CSV file cannot be written" in result.stderr and "Traceback" not in result.stderr
