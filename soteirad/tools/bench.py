"""`bench`: how long each engine takes for a camera frame on this machine, stage by stage."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from soteirad.config.detector import DEVICES
from soteirad.detect.card import ModelCard
from soteirad.detect.choice import PRECISIONS, Wanted, candidates, has_file, is_installed
from soteirad.detect.engine import BackendName, Engine
from soteirad.detect.trial import Times, Trial, run_together
from soteirad.errors import ModelError

ROUNDS, RUNS = 10, 5


@dataclass(frozen=True)
class Row:
    """One engine's figures, or why it has none. Milliseconds are (p50, p95); memory is that of the whole process."""

    engine: str
    problem: str | None = None
    golden: str | None = None
    executed: dict[str, int] | None = None
    memory_mb: float = 0.0
    pre: tuple[float, float] = (0.0, 0.0)
    model: tuple[float, float] = (0.0, 0.0)
    post: tuple[float, float] = (0.0, 0.0)
    total: tuple[float, float] = (0.0, 0.0)
    overhead: float = 0.0
    """(pre + post) / model, of the medians."""

    def document(self) -> dict[str, Any]:
        """Return what `bench --json` prints of this engine."""
        if self.problem is not None:
            return {"engine": self.engine, "problem": self.problem}
        names = ("pre", "model", "post", "total")
        stages = {name: dict(zip(("p50", "p95"), getattr(self, name), strict=True)) for name in names}
        return {"engine": self.engine, "golden": self.golden, "executed": self.executed, "memory_mb": self.memory_mb,
                "ms": stages, "overhead": self.overhead}  # fmt: skip


def engines(card: ModelCard, wanted: Wanted) -> list[Engine]:
    """Return every engine that could run the card here, or those that `wanted` names. Raises ModelError."""
    devices = DEVICES.get(wanted.backend, ("auto", "cpu"))
    if wanted.device not in devices:
        raise ModelError(f"--device {wanted.device}: not a device of the backend {wanted.backend}: use "
                         f"{', '.join(devices)}")  # fmt: skip
    if wanted.backend != "auto":
        return candidates(card, wanted, is_installed, (platform.system(), platform.machine()))
    there = [b for b in get_args(BackendName) if b in PRECISIONS and is_installed(b) and has_file(card, b)]
    found = [
        engine
        for backend in there
        for engine in candidates(card, Wanted(backend, "auto", wanted.threads), is_installed, ("", ""))
        if wanted.precision in ("auto", engine.precision)
    ]
    if not found:
        raise ModelError(f"{card.name}: nothing that is installed here runs this model in {wanted.precision}")
    return found


def bench(card: ModelCard, wanted: Wanted, rounds: int = ROUNDS, runs: int = RUNS,
          on_round: Callable[[int], None] = lambda _: None) -> list[Row]:  # fmt: skip
    """Time each engine on a 1280x720 frame, in turns, with OpenCV's own network runner beside them as a yardstick.

    Raises ModelError when the card's files are not there. An engine that fails is a row that says so.
    """
    card.verify_file()
    yardstick = [Engine("opencv", "fp32", wanted.threads)] if "onnx" in card.files else []
    trials = [Trial(card, engine) for engine in [*engines(card, wanted), *yardstick]]
    try:
        for trial in trials:
            trial.start()
        taken = run_together(trials, rounds, runs, on_round)
        return [_row(trial, times) for trial, times in zip(trials, taken, strict=True)]
    finally:
        for trial in trials:
            trial.stop()


def _row(trial: Trial, times: Sequence[Times]) -> Row:
    if trial.problem is not None:
        return Row(str(trial.engine), trial.problem)
    stages = {s: [ms for t in times for ms in getattr(t, s)] for s in ("pre", "model", "post", "total")}
    middle = {s: float(np.median(ms)) for s, ms in stages.items()}
    both = {s: (round(middle[s], 2), round(float(np.percentile(ms, 95)), 2)) for s, ms in stages.items()}
    overhead = round((middle["pre"] + middle["post"]) / middle["model"], 4)
    return Row(str(trial.engine), None, trial.verdict, trial.executed, trial.memory_mb, both["pre"], both["model"],
               both["post"], both["total"], overhead)  # fmt: skip
