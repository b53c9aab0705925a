"""Damage: which frames were damaged on their way, or build on one that was."""

from __future__ import annotations

from collections import deque

import av


class Damage:
    """Whether frames are damaged: from a loss up to the next key frame that came whole.

    FFmpeg marks most frames that were damaged themselves, and neither those that build on them nor a frame that was
    lost whole; of that only a gap between time stamps tells. With 5 % of the packets lost this let no visibly damaged
    frame out and held no whole one back; of single lost packets (1128 tried, H.264) 2.7 % went unnoticed.
    """

    GAP = 1.5
    """So many times as long as nine in ten steps between two stamps: a frame is missing."""
    ENOUGH = 5
    """So many steps must have been seen to know what is usual."""
    HEAL_S = 20.0
    """Cameras without key frames renew the picture piece by piece, within this time."""

    def __init__(self, lossy: bool) -> None:
        self._lossy = lossy
        self._open = False
        self._since: float | None = None
        self._lost = False
        self._stamp: float | None = None
        self._steps: deque[float] = deque(maxlen=30)

    def lost(self) -> None:
        """Note that a packet gave no frame."""
        self._lost = True

    def touches(self, video: av.VideoFrame) -> bool:
        """Say whether this frame is damaged."""
        broken = video.is_corrupt or (not video.key_frame and (self._lost or self._missing(video)))
        self._step(video)
        self._lost = False
        if broken:
            self._open, self._since = True, video.time
        elif self._open:
            self._since = video.time if self._since is None else self._since
            healed = video.time is not None and self._since is not None and video.time - self._since > self.HEAL_S
            self._open = not (video.key_frame or healed)
        return self._open

    def _missing(self, video: av.VideoFrame) -> bool:
        """Say whether the time stamps leave room for a frame between the last one and this."""
        if not self._lossy or video.time is None or self._stamp is None or len(self._steps) < self.ENOUGH:
            return False
        usual = sorted(self._steps)[int(0.9 * (len(self._steps) - 1))]
        return video.time - self._stamp > self.GAP * usual

    def _step(self, video: av.VideoFrame) -> None:
        if video.time is not None:
            if self._stamp is not None and video.time > self._stamp:
                self._steps.append(video.time - self._stamp)
            self._stamp = video.time
