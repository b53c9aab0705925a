"""Taking turns: what is compared runs A B B A A B, so that a busy machine slows all of it, and medians are compared."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

Sample = TypeVar("Sample")


def in_turns(kinds: Mapping[str, Callable[[], Sample]], rounds: int, what: str = "") -> dict[str, list[Sample]]:
    """Run each kind once a round, every other round in reverse, and return all samples by kind."""
    taken: dict[str, list[Sample]] = {kind: [] for kind in kinds}
    for number in range(rounds):
        for kind in list(kinds) if number % 2 == 0 else list(kinds)[::-1]:
            taken[kind].append(kinds[kind]())
            tell(f"  {what} round {number + 1} of {rounds}, {kind}: {taken[kind][-1]}")
    return taken


def ratio(these: Sequence[float], those: Sequence[float]) -> float:
    """Return the ratio of two medians."""
    return statistics.median(these) / statistics.median(those)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` per cent of the values lie, by linear interpolation; nan of none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    place = (len(ordered) - 1) * share / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def tell(line: str) -> None:
    """Say how far it is, on standard error."""
    print(line, file=sys.stderr, flush=True)
