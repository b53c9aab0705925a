"""The benchmark's result: what its tables say, and when the comparison with the committed run fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.figure import Figure, missing
from benchmarks.report import DOCUMENT, RESULTS, compare, document, markdown
from benchmarks.turns import in_turns, percentile, ratio


def committed(folder: Path, *figures: Figure) -> Path:
    path = folder / "benchmarks.json"
    path.write_text(json.dumps(document({"idle": figures}, False)))
    return path


@pytest.mark.parametrize(("value", "best", "met"), [(1.2, "low", True), (1.3, "low", False), (1.3, "high", True)])
def test_a_figure_meets_its_target_from_the_right_side(value: float, best: str, met: bool) -> None:
    assert Figure("k", "what", value, 1.25, best=best).met is met  # type: ignore[arg-type]
    assert Figure("k", "what", value).met is None
    assert missing("k", "what", "no camera", 1.25).met is None


def test_the_table_tells_misses_and_what_was_not_measured() -> None:
    figures = [Figure("a", "idle", 1.3, 1.25, note="two turns"), Figure("b", "start", 1.234, 2.0, "s"),
               missing("c", "motion", "it is not installed", 1.0)]  # fmt: skip
    lines = markdown(document({"idle": figures}, True)).splitlines()
    assert "| idle | 1.3 | at most 1.25 | **missed** | two turns |" in lines
    assert "| start | 1.23 s | at most 2 s | met |  |" in lines
    assert "| motion | - | at most 1 |  | not measured: it is not installed |" in lines
    assert "quick run" in lines[0]


def test_a_ratio_is_worse_only_beyond_its_margin(tmp_path: Path) -> None:
    path = committed(tmp_path, Figure("low", "", 1.0, margin=0.1), Figure("high", "", 1.0, best="high", margin=0.1))

    def worse(low: float, high: float) -> list[bool]:
        now = [Figure("low", "", low, margin=0.1), Figure("high", "", high, best="high", margin=0.1)]
        return [verdict.worse for verdict in compare(now, path)]

    assert worse(1.09, 0.91) == [False, False]
    assert worse(1.11, 0.89) == [True, True]
    assert worse(0.5, 2.0) == [False, False]


def test_times_what_is_new_and_what_was_not_measured_are_not_compared(tmp_path: Path) -> None:
    path = committed(tmp_path, Figure("time", "", 1.0, unit="s"), missing("absent", "", "not here"),
                     Figure("gone", "", 1.0, margin=0.1))  # fmt: skip
    now = [Figure("time", "", 9.0, unit="s"), Figure("absent", "", 9.0, margin=0.1), Figure("new", "", 9.0, margin=0.1),
           missing("gone", "", "not here")]  # fmt: skip
    assert compare(now, path) == []


def test_what_is_compared_takes_turns_in_alternating_order() -> None:
    order: list[str] = []

    def run(name: str) -> float:
        order.append(name)
        return float(len(order))

    taken = in_turns({"a": lambda: run("a"), "b": lambda: run("b")}, 3)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert taken == {"a": [1.0, 4.0, 5.0], "b": [2.0, 3.0, 6.0]}
    assert ratio(taken["a"], taken["b"]) == 4.0 / 3.0


def test_percentiles_lie_between_the_values() -> None:
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile([0.0, 10.0], 95) == pytest.approx(9.5)
    assert percentile([], 50) != percentile([], 50)  # not a number


def test_the_document_shows_the_committed_run() -> None:
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert not found["quick"]
    text = DOCUMENT.read_text(encoding="utf-8")
    for figures in found["figures"].values():
        for figure in figures:
            assert figure["what"].replace("|", "\\|") in text, figure["key"]


def test_parts_that_a_run_did_not_measure_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, results = tmp_path / "benchmarks.md", tmp_path / "benchmarks.json"
    page.write_text("before <!-- benchmarks:begin --><!-- benchmarks:end --> after")
    monkeypatch.setattr(report, "DOCUMENT", page)
    monkeypatch.setattr(report, "RESULTS", results)
    report.write(document({"idle": [Figure("a", "idling", 1.0)], "start": [Figure("b", "starting", 2.0)]}, False))
    report.write(document({"start": [Figure("b", "starting", 3.0)]}, False))
    kept = json.loads(results.read_text())["figures"]
    assert {part: figures[0]["value"] for part, figures in kept.items()} == {"idle": 1.0, "start": 3.0}
    assert "| idling | 1 |" in page.read_text() and "| starting | 3 |" in page.read_text()
    other = document({"start": [Figure("b", "starting", 4.0)]}, False)
    report.write({**other, "machine": {**other["machine"], "processor": "another one"}})
    assert list(json.loads(results.read_text())["figures"]) == ["start"]
