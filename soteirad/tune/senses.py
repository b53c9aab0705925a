"""Measurements from a recording, worked out once for all pipelines that go through it frame by frame together.

What a pipeline measures hangs on its own past: since when its background learns, which picture is gate 2's reference,
which view it holds. Pipelines with the same past share the result, and each has exactly what it would have measured
alone.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from soteirad.capture.frame import Frame
from soteirad.gates.geometry import Box
from soteirad.gates.motion import Changed, Motion, MotionMap
from soteirad.gates.scene import Grey, Sight
from soteirad.gates.structure import Difference, Shift, Structure
from soteirad.senses import Background, Changes, MotionSettings
from soteirad.tune.recording import Recording


class SharedSenses:
    """The senses of all pipelines that are given it; `move` takes them all to the next analysed frame."""

    def __init__(self, recording: Recording, motion: MotionSettings) -> None:
        self._recording = recording
        self._motion = motion
        self._read = recording.lumas()
        self._grey: Grey = np.zeros((1, 1), np.uint8)
        self._sight: SharedSight | None = None
        self._structure: SharedStructure | None = None
        self._meters: dict[int, _SharedMeter] = {}
        self._empty = _Node(MotionMap())
        self.ordinal = -1

    def move(self) -> None:
        """Go on to the next analysed frame."""
        self.ordinal += 1
        self._grey = self._read(self.ordinal)
        # What lives on as somebody's reference must not keep its own references alive.
        if self._sight is not None:
            self._sight.known.clear()
        if self._structure is not None:
            self._structure.known.clear()
        self._sight = self._structure = None
        self._meters = {}

    def background(self) -> Background:
        """Return a new background, of which the next frame is the first."""
        return _SharedBackground(self)

    def changes(self) -> Changes:
        """Return a memory of changes, with nothing in it."""
        return _SharedChanges(self, self._empty)

    def sight(self, frame: Frame) -> Sight:
        """Return the frame as gate 2 compares it."""
        if self._sight is None:
            self._sight = SharedSight(self._recording.colours(self.ordinal), self._grey)
        return self._sight

    def structure(self, frame: Frame) -> Structure:
        """Return the frame's fixed structure."""
        if self._structure is None:
            self._structure = SharedStructure.of(self._grey)
        return self._structure

    def meter(self) -> _SharedMeter:
        """Return the background model that starts with this frame."""
        if self.ordinal not in self._meters:
            self._meters[self.ordinal] = _SharedMeter(self._motion)
        return self._meters[self.ordinal]

    def changed(self, meter: _SharedMeter) -> Changed:
        """Return what a background model finds changed in this frame."""
        return meter.step(self._grey, self.ordinal)


class SharedSight(Sight):
    """A picture that remembers what it was compared with."""

    def __init__(self, colours: NDArray[np.float32], grey: Grey) -> None:
        super().__init__(colours, grey)
        self.known: dict[Sight, tuple[float, float]] = {}

    def against(self, reference: Sight) -> tuple[float, float]:
        """Return the colour distance (0-1) and the SSIM (-1 to 1) from a picture of the same shape."""
        if reference not in self.known:
            self.known[reference] = super().against(reference)
        return self.known[reference]


@dataclass(frozen=True, eq=False)
class SharedStructure(Structure):
    """A structure that remembers what it was compared with."""

    known: dict[tuple[Structure, float | None], Difference | Shift | None] = field(default_factory=dict)

    @classmethod
    def of(cls, grey: Grey) -> SharedStructure:
        """Return the structure of a luma picture of any size."""
        found = Structure.of(grey)
        return cls(found.small, found.edges, found.texture, found.mean, found.sharpness)

    def against(self, reference: Structure, shift_from: float = 0.2) -> Difference:
        """Return how much of a reference this picture has lost."""
        key = (reference, shift_from)
        if key not in self.known:
            self.known[key] = super().against(reference, shift_from)
        return self.known[key]  # type: ignore[return-value]

    def shifted_from(self, reference: Structure) -> Shift | None:
        """Return how far this picture is displaced from a reference."""
        key = (reference, None)
        if key not in self.known:
            self.known[key] = super().shifted_from(reference)
        return self.known[key]  # type: ignore[return-value]


class _SharedMeter:
    """A background model for all pipelines whose background began with the same frame."""

    def __init__(self, motion: MotionSettings) -> None:
        self._meter = motion.meter()
        self._changed: tuple[int, Changed] | None = None

    def step(self, grey: Grey, ordinal: int) -> Changed:
        if self._changed is None or self._changed[0] != ordinal:
            self._changed = ordinal, self._meter.step(grey)
        return self._changed[1]


class _SharedBackground:
    def __init__(self, senses: SharedSenses) -> None:
        self._senses = senses
        self._meter: _SharedMeter | None = None

    def step(self, frame: Frame) -> Changed:
        if self._meter is None:
            self._meter = self._senses.meter()
        return self._senses.changed(self._meter)


class _Node:
    """A memory of changes that nothing alters any more, and those that followed from it."""

    def __init__(self, changes: MotionMap) -> None:
        self.changes = changes
        self.next: weakref.WeakValueDictionary[tuple[int, int], _Node] = weakref.WeakValueDictionary()
        self._shares: dict[tuple[Box, float], float] = {}

    def share(self, box: Box, since: float) -> float:
        key = box, since
        if key not in self._shares:
            self._shares[key] = self.changes.share(box, since)
        return self._shares[key]


class _SharedChanges:
    def __init__(self, senses: SharedSenses, start: _Node) -> None:
        self._senses = senses
        self._node = start

    def step(self, motion: Motion, time: float) -> None:
        key = self._senses.ordinal, id(motion.changed)
        node = self._node.next.get(key)
        if node is None:
            changes = self._node.changes.copy()
            changes.step(motion, time)
            node = self._node.next[key] = _Node(changes)
        self._node = node

    def share(self, box: Box, since: float) -> float:
        return self._node.share(box, since)
