"""What a browser showed, judged: how old its pictures were, on which part of the way, and where boxes lay. Pure.

A frame's age is from the system's clock when its picture was drawn to `performance.timeOrigin + expectedDisplayTime`,
when the browser means to have it on the screen. Both are one machine's clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from benchmarks.glass_page import Shown
from benchmarks.person_scene import FPS, PersonScene
from benchmarks.time_pattern import age_ms

Box = Sequence[float]
TURN_FRAMES = 15
"""So many pictures after a turn it cannot be said any more whether a box is ahead or behind."""


@dataclass(frozen=True)
class Ages:
    """Milliseconds for each picture that was shown; those of parts where its piece is known.

    `whole` is from drawing to the screen, `arrival` from drawing to the browser's WebSocket and `player` from there on.
    """

    whole: list[float]
    arrival: list[float]
    player: list[float]


def ages(shown: Shown) -> Ages:
    """Return how old the pictures were."""
    arrived = Times(shown.pieces)
    found = Ages([], [], [])
    for frame in readable(shown.frames):
        found.whole.append(age_ms(frame["expected"], frame["ms"]))
        piece = arrived.at(frame["media"])
        if piece is not None:
            found.arrival.append(age_ms(piece["arrived"], frame["ms"]))
            found.player.append(frame["expected"] - piece["arrived"])
    return found


def readable(frames: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the frames whose stamp could be read."""
    return [frame for frame in frames if frame.get("ms") is not None]


class Times:
    """Finds what belongs to a picture by its presentation time; after a new start the later one counts."""

    def __init__(self, found: Iterable[Mapping[str, Any]]) -> None:
        self._by_ms = {round(one["at"] * 1000): one for one in found}

    def at(self, media: float) -> Mapping[str, Any] | None:
        """Return what has this presentation time (seconds)."""
        near = [self._by_ms[ms] for ms in range(round(media * 1000) - 1, round(media * 1000) + 2) if ms in self._by_ms]
        return min(near, key=lambda one: abs(one["at"] - media)) if near else None


def shown_share(frames: Sequence[Mapping[str, Any]]) -> float:
    """Return the share of the camera's pictures that were shown, between the first and the last one."""
    numbers = [int(frame["number"]) for frame in readable(frames)]
    return len(set(numbers)) / (max(numbers) - min(numbers) + 1)


def longest_ms(frames: Sequence[Mapping[str, Any]]) -> float:
    """Return the longest time that one picture stood."""
    times = sorted(frame["expected"] for frame in frames)
    return max((after - before for before, after in pairwise(times)), default=math.nan)


def overlay_errors(frames: Iterable[Mapping[str, Any]], scene: PersonScene, since_turn: int = 0) -> list[float]:
    """Return how far the drawn box is from the person in each picture, in frames at 10 a second; inf without a box.

    It is the distance of the centres across, in steps that the person takes in a tenth of a second. So many pictures
    after a turn are left out.
    """
    found = []
    for frame in (frame for frame in readable(frames) if scene.turned(frame["number"]) >= since_turn):
        true = centre(scene.box(frame["number"]))
        found.append(min((abs(centre(box) - true) for box in frame["boxes"]), default=math.inf) / scene.stride)
    return found


def overlay_lags(frames: Iterable[Mapping[str, Any]], scene: PersonScene) -> list[float]:
    """Return by how many frames at 10 a second the boxes lie behind (ahead if negative), where the person has not
    turned just now."""
    found = []
    for frame in readable(frames):
        if frame["boxes"] and scene.turned(frame["number"]) >= TURN_FRAMES:
            true = centre(scene.box(frame["number"]))
            behind = min((true - centre(box) for box in frame["boxes"]), key=abs)
            found.append((behind if scene.forward(frame["number"]) else -behind) / scene.stride)
    return found


def overlay_waits(shown: Shown) -> list[float]:
    """Return how long (ms) each overlay came after the piece with its picture."""
    pieces = Times(shown.pieces)
    found = ((overlay, pieces.at(overlay["at"])) for overlay in shown.overlays)
    return [overlay["arrived"] - piece["arrived"] for overlay, piece in found if piece is not None]


def box_ages(shown: Shown) -> list[float]:
    """Return how old (frames at 10 a second) the look is whose boxes each overlay carries."""
    return [overlay["looked"] * 10 for overlay in shown.overlays if overlay["looked"] is not None]


def sent_share(shown: Shown) -> float:
    """Return how many pieces came for each picture of the camera, while pictures were shown."""
    times = [float(piece["arrived"]) for piece in shown.pieces]
    return (len(times) - 1) / ((max(times) - min(times)) / 1000 * FPS)


def centre(box: Box) -> float:
    """Return the middle of a box across."""
    return (box[0] + box[2]) / 2
