"""Pytest's part of the fault table: `--faults-report FILE`, the marker `fault`, the fixture `measured`.

Run as a program it writes the table: `python -m tests.fault_report REPORT DOCUMENT`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.generated import rewrite, table

HEAD = ("what goes wrong", "what must happen", "what happened")
Measured = Callable[[str], None]


@dataclass
class Result:
    """What one marked test found; `outcome` is passed, failed or skipped, and `reason` why it was skipped."""

    test: str
    fault: str
    required: str
    measured: list[str] = field(default_factory=list)
    outcome: str = "passed"
    reason: str = ""
    seconds: float = 0.0


_said = pytest.StashKey[list[str]]()
_results = pytest.StashKey[dict[tuple[str, str], Result]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults-report", metavar="FILE", help="write what the tests marked `fault` found, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_results] = {}


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Record a figure for the fault table: measured("back after 1.9 s")."""
    return request.node.stash.setdefault(_said, []).append


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report: pytest.TestReport = yield  # type: ignore[assignment, misc]
    for marker in item.iter_markers("fault"):
        what, required = marker.args
        results = item.config.stash[_results]
        result = results.setdefault((item.nodeid, what), Result(item.name, what, required))
        result.measured = item.stash.get(_said, [])
        result.seconds = round(result.seconds + report.duration, 2)
        # A test that passed and then failed to clean up has failed.
        if report.failed or (report.skipped and result.outcome == "passed"):
            result.outcome = report.outcome
        if report.skipped:
            result.reason = _why_skipped(report)
    return report  # type: ignore[return-value]


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = session.config.getoption("--faults-report")
    if path:
        found = [asdict(result) for result in session.config.stash[_results].values()]
        Path(path).write_text(json.dumps(found, indent=1), encoding="utf-8")


def _why_skipped(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(getattr(report, "wasxfail", ""))


def fault_table(results: list[dict[str, Any]]) -> str:
    """Return the table: one row for each fault, in order of appearance, with what all its tests found."""
    faults: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        faults.setdefault(result["fault"], []).append(result)
    return table(HEAD, [(fault, _once(r["required"] for r in rows), _happened(rows)) for fault, rows in faults.items()])


def _happened(rows: list[dict[str, Any]]) -> str:
    failed = [f"**not that**: `{r['test']}` failed" for r in rows if r["outcome"] == "failed"]
    skipped = [f"not tried here: {r['reason']}" for r in rows if r["outcome"] == "skipped"]
    passed = [r for r in rows if r["outcome"] == "passed"]
    figures = [said for r in passed for said in r["measured"]]
    tests = f"{len(passed)} test{'s' * (len(passed) != 1)}"
    good = [f"that, in {tests}" + (f": {_once(figures)}" if figures else "")] if passed else []
    return _once([*failed, *good, *skipped])


def _once(texts: Any) -> str:
    return "; ".join(dict.fromkeys(texts))


if __name__ == "__main__":
    rewrite(Path(sys.argv[2]), "faults", fault_table(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
