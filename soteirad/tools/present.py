"""How events and counts look in a terminal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from soteirad.event import Event, spoken

if TYPE_CHECKING:
    from pathlib import Path

    from soteirad.tools.apply import Proposal
    from soteirad.tools.ask import Evaluation
    from soteirad.tools.ask import Row as Asked
    from soteirad.tools.bench import Row
    from soteirad.tools.convert import Converted
    from soteirad.tools.events import Listed
    from soteirad.tools.models import Added
    from soteirad.tools.record import Progress, Recorded


def event_line(event: Event) -> str:
    """Return one line for an event: when, what, where, why."""
    when = f"{event.media_time:8.2f}s" if event.media_time is not None else event.time
    what = f"{event.event_type:<13} {event.label or '':<8}"
    sure = f"{event.confidence:.2f}" if event.confidence is not None else ""
    dwell = f"after {event.dwell:.1f} s" if event.dwell is not None else ""
    if event.event_type == "answered":
        return f"{when}  {what} {sure}  {event.question}: {spoken(event.answer)}"
    if event.event_type == "recorded":
        return f"{when}  {what} {event.clip}"
    why = event.why.get("reason" if event.event_type == "left" else "trigger") or ""
    return f"{when}  {what} {sure} {dwell} {f'({why})' if why else ''}".rstrip()


def archive_lines(listed: Listed) -> list[str]:
    """Return one line for each event of the journal, with its camera if there are several."""
    lines = []
    for row in listed.rows:
        # The time of day tells more than how far a file was played.
        line = event_line(replace(row.event, media_time=None))
        when, _, what = line.partition("  ")
        camera = f"  {row.event.camera:<12}" if listed.cameras > 1 else ""
        waits = "" if row.published_at is not None else "  (not published yet)"
        lines.append("".join(c if c.isprintable() else " " for c in f"{when}{camera}  {what}{waits}"))
    return lines


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


def answer_line(row: Asked) -> str:
    """Return one line for a question that was asked about a clip."""
    what = f"{row.time:8.2f}s  {row.on:<9} {row.label or '':<8}"
    if row.state != "answered":
        return f"{what} {row.state}: {row.reason}"
    sure = f" ({row.confidence:.0%})" if row.confidence is not None else ""
    verdict = "" if row.agrees is None else "  right" if row.agrees else f"  WRONG, it is {spoken(row.expected)}"
    because = f"  {row.because}" if row.because else ""
    return f"{what} {spoken(row.answer)}{sure}{verdict}{because}"


def evaluation_lines(found: Evaluation) -> list[str]:
    """Return what a question's trial comes to."""
    agree, judged = found.agreement
    unsure = sum(row.state == "answered" and row.answer is None for row in found.rows)
    failed = sum(row.state != "answered" for row in found.rows)
    times = sorted(row.latency_ms for row in found.rows if row.latency_ms is not None and row.state == "answered")
    lines = [f"asked {len(found.rows)} times: {unsure} unsure, {failed} without an answer"]
    if judged:
        lines.append(f"agrees with your labels {agree} of {judged} times ({agree / judged:.0%})")
    if found.unused:
        seconds = ", ".join(f"{label.time:g}" for label in found.unused[:10])
        more = " ..." if len(found.unused) > 10 else ""
        lines.append(f"nothing was asked within 3 s of {len(found.unused)} of your labels: at {seconds}{more} s")
    if times:
        lines.append(f"an answer took {times[len(times) // 2] / 1000:.1f} s (median), {times[-1] / 1000:.1f} s at most")
    cost = f", cost {found.cost:.4f}" if found.cost else ""
    lines.append(f"{found.calls} calls, {found.sent_tokens} tokens sent, {found.answered_tokens} answered{cost}")
    return lines


class ProgressLine:
    """One line at a terminal that tells how far a recording is; elsewhere only notes are told."""

    def __init__(self, camera: str, seconds: float, console: Console) -> None:
        self._camera = camera
        self._length = clock_text(seconds)
        self._console = console
        self._status = console.status(f"{camera}: connecting")

    def __enter__(self) -> ProgressLine:
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def step(self, progress: Progress) -> None:
        """Show how far it is."""
        what = progress.note or f"{clock_text(progress.seconds)} of {self._length}, {progress.bytes / 1e6:.1f} MB"
        self._status.update(escape(f"{self._camera}: {what}"))

    def note(self, text: str) -> None:
        """Tell something that stays on the screen."""
        self._console.print(text, soft_wrap=True, markup=False, highlight=False)


def progress_of(camera: str, seconds: float) -> ProgressLine:
    """Return the line that tells how far a recording of that length is, on the standard error."""
    return ProgressLine(camera, seconds, Console(stderr=True))


def recorded_lines(done: Recorded) -> list[str]:
    """Return what became of a recording, and what to do with it."""
    outages = f", {done.outages} times without the camera" if done.outages else ""
    return [f"{done.path}: {clock_text(done.seconds)}, {done.bytes / 1e6:.1f} MB{outages} ({done.ended})",
            f"Try settings on it: soteirad replay {done.path}"]  # fmt: skip


def clock_text(seconds: float) -> str:
    """Return a length as hours, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def proposed(proposal: Proposal, path: Path) -> str:
    """Return what would change in a configuration file."""
    lines = [proposal.difference.rstrip("\n")]
    if not proposal.difference:
        lines = [f"{path}: there is nothing to change: all of it is in the file"]
    if proposal.unset:
        lines.append(f"\nNot set here, so not checked: {', '.join(proposal.unset)}")
    lines += [f"\nNote: {note}." for note in proposal.notes]
    return "\n".join(lines)


def applied(path: Path, backup: Path) -> str:
    """Return what an owner does after a configuration file was changed."""
    return (f"{path}: written; the file as it was is {backup}\n"
            "To put it in force: sudo systemctl reload soteirad\n"
            "What was set over MQTT or on the page and stands in the file now is no override any more.")  # fmt: skip


def model_table(models: list[dict[str, Any]]) -> None:
    """Print the models that ship."""
    table = Table(box=None, pad_edge=False)
    for column in ("model", "head", "input", "files", "labels", "AP on coco-mini", "licence"):
        table.add_column(column)
    for m in models:
        files = ", ".join(f"{kind} {weights}" for kind, weights in m["files"].items())
        table.add_row(m["name"], m["head"], m["input"], files, str(m["labels"]), str(m["measured"].get("ap", "")),
                      m["licence"])  # fmt: skip
    Console().print(table)


def added_model(added: Added) -> None:
    """Print why a card says what it says, what the model found, and how to use it."""
    for reason in added.reasons:
        print(reason)
    for answer in added.answers:
        found = ", ".join(f"{d['label']} {d['score']:.2f}" for d in added.detections(answer))
        print(f"{answer.image}: {found or 'nothing'}")
    if added.found:
        print(f"found {added.found[0]} of the {added.found[1]} objects that it should know")
    print(f"\nWritten: {added.card_path}\nUse it with:\n\ndetector:\n  model: {added.card_path}")


def converted_model(converted: Converted) -> None:
    """Print where a converted model lies and how it was proven."""
    print(f"{converted.path}: {converted.size_before / 1e6:.2f} MB became {converted.size_after / 1e6:.2f} MB")
    print(f"golden check: {converted.proof}")
    print(f"\nCard: {converted.card_path}")


def bench_table(model: str, threads: int, rows: list[Row]) -> None:
    """Print each engine's times."""
    table = Table(title=f"{model}, {threads} thread{'s' * (threads != 1)}, 1280x720 frame, ms p50 / p95",
                  box=None, pad_edge=False)  # fmt: skip
    table.add_column("engine")
    for column in ("pre", "model", "post", "total", "overhead", "MB"):
        table.add_column(column, justify="right")
    for row in rows:
        if row.problem is None:
            stages = (f"{p50:.1f} / {p95:.1f}" for p50, p95 in (row.pre, row.model, row.post, row.total))
            table.add_row(row.engine, *stages, f"{row.overhead:.1%}", f"{row.memory_mb:.0f}")
    console = Console()
    console.print(table)
    for row in rows:
        if row.problem is not None:
            console.print(f"{row.engine}: {row.problem}", soft_wrap=True, markup=False)
        elif row.executed:
            kinds = ", ".join(f"{count} in {kind}" for kind, count in row.executed.items())
            console.print(f"{row.engine}: convolutions and matrix products really run: {kinds}", highlight=False)
