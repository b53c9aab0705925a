"""How an evaluation looks in a terminal: a progress bar on the error output, and two tables."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from soteirad.evaluate.curves import CurveName, Difference
from soteirad.evaluate.dataset import Dataset
from soteirad.evaluate.run import Evaluation, Run, Step

AP_NAMES = {"ap": "AP", "ap50": "AP50", "ap75": "AP75", "ap_small": "small", "ap_medium": "medium",
            "ap_large": "large", "person_ap50": "person AP50"}  # fmt: skip
CURVE_NAMES: dict[CurveName, str] = {
    "precision": "precision", "recall": "recall", "f1": "F1", "pr": "precision/recall"
}  # fmt: skip


@contextlib.contextmanager
def progress(runs: Sequence[Run], data: Dataset, quiet: bool = False) -> Iterator[Step]:
    """Show a bar for each run while the body evaluates, unless `quiet` or where nobody looks at the error output."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
        tasks = {run.name: bar.add_task(run.name, total=len(data.photos)) for run in runs}
        yield lambda name: bar.advance(tasks[name])


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the AP table, the notes, and the largest difference of each curve from the first run's."""
    console = Console()
    data = evaluation.data
    table = Table(title=f"{data.name}: {len(data.photos)} images, {sum(data.counts.values())} objects")
    table.add_column()
    for measured in evaluation.measured:
        table.add_column(measured.run.name, justify="right")
    for key, name in AP_NAMES.items():
        table.add_row(name, *(percent(m.ap[key]) for m in evaluation.measured))
    best = [m.curves.best_f1() for m in evaluation.measured]
    table.add_row("best F1", *(f"{f1:.3f} at {confidence:.2f}" for f1, confidence in best))
    console.print(table)
    for measured in evaluation.measured:
        for note in measured.notes:
            console.print(f"{measured.run.name}: {note}", markup=False, highlight=False)
    for measured in evaluation.measured[1:]:
        console.print(_differences(evaluation, measured.run.name, evaluation.differences(measured)))


def percent(value: float | None) -> str:
    """Return a figure in percent as it is printed; a dash where there is nothing to find."""
    return "-" if value is None else f"{value:.1f}"


def cause(found: Difference) -> str:
    """Return which label makes most of a difference, and how many objects it has."""
    if not found.causes:
        return "-"
    first = found.causes[0]
    return f"{first.part:+.4f} {first.label} ({first.objects})"


def _differences(evaluation: Evaluation, other: str, found: dict[CurveName, Difference]) -> Table:
    table = Table(title=f"{other} against {evaluation.measured[0].run.name}")
    for name in ("curve", "largest", "most of it (objects)", "slipped", "mean"):
        table.add_column(name)
    for curve, one in found.items():
        table.add_row(CURVE_NAMES[curve], f"{one.largest:+.4f} at {one.at:.2f}", cause(one), f"{one.slipped:.4f}",
                      f"{one.mean:.5f}")  # fmt: skip
    return table
