"""Time stamps of packets for a file: those that are missing, and those that a file may not have. Pure."""

from __future__ import annotations

from collections.abc import Sequence

TICKS = 90_000
"""Of a second: the clock of RTP video."""
MOST_HELD = 16
"""So many packets, and none more, are looked at to know the stamps of the first; H.264 reorders no more."""

Given = tuple[float | None, float | None]
"""Presentation and decoding time in seconds, as far as they are known."""


def is_enough(given: Sequence[Given]) -> bool:
    """Say whether these first packets of a connection tell what the stamps of all of them are.

    FFmpeg does not know the stamps of the first packet of RTSP, and with reordered frames the decoding times of some.
    """
    told = sum(dts is not None for _, dts in given)
    silent = len(given) > 1 and all(stamps == (None, None) for stamps in given)
    return told > 1 or silent or len(given) >= MOST_HELD


def completed(given: Sequence[Given]) -> list[Given]:
    """Return the same packets with the stamps that are missing before the first known ones, a step apart."""
    known = [(index, dts) for index, (_, dts) in enumerate(given) if dts is not None]
    if len(known) < 2:
        return list(given)
    (first, start), (second, following) = known[:2]
    step = (following - start) / (second - first)
    decoded = [dts if dts is not None else start - (first - index) * step for index, (_, dts) in enumerate(given)]
    shown = [pts for pts, _ in given if pts is not None]
    earliest = min(shown) - step if shown else decoded[0]
    return [(pts if pts is not None else max(dts, earliest) if index == 0 else dts, dts)
            for index, ((pts, _), dts) in enumerate(zip(given, decoded, strict=True))]  # fmt: skip


class Stamps:
    """Makes a camera's time stamps such as a file may have: from 0, each after the one before. Pure.

    Missing stamps follow the last one; where they jump, as when a camera sets its clock or is connected to again, they
    go on with the time that has really passed. Those of a clock that stands still are taken for missing.
    """

    AHEAD_S = 3.0
    """A step so much longer than the time that has passed is a jump. One that is shorter is not: what a slow network
    held back comes all at once."""
    BACK_S = 1.0
    """A step back by more is a jump; what is shown in another order than it is decoded has smaller ones."""
    STILL_S = 3.0
    """After so long without a later stamp than before a camera's clock stands still."""
    STEP = TICKS // 1000
    """The smallest step: Matroska counts milliseconds."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._offset = 0.0
        self._before: tuple[float, float] | None = None
        self._latest: tuple[float, float] | None = None
        self._last = -self.STEP

    @property
    def seconds(self) -> float:
        """How long the recording is, up to its last packet."""
        return max(0, self._last) / TICKS

    def repair(self, pts: float | None, dts: float | None, time: float, *, anew: bool = False) -> tuple[int, int]:
        """Return a packet's presentation and decoding time in ticks; all that is given is in seconds.

        `time` is when it came, `anew` says that it is the first one of another connection.
        """
        if self._began is None:
            self._began = time
        passed, stamp = time - self._began, dts if dts is not None else pts
        if stamp is not None:
            if anew or self._latest is None or self._jumps(stamp, time):
                self._offset = stamp - max(passed, (self._last + self.STEP) / TICKS)
                self._latest = (stamp, time)
            elif stamp > self._latest[0]:
                self._latest = (stamp, time)
            self._before = (stamp, time)
            if time - self._latest[1] > self.STILL_S:
                self._offset, pts = stamp - passed, None
        wanted = passed if stamp is None else stamp - self._offset
        decoded = max(round(wanted * TICKS), self._last + self.STEP)
        shown = decoded if pts is None else max(decoded, round((pts - self._offset) * TICKS))
        self._last = decoded
        return shown, decoded

    def place(self, stamp: float) -> int:
        """Return where a moment on the camera's clock (seconds) lies in the file, in ticks: for what goes with its
        pictures, between the last two of `repair`."""
        return round((stamp - self._offset) * TICKS)

    def _jumps(self, stamp: float, time: float) -> bool:
        if self._before is None:
            return True
        step, passed = stamp - self._before[0], time - self._before[1]
        return step < -self.BACK_S or step > passed + self.AHEAD_S
