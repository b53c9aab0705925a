"""Soteira beside others: Debian's `motion`, and the published pipeline that it grew from."""

from __future__ import annotations

from benchmarks import beside_motion, beside_published
from benchmarks.figure import Figure
from benchmarks.runs import Bench


def measure(bench: Bench) -> list[Figure]:
    """Measure both. A quick run leaves out what is told only, and all but the project's own clip."""
    return [*beside_motion.measure(bench), *beside_published.measure(bench)]
