"""What a pipeline's gates measure in a frame, apart from what they decide by it.

`LiveSenses` measures the pictures of frames. `soteirad tune` gives the same pipeline measurements that were kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from soteirad.capture.frame import Frame
from soteirad.gates.geometry import Polygon
from soteirad.gates.motion import Changed, Motion, MotionMap, MotionMeter
from soteirad.gates.scene import Sight, histogram
from soteirad.gates.structure import Structure
from soteirad.track.tracker import Evidence

SCENE_SIZE = (320, 180)
"""Gate 2's colour picture, width and height: SSIM's cost is proportional to pixels."""


class Background(Protocol):
    """A background that learns frame by frame; `step` must see every analysed frame in order."""

    def step(self, frame: Frame) -> Changed:
        """Measure what changed in the next frame."""


class Changes(Protocol):
    """When what changed; see `MotionMap`."""

    def step(self, motion: Motion, time: float) -> None:
        """Remember what changed at `time` (media seconds)."""

    @property
    def share(self) -> Evidence:
        """(box, since) -> share of the box that changed after `since`."""


class Senses(Protocol):
    """All that a pipeline's gates learn of frames. No threshold has an effect on it."""

    def background(self) -> Background:
        """Return a new background, of which the next frame is the first."""

    def changes(self) -> Changes:
        """Return a memory of changes, with nothing in it."""

    def sight(self, frame: Frame) -> Sight:
        """Return the frame as gate 2 compares it."""

    def structure(self, frame: Frame) -> Structure:
        """Return the frame's fixed structure."""


@dataclass(frozen=True)
class MotionSettings:
    """How a background learns: `lines` is the height of the picture that is analysed; see `MotionMeter`."""

    lines: int = 180
    history: int = 300
    var_threshold: float = 16.0
    masks: Sequence[Polygon] = ()
    ceiling: float = 0.8

    def meter(self) -> MotionMeter:
        """Return a new background model."""
        return MotionMeter(self.history, self.var_threshold, self.masks, self.ceiling)


class LiveSenses:
    """Measures frames that have pictures."""

    def __init__(self, settings: MotionSettings) -> None:
        self._settings = settings

    def background(self) -> Background:
        """Return a new background, of which the next frame is the first."""
        return _LiveBackground(self._settings)

    def changes(self) -> Changes:
        """Return a memory of changes, with nothing in it."""
        return MotionMap()

    def sight(self, frame: Frame) -> Sight:
        """Return the frame as gate 2 compares it."""
        grey = frame.grey(self._settings.lines)
        return Sight(histogram(frame.bgr(*SCENE_SIZE)), grey)

    def structure(self, frame: Frame) -> Structure:
        """Return the frame's fixed structure."""
        return Structure.of(frame.grey(self._settings.lines))


class _LiveBackground:
    def __init__(self, settings: MotionSettings) -> None:
        self._lines = settings.lines
        self._meter = settings.meter()

    def step(self, frame: Frame) -> Changed:
        return self._meter.step(frame.grey(self._lines))
