"""The fault table is what the tests found, in a run of pytest of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.daemon import ROOT
from tests.fault_report import fault_table
from tests.generated import rewrite

TESTS = """
import pytest

@pytest.mark.fault("a plug is pulled", "it goes on")
def test_goes_on(measured):
    measured("back after 1.9 s")

@pytest.mark.fault("a plug is pulled", "it says so")
@pytest.mark.parametrize("who", ["first", "second"])
def test_says_so(measured, who):
    measured("one line")

@pytest.mark.fault("a disk is full", "it waits")
def test_breaks():
    raise AssertionError

@pytest.mark.fault("no lamp", "light")
def test_skips():
    pytest.skip("there is no lamp")

@pytest.fixture
def messy():
    yield
    raise RuntimeError

@pytest.mark.fault("it is not cleaned up", "it is clean")
def test_leaves_a_mess(messy):
    pass

def test_is_no_fault():
    pass
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "test_tiny.py").write_text(TESTS, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = fault(what, required): a row\n", encoding="utf-8")
    options = ["-q", "-p", "tests.fault_report", "--strict-markers", "--faults-report", "report.json"]
    command = [sys.executable, "-m", "pytest", *options]
    environment = {"PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    return list(json.loads((folder / "report.json").read_text(encoding="utf-8")))


def test_each_marked_test_is_in_the_report(results: list[dict[str, object]]) -> None:
    assert [(r["test"], r["outcome"]) for r in results] == [
        ("test_goes_on", "passed"),
        ("test_says_so[first]", "passed"),
        ("test_says_so[second]", "passed"),
        ("test_breaks", "failed"),
        ("test_skips", "skipped"),
        ("test_leaves_a_mess", "failed"),
    ]
    assert results[0]["measured"] == ["back after 1.9 s"] and results[4]["reason"] == "there is no lamp"
    assert all(isinstance(r["seconds"], float) for r in results)


def test_the_table_has_a_row_for_each_fault(results: list[dict[str, object]]) -> None:
    assert fault_table(results).splitlines() == [
        "| what goes wrong | what must happen | what happened |",
        "| --- | --- | --- |",
        "| a plug is pulled | it goes on; it says so | that, in 3 tests: back after 1.9 s; one line |",
        "| a disk is full | it waits | **not that**: `test_breaks` failed |",
        "| no lamp | light | not tried here: there is no lamp |",
        "| it is not cleaned up | it is clean | **not that**: `test_leaves_a_mess` failed |",
    ]


def test_only_a_documents_own_part_is_rewritten(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("# Title\n<!-- faults:begin -->\nold\n<!-- faults:end -->\nafter\n", encoding="utf-8")
    for text in ("new", "newer\n"):
        rewrite(document, "faults", text)
    assert document.read_text(encoding="utf-8") == (
        "# Title\n<!-- faults:begin -->\nnewer\n<!-- faults:end -->\nafter\n"
    )
    with pytest.raises(ValueError, match="no part"):
        rewrite(document, "soak", "text")
