"""Diagnostics: what a camera process reports of itself every 30 seconds."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from soteirad.messages import Diagnostics
from soteirad.watch import CameraWatch

INTERVAL_S = 30.0


class Diagnoser:
    """Makes the `<camera>/diagnostics` payload from a watch's counters and timings."""

    def __init__(self, watch: CameraWatch) -> None:
        self._watch = watch
        self._due: float | None = None
        self._last = (0.0, 0)

    def step(self, now: float, source: Mapping[str, Any], force: bool = False) -> Diagnostics | None:
        """Return diagnostics when they are due (`now` is monotonic seconds) or forced, else None.

        `source` is what the runner knows of its source.
        """
        if self._due is None:
            self._due, self._last = now + INTERVAL_S, (now, self._watch.pipeline.counters.analysed)
        if now < self._due and not force:
            return None
        (since, before), counters = self._last, self._watch.pipeline.counters
        self._due, self._last = now + INTERVAL_S, (now, counters.analysed)
        fps = (counters.analysed - before) / max(now - since, 1e-3)
        return Diagnostics({**source, "fps": round(fps, 2), "memory_mb": memory_mb(),
                            "detector": self._watch.detector_state(), **summary(self._watch)})  # fmt: skip


def summary(watch: CameraWatch) -> dict[str, Any]:
    """Return counters, stage times (means in ms) and latency percentiles (ms, capture to gate 3's result)."""
    stages = {stage: round(sum(ms) / len(ms), 2) for stage, ms in watch.stage_ms.items() if ms}
    return {
        **asdict(watch.pipeline.counters),
        "events": watch.events,
        "stage_ms": stages,
        "latency_ms": percentiles(list(watch.latencies_ms)),
    }


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return p50 and p95, or nothing for no values."""
    if not values:
        return {}
    p50, p95 = np.percentile(values, (50, 95))
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1)}


def memory_mb() -> float:
    """Return this process's resident memory in MB (on macOS its peak, the only figure without a library)."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return round(int(statm.read_text().split()[1]) * resource.getpagesize() / 1e6, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 1e6 if sys.platform == "darwin" else peak / 1e3, 1)
