"""The whole command on a short clip: what it prints and writes, and what it says of mistakes."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from soteirad.cli import main
from soteirad.tune.advice import GOALS
from soteirad.tune.present import TIMED
from tests import clips
from tests.daemon import soteirad

BIG = 3_000_000


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person comes in after 2.5 s; 7 s."""
    return clips.cut(tmp_path_factory.mktemp("short") / "hall.mp4", ((4.3, 11.0),))


@pytest.fixture(scope="module")
def written(short: Path) -> tuple[dict[str, Any], str, Path]:
    """The JSON document and the report of one run, and the folder with the lines to apply."""
    report, folder = short.with_name("report.html"), short.with_name("lines")
    result = soteirad("tune", short, "--json", "--out", report, "--yaml", folder)
    assert (result.returncode, result.stderr) == (0, "")
    return json.loads(result.stdout), report.read_text(encoding="utf-8"), folder


def untimed(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: untimed(v) for k, v in value.items() if k not in TIMED}
    return [untimed(v) for v in value] if isinstance(value, list) else value


def test_about_a_hundred_settings_are_tried_and_three_are_recommended(
    written: tuple[dict[str, Any], str, Path]
) -> None:
    document = written[0]
    assert document["reference"] == "every frame" and len(document["settings"]) >= 100
    assert [label for label, _ in document["clips"][0]["entries"]] == ["person"]
    assert document["present"]["changes"] == {}
    assert tuple(document["recommendations"]) == GOALS
    for advice in document["recommendations"].values():
        assert advice["found"] == 1 and (advice["yaml"] == "") == (advice["changes"] == {})
    present = document["present"]["settings"]
    sure, balanced, saving = (document["recommendations"][goal]["settings"] for goal in GOALS)
    keys = ("motion.threshold", "objects.stride", "scene.distance", "scene.interval", "objects.still_interval")
    assert all(sure[k] <= present[k] for k in keys) and sure["scene.ssim"] >= present["scene.ssim"]
    assert all(s[k] <= 2 * present[k] for k in keys for s in (balanced, saving)), "one entry is few"
    saving = document["recommendations"]["save power"]
    assert saving["looks"] < document["present"]["looks"]


def test_the_lines_to_apply_are_files_of_what_is_printed(written: tuple[dict[str, Any], str, Path]) -> None:
    document, _, folder = written
    advice = document["recommendations"].items()
    expected = {f"{goal.replace(' ', '-')}.yaml": a["yaml"] for goal, a in advice if a["yaml"]}
    assert {p.name: p.read_text(encoding="utf-8") for p in folder.iterdir()} == expected


def test_a_second_run_says_the_same_and_measures_nothing_again(
    written: tuple[dict[str, Any], str, Path], short: Path
) -> None:
    report = short.with_name("again.html")
    again = json.loads(soteirad("tune", short, "--json", "--out", report).stdout)
    assert untimed(again) == untimed(written[0])
    assert again["clips"][0]["stage_ms"] == written[0]["clips"][0]["stage_ms"], "the times are those of the measurement"
    assert report.read_text(encoding="utf-8") == written[1]


def test_a_clip_that_was_renamed_has_its_new_name_also_where_no_terminal_could_print_it(
    written: tuple[dict[str, Any], str, Path], short: Path, tmp_path: Path
) -> None:
    named, report = tmp_path / "<b>\udcff\x1b[31m.mp4", tmp_path / "report.html"
    named.symlink_to(short)
    result = soteirad("tune", named, "--json", "--out", report)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["clips"][0]["clip"] == "<b>? [31m.mp4"
    html = report.read_text(encoding="utf-8")
    assert "&lt;b&gt;? [31m.mp4" in html and "<b>?" not in html and "hall.mp4" not in html


def test_the_report_asks_nothing_of_anybody_and_is_small(written: tuple[dict[str, Any], str, Path]) -> None:
    html = written[1]
    assert len(html) < BIG
    assert "default-src 'none'" in html and "sha256-" in html
    addresses = re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?([^\s\"'>)]+)", re.sub(r"base64,[^\"]+", "base64,", html))
    assert addresses and all(a.startswith(("data:", "#")) for a in addresses)
    assert html.count("data:image/jpeg") == 1


def test_without_json_a_table_and_the_lines_are_printed(short: Path) -> None:
    result = soteirad("tune", short)
    assert (result.returncode, result.stderr) == (0, "")
    assert "miss nothing" in result.stdout and "# save power" in result.stdout and "stride:" in result.stdout


def test_labels_judge_instead_of_the_detector_and_a_camera_has_the_lines_under_its_name(
    short: Path, tmp_path: Path
) -> None:
    config, labels = tmp_path / "soteira.yaml", tmp_path / "labels.txt"
    camera = "cameras:\n  porch:\n    source: rtsp://10.0.0.7/stream\n    objects: {stride: 2}\n"
    config.write_text(camera, encoding="utf-8")
    labels.write_text("2 person\n4.5 person # nobody else comes\n", encoding="utf-8")
    result = soteirad("tune", short, "-c", config, "--camera", "porch", "--labels", labels, "--json")
    document = json.loads(result.stdout)
    assert document["reference"] == "labels" and document["present"]["entries"] == 2
    assert document["present"]["found"] == 1
    assert any("'miss nothing' misses 1 of 2 entries here" in note for note in document["notes"])
    assert document["present"]["settings"]["objects.stride"] == 2
    assert document["recommendations"]["save power"]["yaml"].startswith("cameras:\n  porch:\n")
    assert len({s["settings"]["objects.min_score"] for s in document["settings"]}) > 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["gone.mp4"], "gone.mp4: there is no such file"),
        (["hall.mp4", "--camera", "porch"], "give its file with --config"),
        (["hall.mp4", "--labels", "bad.txt"], "bad.txt:2:1: soon is no time"),
        (["hall.mp4", "--labels", "bad.txt", "--labels", "bad.txt"], "2 label files for 1 clips"),
        (["hall.mp4", "--track", "unicorn"], "unicorn"),
        (["hall.mp4", "--out", "none/report.html"], "the report cannot be written there"),
        (["gone.mp4", "--yaml", "bad.txt"], "the recommendations cannot be written there: give a folder"),
        (["gone.mp4", "--yaml", "bad.txt/lines"], "the recommendations cannot be written there: give a folder"),
        (["brief.mp4"], "too few to tune by"),
        (["text.mp4"], "text.mp4"),
        (["pipe.mp4"], "pipe.mp4: this is no file"),
        (["hall.mp4", "again.mp4"], "again.mp4: this is the same film as"),
        (["hall.mp4", "--track", "cat"], "nothing that is looked for (cat) comes into the picture"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    options: list[str], said: str,
) -> None:
    (tmp_path / "hall.mp4").symlink_to(short)
    (tmp_path / "again.mp4").symlink_to(short)
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "bad.txt").write_text("1 person\nsoon person\n", encoding="utf-8")
    (tmp_path / "text.mp4").write_text("no video", encoding="utf-8")
    if "brief.mp4" in options:
        clips.cut(tmp_path / "brief.mp4", ((4.0, 5.0),))
    given = [str(tmp_path / option) if "." in option else option for option in options]
    monkeypatch.setattr(sys, "argv", ["soteirad", "tune", *given])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    assert ended.value.code == 1 and said in printed.err
    assert len(printed.err.strip().splitlines()) == 1 and printed.out == ""
