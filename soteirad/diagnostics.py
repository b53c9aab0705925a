"""Diagnostics: what a camera process reports of itself every 30 seconds."""

from __future__ import annotations

import logging
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from soteirad.capture.decoder import StreamCounters
from soteirad.messages import DIAGNOSTICS_EVERY_S, Diagnostics
from soteirad.watch import CameraWatch

logger = logging.getLogger(__name__)


class Diagnoser:
    """Makes the `<camera>/diagnostics` payload from a watch's counters and timings."""

    def __init__(self, watch: CameraWatch) -> None:
        self._watch = watch
        self._due: float | None = None
        self._last = (0.0, 0)

    def due(self, now: float) -> bool:
        """Say whether `step` has something to do at `now` (monotonic seconds); gathering facts costs on each frame."""
        return self._due is None or now >= self._due

    def step(self, now: float, source: Mapping[str, Any], force: bool = False) -> Diagnostics | None:
        """Return diagnostics when they are due (`now` is monotonic seconds) or forced, else None.

        `source` is what the runner knows of its source.
        """
        if self._due is None:
            self._due, self._last = now + DIAGNOSTICS_EVERY_S, (now, self._watch.pipeline.counters.analysed)
        if now < self._due and not force:
            return None
        (since, before), counters = self._last, self._watch.pipeline.counters
        self._due, self._last = now + DIAGNOSTICS_EVERY_S, (now, counters.analysed)
        fps = (counters.analysed - before) / max(now - since, 1e-3)
        return Diagnostics({**source, "fps": round(fps, 2), "memory_mb": memory_mb(),
                            "detector": self._watch.detector_state(), **summary(self._watch)})  # fmt: skip


class DamageReport:
    """Tells the owner, in the log, when most pictures arrive damaged, and when that is over."""

    def __init__(self) -> None:
        self._due = float("-inf")
        self._last = (0, 0)
        self._bad = False

    def step(self, now: float, counters: StreamCounters) -> None:
        """Look at the counters every 30 s; `now` is monotonic seconds."""
        if now < self._due:
            return
        decoded, corrupt = counters.decoded - self._last[0], counters.corrupt - self._last[1]
        self._due, self._last = now + DIAGNOSTICS_EVERY_S, (counters.decoded, counters.corrupt)
        if not decoded:
            return
        bad = corrupt > decoded / 2
        if bad and not self._bad:
            logger.warning("%d of %d pictures arrived damaged and were not analysed: set transport to tcp, or see to "
                           "cable and wireless", corrupt, decoded)  # fmt: skip
        elif self._bad and not bad:
            logger.info("most pictures arrive whole again")
        self._bad = bad


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
