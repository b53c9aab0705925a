"""How far a recommendation may go: a recording says nothing of what it does not show, so none strays far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from soteirad.tune.knobs import Knobs

BALANCED_TIMES = 2.0
"""`balanced` waits at most this many times as long, or for this many times as much change, as the defaults ..."""
SAVING_TIMES = 3.0
"""... and `save power` this many times."""
WARY_TIMES = 2.0
"""With few entries no key gets more careful than by this ..."""
WARIEST_TIMES = 4.0
"""... and with more of them by this."""
SCORE_STEP = 0.1
"""A lowest score is no multiple of another: where keys move by a factor of two it moves by this, else by twice this."""
_EQUAL = 1e-9


@dataclass(frozen=True)
class Bounds:
    """The most careless settings that each goal may recommend, key by key.

    `wary` and `wariest` are the most careful ones: with few entries, and with enough of them. A gate that lets through
    what one entry of a clip needs is paid for on every windy day.
    """

    nothing: Knobs
    balanced: Knobs
    saving: Knobs
    wary: Knobs
    wariest: Knobs

    @classmethod
    def of(cls, present: Knobs, defaults: Knobs) -> Bounds:
        """Return the bounds for who has `present` settings.

        * miss nothing: in no key more careless than the present settings, nor than the defaults; `min_score` is as it
          is at most, since the defaults know nothing of what the owner raised it against.
        * balanced, save power: so many times the defaults, or what is set now where that is more careless.
        """
        floor = careful(present, defaults)
        return cls(
            floor,
            _farther(present, _times(defaults, BALANCED_TIMES, SCORE_STEP)),
            _farther(present, _times(defaults, SAVING_TIMES, 2 * SCORE_STEP)),
            _times(floor, 1 / WARY_TIMES, -SCORE_STEP),
            _times(floor, 1 / WARIEST_TIMES, -2 * SCORE_STEP),
        )


def within(knobs: Knobs, limit: Knobs) -> bool:
    """Return whether settings are in no key more careless than a limit."""
    theirs, most = _carelessness(knobs), _carelessness(limit)
    return all(theirs[name] <= most[name] + _EQUAL for name in theirs)


def careful(present: Knobs, defaults: Knobs) -> Knobs:
    """Return the more careful of both for each key; `min_score` is the present one."""
    chosen = _chosen(present, defaults, min)
    return Knobs(**{**chosen, "min_score": present.min_score})


def _farther(a: Knobs, b: Knobs) -> Knobs:
    return Knobs(**_chosen(a, b, max))


def _chosen(a: Knobs, b: Knobs, of_two: Callable[[tuple[float, float]], float]) -> dict[str, Any]:
    first, second = _carelessness(a), _carelessness(b)
    return {name: getattr(a if of_two((value, second[name])) == value else b, name) for name, value in first.items()}


def _times(defaults: Knobs, times: float, score: float) -> Knobs:
    """Return settings so many times as careless; shares stay below 1."""
    return Knobs(
        motion_threshold=min(1.0, defaults.motion_threshold * times),
        scene_distance=min(1.0, defaults.scene_distance * times),
        scene_ssim=max(0.0, 1 - (1 - defaults.scene_ssim) * times),
        scene_interval=defaults.scene_interval * times,
        stride=max(1, int(defaults.stride * times)),
        still_interval=defaults.still_interval * times,
        min_score=min(1.0, max(0.0, defaults.min_score + score)),
    )


def _carelessness(knobs: Knobs) -> dict[str, float]:
    """Return each setting as a number that grows with what may be overlooked."""
    values = {f.name: float(getattr(knobs, f.name)) for f in fields(knobs)}
    return {**values, "scene_ssim": 1 - values["scene_ssim"]}
