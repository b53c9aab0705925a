"""One line of the benchmark's result: what was measured, what it should be, and how far it may drift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Figure:
    """A measured figure.

    `key` is its name from run to run, `what` its line in the table, `value` a number in `unit` (none for a ratio) and
    `target` what it should be: at most, or at least if `best` is "high"; None if it is told beside others only.
    `margin` is the share of the committed value by which it may be worse before `--check` fails; None for what hangs on
    the machine, which is never compared. `note` says how it was taken or what stands beside it, `detail` holds numbers
    for the JSON file. A figure without a value was not measured, and `note` says why.
    """

    key: str
    what: str
    value: float | None
    target: float | None = None
    unit: str = ""
    best: Literal["low", "high"] = "low"
    margin: float | None = None
    note: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without a value or a target."""
        if self.value is None or self.target is None:
            return None
        return self.value <= self.target if self.best == "low" else self.value >= self.target

    def document(self) -> dict[str, Any]:
        """Return what the JSON file says of it."""
        return {**asdict(self), "met": self.met}


def missing(key: str, what: str, why: str, target: float | None = None) -> Figure:
    """Return the line of what could not be measured here."""
    return Figure(key, what, None, target, note=f"not measured: {why}")
