"""How tuning looks in a terminal: a progress bar on the error output, a table of settings, and the lines to paste."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from soteirad.errors import SoteiraError
from soteirad.tune.advice import GOALS, Goal, Score
from soteirad.tune.run import OnStep, Tuning

TIMED = ("cpu", "stage_ms")
"""Keys of the JSON document that hold measured times: all else is the same each time."""


@contextlib.contextmanager
def progress(quiet: bool = False) -> Iterator[OnStep]:
    """Show a bar for each step of the work, unless `quiet` or where nobody looks at the error output."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def step(what: str, share: float) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=1.0)
            bar.update(tasks[what], completed=share)

        yield step


def print_tuning(tuning: Tuning) -> None:
    """Print what the settings come to, the notes, and the lines for the configuration."""
    console = Console()
    truth = "your labels" if tuning.labelled else "a look at every frame"
    table = Table(title=f"{len(tuning.scores)} settings, judged by {truth}: {_entries(tuning.present.entries)}")
    for column in ("", "entries found", "false", "later by", "looks a minute", "processor (estimate)"):
        table.add_column(column, justify="left" if not column else "right")
    for name, score in rows(tuning):
        delay = "-" if score.delay is None else f"{score.delay:.1f} s"
        table.add_row(name, f"{score.found} of {score.entries}", str(score.extra), delay, f"{score.looks:.0f}",
                      f"{score.cpu:.0%}")  # fmt: skip
    console.print(table)
    for note in tuning.notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    for goal in GOALS:
        lines = tuning.yaml(goal)
        console.print(f"\n# {goal}" + ("" if lines else ": nothing to change"), markup=False, highlight=False)
        console.print(lines, markup=False, highlight=False, soft_wrap=True, end="")


def rows(tuning: Tuning) -> list[tuple[str, Score]]:
    """Return the settings that are shown: the present ones and the recommendations."""
    return [("now", tuning.present), *((goal, tuning.advice[goal]) for goal in GOALS)]


def document(tuning: Tuning) -> dict[str, Any]:
    """Return what `tune --json` prints; the values under `TIMED` are measured times, and all else is counted."""
    return {
        "reference": "labels" if tuning.labelled else "every frame",
        "clips": [
            {"clip": c.recording.facts.clip, "seconds": c.recording.facts.seconds,
             "analysed": len(c.recording.analysed), "entries": [[e.label, round(e.time, 3)] for e in c.entries],
             "view_changes": c.reference.views, "stage_ms": c.recording.facts.stage_ms}
            for c in tuning.clips
        ],
        "present": _score(tuning.present, tuning),
        "recommendations": {g: {**_score(s, tuning), "yaml": tuning.yaml(g)} for g, s in tuning.advice.items()},
        "front": [_score(s, tuning) for s in tuning.front],
        "settings": [_score(s, tuning) for s in tuning.scores],
        "notes": list(tuning.notes),
    }  # fmt: skip


def check_yaml_place(folder: Path) -> None:
    """Raise SoteiraError, before the long work, when there can be no folder or no file in it."""
    nearest = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise SoteiraError(f"{folder}: the recommendations cannot be written there: give a folder that you may write")


def write_yaml(folder: Path, tuning: Tuning) -> list[Path]:
    """Write a file for each recommendation that changes something. Raises SoteiraError."""
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for goal in GOALS:
            lines = tuning.yaml(goal)
            path = folder / f"{file_name(goal)}.yaml"
            if lines:
                path.write_text(lines, encoding="utf-8")
                written.append(path)
            else:
                path.unlink(missing_ok=True)  # of an earlier run, whose advice was another
    except OSError as error:
        raise SoteiraError(f"{folder}: the recommendations cannot be written there: {error.strerror}") from None
    return written


def file_name(goal: Goal) -> str:
    """Return a goal as part of a file's name."""
    return goal.replace(" ", "-")


def _entries(count: int) -> str:
    return f"{count} entr{'y' if count == 1 else 'ies'}"


def _score(score: Score, tuning: Tuning) -> dict[str, Any]:
    changes = {key: new for key, (_, new) in score.knobs.changes(tuning.present.knobs).items()}
    return {"found": score.found, "entries": score.entries, "extra": score.extra, "delay": score.delay,
            "looks": score.looks, "scene_runs": score.scene_runs, "cpu": score.cpu, "changes": changes,
            "settings": score.knobs.values()}  # fmt: skip
