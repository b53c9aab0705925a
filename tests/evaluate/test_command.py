"""`soteirad eval` as an owner types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command import typed
from tests.daemon import soteirad
from tests.evaluate.made import CARD, write_data

pytest.importorskip("pycocotools", reason="AP needs pycocotools: install the extra `eval`")


def test_json_goes_to_the_output_alone_and_the_report_to_its_file(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    data = write_data(tmp_path / "data")
    models = ("--model", CARD, "--model", f"{CARD}@onnx:fp32")
    result = soteirad("eval", "--data", data, *models, "--json", "--html", report, "--nms-iou", "0.6")
    assert (result.returncode, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    assert (len(document["runs"]), document["settings"]["nms_iou"]) == (2, 0.6)
    assert report.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(("arguments", "told"), [
    (("--data", "no-such-data", "--model", CARD), "no-such-data: there is no such folder"),
    (("--data", ".", "--model", "yolo-900"), "there is no such model card"),
    (("--data", ".", "--model", CARD), "no COCO data was found here"),
    (("--data", ".", "--model", CARD, "--html", "none/report.html"), "the report cannot be written there"),
])  # fmt: skip
def test_what_is_wrong_is_told_in_one_line(arguments: tuple[str, ...], told: str) -> None:
    result = typed("eval", *arguments)
    assert (result.returncode, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1 and told in result.stderr
