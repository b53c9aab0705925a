"""What a run found: a JSON document, tables for docs/benchmarks.md, and a comparison with the committed run."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from tests.generated import rewrite, table
from tests.shared_data import CHECKOUT

RESULTS = CHECKOUT / "docs" / "benchmarks.json"
DOCUMENT = CHECKOUT / "docs" / "benchmarks.md"
LIBRARIES = ("av", "numpy", "opencv-python-headless", "onnxruntime", "openvino", "paho-mqtt")


def document(figures: Mapping[str, Sequence[Figure]], quick: bool) -> dict[str, Any]:
    """Return the run's figures by part, with the day and the machine that they were taken on."""
    today = f"{datetime.now(timezone.utc):%Y-%m-%d}"
    return {
        "dates": dict.fromkeys(figures, today),
        "quick": quick,
        "machine": {"processor": _processor(), "cores": len(os.sched_getaffinity(0)),
                    "system": f"{platform.system()} {platform.machine()}", "python": platform.python_version()},
        "libraries": {name: _version(name) for name in LIBRARIES},
        "figures": {part: [_clean(f.document()) for f in found] for part, found in figures.items()},
    }  # fmt: skip


def markdown(found: Mapping[str, Any]) -> str:
    """Return the part of docs/benchmarks.md that a run writes."""
    machine = found["machine"]
    libraries = ", ".join(f"{name} {number}" for name, number in found["libraries"].items() if number)
    days = " and ".join(sorted(set(found["dates"].values())))
    head = (f"Taken on {days} on {machine['processor']}, {machine['cores']} cores, {machine['system']}, "
            f"Python {machine['python']}; {libraries}.")  # fmt: skip
    if found["quick"]:
        head += " **A quick run: fewer turns, and not all clips.**"
    parts = [head]
    for part, figures in found["figures"].items():
        rows = [(f["what"], _number(f["value"], f["unit"]), _target(f), _verdict(f["met"]), f["note"]) for f in figures]
        parts.append(f"### {part.capitalize()}\n\n" + table(("measure", "value", "target", "", "how"), rows))
    return "\n\n".join(parts)


def write(found: Mapping[str, Any]) -> None:
    """Put a run into the repository: its JSON, and its tables. Parts that it did not measure stay as they are, unless
    they were measured on another machine."""
    before = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"machine": None}
    if before["machine"] == found["machine"] and before["libraries"] == found["libraries"]:
        found = {**found, **{key: {**before[key], **found[key]} for key in ("dates", "figures")}}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    rewrite(DOCUMENT, "benchmarks", markdown(found))


@dataclass(frozen=True)
class Verdict:
    """How a figure compares with the one that is committed; `worse` if it is by more than its margin."""

    key: str
    before: float
    now: float
    margin: float
    worse: bool

    def __str__(self) -> str:
        word = "WORSE" if self.worse else "as good"
        return f"{word}: {self.key}: {self.now:.3g}, committed {self.before:.3g}, margin {self.margin:.0%}"


def compare(figures: Sequence[Figure], committed: Path = RESULTS) -> list[Verdict]:
    """Compare the ratios of a run with the committed ones: those that both have and that name a margin."""
    known = json.loads(committed.read_text(encoding="utf-8"))["figures"]
    before = {f["key"]: f["value"] for part in known.values() for f in part if f["value"] is not None}
    return [
        _judge(f, before[f.key])
        for f in figures
        if f.margin is not None and f.value is not None and f.key in before
    ]  # fmt: skip


def _judge(figure: Figure, before: float) -> Verdict:
    assert figure.value is not None and figure.margin is not None
    limit = before * (1 + figure.margin if figure.best == "low" else 1 - figure.margin)
    worse = figure.value > limit if figure.best == "low" else figure.value < limit
    return Verdict(figure.key, before, figure.value, figure.margin, worse)


def _clean(figure: dict[str, Any]) -> dict[str, Any]:
    """Round what nobody reads, and leave out what is no number."""
    value = figure["value"]
    known = value is not None and math.isfinite(value)
    return {**figure, "value": float(f"{value:.4g}") if known else None, "detail": dict(figure["detail"])}


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{value:.3g} {unit}".strip() if value < 100 else f"{value:.0f} {unit}".strip()


def _target(figure: Mapping[str, Any]) -> str:
    if figure["target"] is None:
        return ""
    word = "at most" if figure["best"] == "low" else "at least"
    return f"{word} {_number(figure['target'], figure['unit'])}"


def _verdict(met: bool | None) -> str:
    return "" if met is None else "met" if met else "**missed**"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.machine()
