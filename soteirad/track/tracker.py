"""The tracker: which detections are the same visit, and when a visit begins and ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from soteirad.detect.detection import Detections
from soteirad.detect.nms import iou_of
from soteirad.gates.cadence import TrackNeeds
from soteirad.gates.geometry import Box
from soteirad.track.association import Candidate, Likeness, covered, echoes, hidden_share, match, meeting, nearness
from soteirad.track.track import Track

VisitKind = Literal["entered", "present", "left"]
Mask = NDArray[np.bool_]
Evidence = Callable[[Box, float], float]
"""(box, since) -> share of the box that changed after `since`; see `MotionMap.share`."""


@dataclass(frozen=True)
class Visit:
    """A visit that begins (`entered`, `present`) or ends (`left`): a snapshot of its track.

    `time` is the media time of the confirming hit, or of the last hit for `left`; `dwell` is seconds since the first.
    """

    kind: VisitKind
    track_id: int
    class_index: int
    box: Box
    score: float
    time: float
    dwell: float
    reason: str


class Found(NamedTuple):
    """A detection of a look; a `strong` one may start a track."""

    box: Box
    score: float
    strong: bool


@dataclass(frozen=True)
class TrackerSettings:
    """All times in media seconds. (S) marks the published pipeline's values."""

    iou: float = 0.5
    """A detection continues a track when their IoU reaches this (S)."""
    still_iou: float = 0.3
    """The same for a track that stood still: its detections vary more than it moves."""
    nearness: float = 0.5
    """It also does when the centres of boxes of like size are within half a diagonal (1 - this) ..."""
    drift: float = 0.5
    """... and further off by this many diagonals for each second since the track's last strong detection: what shows
    up inside the picture where somebody was lost is most likely who was lost. Not at the edge, where people come in,
    nor who was seen coming in there a look before."""
    max_drift: float = 2.0
    """... up to this many."""
    growth: float = 2.5
    """Boxes are of like size up to this many times the area ..."""
    approach: float = 5.0
    """... or this many when the box is the larger one, near and not at the edge: who comes towards the camera outgrows
    what is known of the size, but a box that is far smaller is somebody else, or a part, and at the edge others come
    in ..."""
    edge_growth: float = 6.0
    """... or this many when the track is at the picture's edge, where an object shows more of itself with each look."""
    faint_iou: float = 0.45
    """A faint detection must fit better, since many are parts of the object or of what stands beside it: it keeps a
    track when its IoU with the expected box of full size reaches this ..."""
    faint_growth: float = 1.8
    """... and its area is within this factor."""
    echo: float = 0.55
    """A detection whose IoU with a clearer one exceeds this is most likely a second box on the same object: it comes
    last, and only keeps a track that it fits."""
    confirm: int = 2
    """A track is confirmed by this many consecutive strong hits (S)."""
    confirm_score: float = 0.6
    """A hit under the starting score still confirms when it has this share of the track's best."""
    promising_score: float = 0.25
    """Something this clear that no track explains may be an object about to be found."""
    shadow_score: float = 0.2
    """What the first looks see this faintly is kept in mind: should it become clear later, it was there before."""
    company: float = 1.5
    """Who appears inside the picture within this many diagonals of a known track of the same kind ..."""
    probation: float = 0.6
    """... is confirmed only after this many seconds: mostly it is a part or a second box of the other, or somebody who
    was hidden there and is about to be recognised."""
    probation_interval: float = 0.2
    """Until then it is looked at this often."""
    duplicate: float = 0.7
    """A detection this much inside a track of like size is a second box on the same object."""
    max_misses: float = 3.0
    """A track has left after this many looks that missed it ..."""
    grace_edge: float = 1.0
    """... and this long after its last hit, when it was last seen at the picture's edge ..."""
    grace_inside: float = 4.0
    """... or this long inside the picture, where something may stand in front of it for a moment."""
    grace_hidden: float = 30.0
    """... or this long while somebody of its kind stands in front of it, with whom it is taken to move."""
    hidden: float = 0.4
    """Share of a box that another one must cover to hide it."""
    held_miss: float = 0.1
    """What a miss counts when nothing moved in the box since the last hit: nothing leaves without moving."""
    evidence: float = 0.05
    """Share of a box that must have changed to count as movement in it."""
    arrival: float = 10.0
    """A new object without movement in its box in this many seconds before did not arrive just now: `present`."""
    edge: float = 0.02
    """A box within this share of the frame of its border is at the edge."""


class Tracker:
    """One-to-one association per label with short-term motion prediction; ageing by looks.

    `step` takes every look in order. A weak detection keeps a track, only a strong one starts one: `strong` says which
    detections are. A visit is reported once when it begins and once when it ends.
    """

    def __init__(self, settings: TrackerSettings) -> None:
        self.settings = settings
        self.tracks: list[Track] = []
        self.lapsed: list[Track] = []
        """Those that the last look gave up before they were confirmed."""
        self._next_id = 1
        self._promising = False

    @property
    def open_tracks(self) -> list[Track]:
        """The confirmed tracks that have not left."""
        return [t for t in self.tracks if t.confirmed]

    def needs(self, evidence: Evidence, time: float) -> TrackNeeds:
        """Tell the cadence what to look for next, at media time `time`."""
        if not self.tracks:
            return TrackNeeds(promising=self._promising)
        tracks = self.open_tracks
        return TrackNeeds(
            promising=self._promising,
            confirm=any(self._waits(t, time) for t in self.tracks),
            unseen=any(t.misses > 0 and self._moved(t, evidence) for t in tracks),
            open_tracks=bool(tracks),
            settled=bool(tracks) and not self._promising and all(t.still and t.misses == 0 for t in self.tracks),
        )

    def step(self, time: float, found: Detections, strong: Mask, evidence: Evidence,
             settling_in: bool = False) -> list[Visit]:  # fmt: skip
        """Take one look's detections; returns the visits that begin or end with it.

        `strong` (n,) bool marks the detections that may start a track. `settling_in` makes new tracks `present`:
        what the first looks find was there before.
        """
        matched: set[int] = set()
        self._promising = False
        by_class: dict[int, list[Found]] = {t.class_index: [] for t in self.tracks}
        rows = zip(found.classes.tolist(), found.boxes.tolist(), found.scores.tolist(), strong.tolist(), strict=True)
        for class_index, (x1, y1, x2, y2), score, is_strong in rows:
            by_class.setdefault(class_index, []).append(Found((x1, y1, x2, y2), score, is_strong))
        for class_index in sorted(by_class):
            self._step_label(time, class_index, by_class[class_index], matched, settling_in)
        visits = [self._begin(t, evidence) for t in self.tracks if self._ready(t)]
        visits += self._age(time, matched, evidence)
        return visits

    def close(self, reason: str) -> list[Visit]:
        """End every open visit and forget all tracks."""
        visits = [self._visit(t, "left", reason) for t in self.open_tracks]
        self.tracks.clear()
        return visits

    def _step_label(self, time: float, class_index: int, found: list[Found], matched: set[int],
                    settling_in: bool) -> None:  # fmt: skip
        """Associate one label's tracks and detections, best first; what no track explains may start one."""
        tracks = [t for t in self.tracks if t.class_index == class_index]
        free = dict(enumerate(found))
        for row, column in match(self._candidates(tracks, found, time)):
            self._hit(tracks[row], free.pop(column), time)
            matched.add(tracks[row].id)
        self._start(time, class_index, list(free.values()), [t.box for t in tracks], matched, settling_in)

    def _candidates(self, tracks: list[Track], found: list[Found], time: float) -> list[Candidate]:
        """Return which tracks which detections may continue: confirmed tracks and strong detections first, echoes last.

        A strong detection goes through the wide gate, or like a faint one through the narrow.
        """
        s = self.settings
        echo = echoes([f.box for f in found], s.echo) if tracks else []
        alike = self._compared(tracks, found, time)
        came_in = [t.hits > 0 and not t.confirmed and at_edge(t.box, s.edge) for t in tracks]
        newcomers = {c for row, c, like in alike if came_in[row] and self._fits(tracks[row], like, found[c].box)}
        candidates = []
        for row, column, like in alike:
            track, (box, _, strong) = tracks[row], found[column]
            wide = False
            if strong and not echo[column]:
                inside = column not in newcomers and not at_edge(box, s.edge)
                wide = self._fits(track, like, box, self._stretch(track, time) if inside else 0.0)
            narrow = like.ratio <= s.faint_growth and like.overlap >= s.faint_iou
            if wide or (narrow and (track.confirmed or not echo[column])):
                turn = 4 if echo[column] else 2 * (not track.confirmed) + (not wide)
                candidates.append(Candidate(turn, -like.nearness - like.overlap, row, column))
        return candidates

    def _compared(self, tracks: list[Track], found: list[Found], time: float) -> list[tuple[int, int, Likeness]]:
        """Return which tracks (by index) are how like which detections, without most that no gate would let through."""
        s, boxes = self.settings, [f.box for f in found]
        strong = [column for column, seen in enumerate(found) if seen.strong]
        pairs = []
        for row, track in enumerate(tracks):
            expected, least = track.predicted(time), s.nearness - self._stretch(track, time)
            fit = {c for c in meeting(expected, boxes) if found[c].strong or iou_of(expected, boxes[c]) >= s.faint_iou}
            fit.update(c for c in strong if nearness(expected, boxes[c]) >= least)
            pairs += [(row, column, Likeness.of(expected, boxes[column])) for column in fit]
        return pairs

    def _fits(self, track: Track, like: Likeness, box: Box, stretch: float = 0.0) -> bool:
        """Say whether a strong detection so like a track may continue it, or one off by `stretch` diagonals more."""
        s = self.settings
        growth = s.edge_growth if at_edge(track.box, s.edge) else s.growth
        near = like.nearness >= s.nearness - stretch and like.ratio <= growth
        closer = like.nearness >= s.nearness and like.larger and like.ratio <= s.approach and not at_edge(box, s.edge)
        return near or closer or like.overlap >= (s.still_iou if track.still else s.iou)

    def _stretch(self, track: Track, time: float) -> float:
        """Return how many diagonals further off a confirmed track may be found, being uncertain for so long."""
        s = self.settings
        return min(max(0.0, (time - track.last_firm) * s.drift), s.max_drift) if track.confirmed else 0.0

    def _hit(self, track: Track, found: Found, time: float) -> None:
        """Move the track; a faint hit counts towards confirmation only after a strong one."""
        s = self.settings
        counts = found.strong or (track.hits > 0 and found.score >= s.confirm_score * track.best_score)
        growing = at_edge(found.box, s.edge) or at_edge(track.box, s.edge)
        track.hit(found.box, found.score, time, found.strong, counts, growing)

    def _start(self, time: float, class_index: int, free: list[Found], held: list[Box], matched: set[int],
               settling_in: bool) -> None:  # fmt: skip
        """Start tracks from detections that are not a second box on an object that already has one."""
        s = self.settings
        for box, score, strong in free:
            may_start = strong or (settling_in and score >= s.shadow_score)
            if not may_start and (score < s.promising_score or self._promising):
                continue
            if covered(box, held) > s.duplicate:
                continue
            if not may_start:
                self._promising = True
                continue
            track = Track(self._next_id, class_index, box, score, time, time, settling_in, hits=int(strong))
            self._next_id += 1
            self.tracks.append(track)
            matched.add(track.id)
            held.append(box)

    def _waits(self, track: Track, time: float) -> bool:
        """Say whether a track waits for a look that confirms it; on probation it is looked at now and then."""
        s = self.settings
        if track.confirmed or track.hits == 0 or track.misses > 0:
            return False
        due = track.hits < s.confirm or time - track.last_seen >= s.probation_interval - 1e-6
        return due or not self._in_company(track)

    def _ready(self, track: Track) -> bool:
        """Say whether a track is to be confirmed now."""
        s = self.settings
        if track.confirmed or track.misses or track.hits < s.confirm:
            return False
        return track.last_seen - track.first_seen >= s.probation - 1e-6 or not self._in_company(track)

    def _in_company(self, track: Track) -> bool:
        """Say whether a track inside the picture is close to a confirmed one of its kind that was there before it."""
        s = self.settings
        known = [t for t in self.tracks if t.confirmed and t.class_index == track.class_index]
        others = [t.box for t in known if t.first_seen < track.first_seen]
        if not others or at_edge(track.box, s.edge):
            return False
        return any(nearness(track.box, other) >= 1 - s.company for other in others)

    def _begin(self, track: Track, evidence: Evidence) -> Visit:
        track.confirmed = True
        if track.born_present:
            return self._visit(track, "present", "found by the first looks")
        if evidence(track.box, track.first_seen - self.settings.arrival) < self.settings.evidence:
            return self._visit(track, "present", "nothing moved there before")
        return self._visit(track, "entered", "confirmed")

    def _age(self, time: float, matched: set[int], evidence: Evidence) -> list[Visit]:
        visits, kept = [], []
        self.lapsed = []
        seen = [t for t in self.tracks if t.id in matched and t.confirmed]
        for track in self.tracks:
            stays = track.id in matched or (
                (track.confirmed or track.born_present) and not self._gone(track, time, seen, evidence)
            )
            if stays:
                kept.append(track)
            elif track.confirmed:
                visits.append(self._visit(track, "left", "gone"))
            else:
                self.lapsed.append(track)
        self.tracks = kept
        return visits

    def _gone(self, track: Track, time: float, seen: list[Track], evidence: Evidence) -> bool:
        """Count a miss and say whether it was the last. What stands behind somebody else cannot be seen to leave."""
        s, unseen = self.settings, time - track.last_seen
        front = self._in_front(track, seen)
        if front is not None and unseen < s.grace_hidden:
            track.carry(front.shift)
            track.misses = max(track.misses, 1.0)
            return False
        track.misses += 1.0 if self._moved(track, evidence) else s.held_miss
        grace = s.grace_edge if at_edge(track.box, s.edge) else s.grace_inside
        return track.misses >= s.max_misses and unseen >= grace

    def _in_front(self, track: Track, seen: list[Track]) -> Track | None:
        """Return the track seen in this look that covers most of `track`, if one covers enough of it."""
        others = [t for t in seen if t.class_index == track.class_index]
        front = max(others, key=lambda t: hidden_share(track.box, t.box), default=None)
        return front if front is not None and hidden_share(track.box, front.box) >= self.settings.hidden else None

    def _moved(self, track: Track, evidence: Evidence) -> bool:
        return evidence(track.box, track.last_seen) >= self.settings.evidence

    @staticmethod
    def _visit(track: Track, kind: VisitKind, reason: str) -> Visit:
        score = track.best_score if kind == "left" else track.score
        return Visit(kind, track.id, track.class_index, track.box, score, track.last_seen,
                     track.last_seen - track.first_seen, reason)  # fmt: skip


def at_edge(box: Box, edge: float) -> bool:
    """Say whether a box lies within `edge` (a share of the frame) of the frame's border."""
    return box[0] <= edge or box[1] <= edge or box[2] >= 1 - edge or box[3] >= 1 - edge
