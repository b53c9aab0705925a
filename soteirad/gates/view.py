"""The view watch: is the camera still looking at the same place, and if not, what happened to it?

Gate 2 opening asks for a look; this asks something else: whether the fixed structure of the picture is gone or
displaced (camera moved, covered, defocused). Brightness alone does not change structure, so a lamp does not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from soteirad.gates.structure import Seen, Shift, Structure, what_became_of


class View(Enum):
    """What the view watch says of a picture."""

    SAME = "same"
    """The normal view."""
    DOUBTFUL = "doubtful"
    """Not the view that was there, and not yet sure what it is instead."""
    CHANGED = "changed"
    """Now it is sure: said once for each change."""
    OTHER = "other"
    """Still the view that a change led to."""
    SETTLED = "settled"
    """A view that is known is back, or a reported turn has come to rest: said once."""


@dataclass(frozen=True)
class Change:
    """What happened to the view: shares of its structure that are lost, of the picture that changed (0-1), and how far
    the picture was displaced, if it was displaced as a whole."""

    seen: Seen
    lost: float
    changed: float
    shift: Shift | None


@dataclass(eq=False)
class _Held:
    """A view that the camera held: `change` led to it, None is the normal view; times are media seconds."""

    structure: Structure
    change: Change | None
    since: float
    renewed: float

    @property
    def seen(self) -> Seen | None:
        return self.change.seen if self.change else None


class ViewWatch:
    """Compares pictures with the view that the camera holds; see `structure.compare` for when it is gone.

    The view is doubtful while it is gone, and changed when that lasted `HOLD_S` and the new one has held still for
    `STILL_S`, or for want of stillness after `PATIENCE_S`: a camera that turns is reported once, when it has arrived.
    Views held earlier are known and come back without another report. A view that the camera was moved to is the
    normal one after `NORMAL_S`, and a known view is renewed every `RENEW_S` while most of it still holds, so that
    daylight moving shadows never adds up to a change.
    """

    HOLD_S = 2.0
    STILL_S = 1.0
    PATIENCE_S = 10.0
    BACK_S = 1.0
    """A known view is back when it was seen for this long."""
    RESTLESS_S = 60.0
    """A camera that has not come to rest this long after its report is used as it is."""
    NORMAL_S = 60.0
    RENEW_S = 30.0
    RENEW_SHARE = 0.3
    BACK_SHARE = 0.6
    """A known view is back when less than this is lost: a margin to what counts as gone."""
    STILL_SHIFT = 0.01
    """A picture that moved by this share in `STILL_S` does not hold still."""
    MOST_KNOWN = 8

    def __init__(self) -> None:
        self._known: list[_Held] = []
        self._current: _Held | None = None
        self._doubt_since: float | None = None
        self._candidate: tuple[Structure, float] | None = None
        self._back: tuple[_Held, float] | None = None
        self._turning_since: float | None = None

    @property
    def change(self) -> Change | None:
        """What was last reported of the view that the camera holds; None in the normal view."""
        return self._current.change if self._current else None

    @property
    def unsure(self) -> bool:
        """Whether it should see pictures often now."""
        return self._doubt_since is not None or self._turning_since is not None or self._back is not None

    def restart(self) -> None:
        """Forget a doubt: the pictures before are no longer those just before the next one."""
        self._doubt_since = self._candidate = self._back = None

    def step(self, seen: Structure, time: float) -> View:
        """Judge a picture at media time `time` (seconds)."""
        if self._current is None:
            self._current = _Held(seen, None, time, time)
            self._known = [self._current]
            return View.SAME
        gone, lost = self._gone(self._current, seen)
        back = self._recognised(seen, gone, lost)
        if back is not None:
            if self._back is None or self._back[0] is not back:
                self._back = back, time
            if time - self._back[1] >= self.BACK_S:
                return self._take(back)
            return View.DOUBTFUL
        self._back = None
        if self._turning_since is not None:
            return self._follow_turn(self._current, seen, time, time - self._turning_since)
        if gone:
            return self._doubt(self._current, seen, time)
        self._doubt_since = self._candidate = None
        return self._keep(self._current, seen, lost, time)

    @staticmethod
    def _gone(held: _Held, seen: Structure) -> tuple[bool, float]:
        """Say whether a held view is gone, and what share of it is."""
        if held.change is not None and held.structure.bare:
            return (False, 0.0) if seen.bare else (True, 1.0)
        difference = seen.against(held.structure)
        return difference.gone, difference.unfit

    def _recognised(self, seen: Structure, gone: bool, lost: float) -> _Held | None:
        """Return the known view that fits clearly, and better than the current one if that is a view of its own.

        A blurred picture fits a sharp one well.
        """
        if seen.bare or self._current is None:
            return None
        gone = gone or self._current.seen in (Seen.COVERED, Seen.DEFOCUSED)
        for held in self._known:
            if held is self._current or held.structure.bare:
                continue
            other = seen.against(held.structure)
            if not other.gone and other.unfit < self.BACK_SHARE and (gone or other.unfit < lost):
                return held
        return None

    def _keep(self, current: _Held, seen: Structure, lost: float, time: float) -> View:
        """The view holds: keep its picture fresh, and let one that lasts become the normal one."""
        if lost <= self.RENEW_SHARE and time - current.renewed >= self.RENEW_S:
            current.structure, current.renewed = seen, time
        if current.seen is Seen.MOVED and time - current.since >= self.NORMAL_S:
            current.change = None
            self._known = [current]
        return View.SAME if current.change is None else View.OTHER

    def _doubt(self, current: _Held, seen: Structure, time: float) -> View:
        if self._doubt_since is None:
            self._doubt_since = time
        still = self._holds_still(seen, time)
        lasted = time - self._doubt_since
        if lasted < self.HOLD_S or not (still or lasted >= self.PATIENCE_S):
            return View.DOUBTFUL
        for held in self._known:
            if held is not current and not seen.bare and not seen.against(held.structure).gone:
                return self._take(held)
        return self._conclude(current, seen, time, still)

    def _conclude(self, current: _Held, seen: Structure, time: float, still: bool) -> View:
        """Take the picture for the new view, and report it unless it is a cover or blur like the one before it."""
        before = current.seen
        # A cover or blur says nothing of where the camera looks: what it hid is what the new view is compared with.
        base = self._known[0] if before in (Seen.COVERED, Seen.DEFOCUSED) else current
        what = what_became_of(base.structure, seen)
        if not still and not seen.bare:
            what = Seen.MOVED  # a picture in motion is blurred too
        difference = seen.against(base.structure, shift_from=0.0)
        shift = difference.shift if what is Seen.MOVED and still else None
        change = Change(what, difference.unfit, difference.changed, shift)
        self._turning_since = None if still else time
        self._adopt(_Held(seen, change, time, time))
        return View.OTHER if what is before and what is not Seen.MOVED else View.CHANGED

    def _follow_turn(self, current: _Held, seen: Structure, time: float, lasted: float) -> View:
        """A turn that was reported before it ended: wait for its end, and tell nobody."""
        if not self._holds_still(seen, time):
            return View.DOUBTFUL if lasted < self.RESTLESS_S else View.OTHER
        self._turning_since = None
        self._known = [held for held in self._known if held is not current]
        base = self._known[0].structure
        difference = seen.against(base, shift_from=0.0)
        what = what_became_of(base, seen)
        self._adopt(_Held(seen, Change(what, difference.unfit, difference.changed, difference.shift), time, time))
        return View.SETTLED

    def _take(self, held: _Held) -> View:
        """Go on with a view that is known."""
        self._turning_since = None
        self._adopt(held)
        return View.SETTLED

    def _adopt(self, held: _Held) -> None:
        self._current = held
        self.restart()
        if held.seen is Seen.MOVED and held not in self._known:
            self._known = [*self._known[: self.MOST_KNOWN - 1], held]

    def _holds_still(self, seen: Structure, time: float) -> bool:
        """Say whether the picture has been like itself for `STILL_S`."""
        if self._candidate is None or not self._alike(self._candidate[0], seen):
            self._candidate = seen, time
        return time - self._candidate[1] >= self.STILL_S

    def _alike(self, before: Structure, seen: Structure) -> bool:
        if before.bare or seen.bare:
            return before.bare and seen.bare
        if seen.against(before).lost > self.RENEW_SHARE:
            return False
        shift = seen.shifted_from(before)
        return shift is None or max(abs(shift[0]), abs(shift[1])) < self.STILL_SHIFT
