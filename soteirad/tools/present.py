"""How events and counts look in a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from soteirad.event import Event


def event_line(event: Event) -> str:
    """Return one line for an event: when, what, where, why."""
    when = f"{event.media_time:8.2f}s" if event.media_time is not None else event.time
    what = f"{event.event_type:<13} {event.label or '':<8}"
    sure = f"{event.confidence:.2f}" if event.confidence is not None else ""
    dwell = f"after {event.dwell:.1f} s" if event.dwell is not None else ""
    why = event.why.get("reason" if event.event_type == "left" else "trigger") or ""
    return f"{when}  {what} {sure} {dwell} {f'({why})' if why else ''}".rstrip()


def summary_table(summary: dict[str, Any]) -> None:
    """Print how many frames came how far."""
    table = Table(title="how far the frames came", show_header=False)
    analysed = max(1, summary["analysed"])
    for key, text in (("frames", "frames"), ("analysed", "analysed"), ("motion", "gate 1, motion"),
                      ("scene", "gate 2, scene"), ("detector_runs", "gate 3, detector runs"),
                      ("events", "events")):  # fmt: skip
        share = f"{summary[key] / analysed:.1%} of the analysed" if key in ("motion", "scene", "detector_runs") else ""
        table.add_row(text, str(summary[key]), share)
    latency = summary.get("latency_ms") or {}
    if latency:
        table.add_row("latency of a look", f"p50 {latency['p50']} ms", f"p95 {latency['p95']} ms")
    Console().print(table)
