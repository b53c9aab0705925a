"""The cadence: when to run gate 2 and when to look with gate 3. A small state machine on media time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum


class Look(Enum):
    """Why the detector is asked to look at a frame, strongest reason first."""

    START = "start"
    MOTION_SPIKE = "motion_spike"
    SCENE_CHANGE = "scene_change"
    CONFIRM = "confirm"
    AFTER_STILLNESS = "after_stillness"
    NEW_MOTION = "new_motion"
    MOTION = "motion"
    MOTION_END = "motion_end"
    LOST = "lost"
    STILL = "still"
    EVERY_FRAME = "every_frame"


@dataclass(frozen=True)
class TrackNeeds:
    """What the tracker would like to know next.

    `confirm`: a tentative track waits for its next hit; `promising`: the last look saw something that was nearly clear
    enough to start a track; `unseen`: an open track was missed by the last look and its
    fate is not settled; `open_tracks`: there are open tracks at all; `settled`: the last look found all that was known
    standing still, and nothing else.
    """

    confirm: bool = False
    promising: bool = False
    unseen: bool = False
    open_tracks: bool = False
    settled: bool = False


@dataclass(frozen=True)
class CadenceSettings:
    """All times in seconds of media time. (S) marks the published pipeline's values."""

    stride: int = 4
    """Look at every 4th analysed frame while there is motion (S)."""
    promising_stride: int = 2
    """The same while something is nearly clear enough to start a track."""
    new_looks: int = 1
    """How many frames after a look at new motion are looked at, while something is nearly clear enough."""
    new_most: int = 6
    """So many looks at new motion in a row are made at once, unless something is found that waits to be confirmed..."""
    new_interval: float = 1.0
    """... and one more after each such time: leaves and rain are new again in every frame."""
    settled_stride: int = 8
    """The same when the last `settled_looks` looks found only what is known and stands still."""
    settled_looks: int = 2
    settled_motion: float = 2.0
    """Motion younger than this is never taken for settled: something may just be coming in."""
    scene_fastest: float = 0.1
    """Gate 2 runs at most 10 times a second (S)..."""
    scene_slowest: float = 0.5
    """... and its interval grows to 500 ms while nothing changes (S)."""
    safeguard: float = 2.0
    """Gate 2 runs this often without motion (S)."""
    spike_threshold: float = 3.0
    """A spike is a rise over this many times the motion threshold..."""
    spike_mean: float = 2.0
    """... or over this many times the ratio's own mean of the last second."""
    still_interval: float = 10.0
    """Open tracks are looked at this often without motion."""
    lost_interval: float = 0.4
    """A track that a look without motion did not find is looked for again after this long."""
    motion_hold: float = 0.3
    """Motion has ended when gate 1 was closed this long."""
    stillness: float = 1.0
    """Motion after this long without it is a new beginning: its first frame is looked at, and with open tracks, which
    may be about to leave where they stood, the next ones too."""
    opening_looks: int = 3
    """How many frames at such a beginning, and after start, are looked at one by one."""
    settling_looks: int = 3
    """How many consecutive frames at the end of motion may be looked at before looks slow to `lost_interval`."""
    episode: float = 2.0
    """Floods less than this apart are one episode, which is worth one look."""
    flicker: int = 3
    """From this many floods on an episode is a flicker: motion in it is looked at every `still_interval` only."""


class FloodEpisode:
    """Floods less than `gap` seconds of media time apart are one episode; one look is owed to it."""

    def __init__(self, gap: float) -> None:
        self._gap = gap
        self._last = float("-inf")
        self._flooding = False
        self._paid = False
        self.began = float("-inf")
        self.count = 0
        """How many floods the episode that lasts has had; 0 between episodes."""

    def step(self, time: float, flood: bool) -> None:
        """Take one analysed frame."""
        if not flood and time - self._last >= self._gap:
            self.count, self._paid = 0, False
        if flood:
            self.began = self.began if self.count else time
            self.count += not self._flooding
            self._last = time
        self._flooding = flood

    @property
    def owed(self) -> bool:
        """Whether a flood is over whose episode was not looked at yet."""
        return self.count > 0 and not self._paid

    def looked(self) -> None:
        """Note a look: it serves for the episode."""
        self._paid = self._paid or self.count > 0


class Cadence:
    """Decides, frame by frame; `step` must see every analysed frame in order.

    States: moving (gate 1 open, or closed for less than `motion_hold`), settling (motion has ended and open tracks
    are verified on consecutive frames) and idle. A look that is due stays due until `looked` says that it began, so
    a busy detector delays a look and never cancels it. In a flood (see `MotionGate`) no frame is worth a look; the
    first calm one after it is.
    """

    SCENE_GROWTH = 1.5
    SPIKE_WINDOW_S = 1.0
    ROUNDING_S = 1e-6
    """Frame times are sums of fractions: an interval that is short by this much is over."""

    def __init__(self, settings: CadenceSettings, motion_threshold: float, every_frame: bool = False) -> None:
        self.settings = settings
        self.motion_threshold = motion_threshold
        self._every_frame = every_frame
        self._floods = FloodEpisode(settings.episode)
        self._ratios: deque[tuple[float, float]] = deque()
        self._opening = settings.opening_looks
        self._opening_reason = Look.START
        self._moving = False
        self._moving_since = float("-inf")
        self._last_open = float("-inf")
        self._last_look = float("-inf")
        self._frames_since_look = 0
        self._settled = 0
        self._promising = False
        self._new_looks = 0
        self._new_made, self._new_at = 0.0, float("-inf")
        self._why: Look | None = None
        self._settling = 0
        self._due: Look | None = None
        self._was_spike = False
        self._last_scene = float("-inf")
        self._scene_interval = settings.scene_fastest

    @property
    def last_motion(self) -> float:
        """Media time at which gate 1 was last open; -inf before."""
        return self._last_open

    def restart(self) -> None:
        """Begin anew after a reconnect or a changed view: the next frames are looked at one by one."""
        self._due = None
        self._opening, self._opening_reason = self.settings.opening_looks, Look.START

    def scene_due(self, time: float, motion_open: bool) -> bool:
        """Say whether gate 2 runs on the frame at `time`."""
        interval = self._scene_interval if motion_open else self.settings.safeguard
        return time - self._last_scene >= interval - self.ROUNDING_S

    def scene_ran(self, time: float, opened: bool) -> None:
        """Note that gate 2 ran: its interval starts over after an opening and grows otherwise."""
        self._last_scene = time
        grown = min(self._scene_interval * self.SCENE_GROWTH, self.settings.scene_slowest)
        self._scene_interval = self.settings.scene_fastest if opened else grown

    def step(self, time: float, motion_open: bool, ratio: float, scene_opened: bool, needs: TrackNeeds,
             flood: bool = False, novel: bool = False) -> Look | None:  # fmt: skip
        """Take one analysed frame's gate results; returns why to look at it, or None.

        `novel` says that something moves that was not there at the last look, see `Novelty`.
        """
        self._frames_since_look += 1
        self._floods.step(time, flood)
        if flood:
            self._ratios.clear()
            self._was_spike = False
            spike = scene_opened = False
        else:
            spike = self._spike(time, motion_open, ratio)
        self._follow_motion(time, motion_open, needs)
        reason = self._reason(time, spike, scene_opened, novel, needs)
        if flood and not self._every_frame and not self._overdue(time):
            return None
        if reason is not None and self._due is None:
            self._due = reason
        return self._due

    def looked(self, time: float) -> None:
        """Note that the look that was due has begun, on the frame at `time`."""
        if self._opening > 0:
            self._opening -= 1
        if not self._moving and self._settling > 0:
            self._settling -= 1
        self._why, self._due = self._due, None
        if self._why is Look.NEW_MOTION:
            self._new_made, self._new_at = self._recent(time) + 1, time
        self._last_look = time
        self._frames_since_look = 0
        self._floods.looked()

    def observed(self, needs: TrackNeeds) -> None:
        """Note what the tracker made of a look."""
        self._settled = self._settled + 1 if needs.settled else 0
        self._promising = needs.promising
        if self._why is Look.NEW_MOTION and self._new_looks == 0:
            self._new_looks = self.settings.new_looks
        elif self._new_looks > 0:
            self._new_looks -= 1
        self._new_looks = self._new_looks if needs.promising else 0
        self._new_made = 0.0 if needs.confirm else self._new_made

    def _follow_motion(self, time: float, motion_open: bool, needs: TrackNeeds) -> None:
        settings = self.settings
        if motion_open:
            if not self._moving:
                self._moving_since = time
                if time - self._last_open >= settings.stillness and self._opening == 0:
                    self._opening_reason = Look.AFTER_STILLNESS
                    self._opening = settings.opening_looks if needs.open_tracks else 1
            self._moving, self._settling, self._last_open = True, 0, time
        elif self._moving and time - self._last_open > settings.motion_hold:
            self._moving, self._settling = False, settings.settling_looks

    def _spike(self, time: float, motion_open: bool, ratio: float) -> bool:
        while self._ratios and time - self._ratios[0][0] > self.SPIKE_WINDOW_S:
            self._ratios.popleft()
        mean = sum([r for _, r in self._ratios]) / len(self._ratios) if self._ratios else 0.0
        self._ratios.append((time, ratio))
        settings = self.settings
        high = ratio >= settings.spike_threshold * self.motion_threshold
        jump = ratio >= self.motion_threshold and ratio >= settings.spike_mean * mean
        # Only the rise is a spike: a lamp keeps the ratio high for seconds, and is one thing to look at.
        spike, self._was_spike = motion_open and (high or jump) and not self._was_spike, high or jump
        return spike

    def _reason(self, time: float, spike: bool, scene_opened: bool, novel: bool,  # noqa: PLR0911
                needs: TrackNeeds) -> Look | None:  # fmt: skip
        if self._every_frame:
            return Look.EVERY_FRAME
        if self._opening > 0 and self._opening_reason is Look.START:
            return Look.START
        if self._floods.owed or self._overdue(time):
            return Look.SCENE_CHANGE
        flicker = self._floods.count >= self.settings.flicker
        if spike and not flicker:
            return Look.MOTION_SPIKE
        if scene_opened and not self._floods.count:
            return Look.SCENE_CHANGE
        if needs.confirm:
            return Look.CONFIRM
        if self._moving:
            return None if flicker else self._reason_in_motion(time, novel)
        self._opening = 0
        return self._reason_without_motion(time, needs)

    def _reason_in_motion(self, time: float, novel: bool) -> Look | None:
        if self._opening > 0:
            return Look.AFTER_STILLNESS
        if (novel and self._recent(time) <= self.settings.new_most - 1) or self._new_looks > 0:
            return Look.NEW_MOTION
        due = self._last_open == time and self._frames_since_look >= self._stride()
        return Look.MOTION if due else None

    def _recent(self, time: float) -> float:
        """Return how many looks at new motion count at `time`."""
        return max(0.0, self._new_made - (time - self._new_at) / self.settings.new_interval)

    def _overdue(self, time: float) -> bool:
        """Say whether floods have kept the detector from looking for so long that it looks in spite of them."""
        since = max(self._last_look, self._floods.began)
        return self._floods.count > 0 and time - since + self.ROUNDING_S >= self.settings.still_interval

    def _stride(self) -> int:
        if self._promising:
            return self.settings.promising_stride
        settled = self._settled >= self.settings.settled_looks
        if settled and self._last_open - self._moving_since >= self.settings.settled_motion:
            return self.settings.settled_stride
        return self.settings.stride

    def _reason_without_motion(self, time: float, needs: TrackNeeds) -> Look | None:
        if self._settling > 0:
            if needs.open_tracks and (needs.unseen or self._last_look <= self._last_open):
                return Look.MOTION_END
            self._settling = 0
        since = time - self._last_look + self.ROUNDING_S
        if needs.unseen and since >= self.settings.lost_interval:
            return Look.LOST
        if needs.open_tracks and since >= self.settings.still_interval:
            return Look.STILL
        return None
