"""The tracker: which detections are the same visit, and when a visit begins and ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from soteirad.detect.detection import Detections
from soteirad.detect.nms import iou_matrix
from soteirad.gates.cadence import TrackNeeds
from soteirad.track.association import Pairs, covered, inside_share, match, nearness
from soteirad.track.track import BoxArray, Track

VisitKind = Literal["entered", "present", "left"]
Evidence = Callable[[BoxArray, float], float]
"""(box, since) -> share of the box that changed after `since`; see `MotionMap.share`."""


@dataclass(frozen=True)
class Visit:
    """A visit that begins (`entered`, `present`) or ends (`left`): a snapshot of its track.

    `time` is the media time of the confirming hit, or of the last hit for `left`; `dwell` is seconds since the first.
    """

    kind: VisitKind
    track_id: int
    class_index: int
    box: tuple[float, float, float, float]
    score: float
    time: float
    dwell: float
    reason: str


@dataclass(frozen=True)
class TrackerSettings:
    """All times in media seconds. (S) marks the published pipeline's values."""

    iou: float = 0.5
    """A detection continues a track when their IoU reaches this (S)."""
    still_iou: float = 0.3
    """The same for a track that stood still: its detections vary more than it moves."""
    nearness: float = 0.5
    """What overlap does not pair is paired when the centres of boxes of like size are within half a diagonal
    (1 - this) ..."""
    closeness: float = 0.75
    """The same for faint detections."""
    growth: float = 2.5
    """Boxes are of like size up to this many times the area ..."""
    edge_growth: float = 6.0
    """... or this many when the track is at the picture's edge, where an object shows more of itself with each look."""
    drift: float = 0.25
    """... and further off by this many diagonals for each second that the track was not seen ..."""
    max_drift: float = 0.75
    """... up to this many."""
    confirm: int = 2
    """A track is confirmed by this many consecutive strong hits (S)."""
    confirm_score: float = 0.6
    """A hit under the starting score still confirms when it has this share of the track's best."""
    promising_score: float = 0.25
    """Something this clear that no track explains may be an object about to be found."""
    shadow_score: float = 0.2
    """What the first looks see this faintly is kept in mind: should it become clear later, it was there before."""
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
        self._next_id = 1
        self._promising = False

    @property
    def open_tracks(self) -> list[Track]:
        """The confirmed tracks that have not left."""
        return [t for t in self.tracks if t.confirmed]

    def needs(self, evidence: Evidence) -> TrackNeeds:
        """Tell the cadence what to look for next."""
        tracks = self.open_tracks
        return TrackNeeds(
            promising=self._promising,
            confirm=any(not t.confirmed and t.hits > 0 and t.misses == 0 for t in self.tracks),
            unseen=any(t.misses > 0 and self._moved(t, evidence) for t in tracks),
            open_tracks=bool(tracks),
            settled=bool(tracks) and not self._promising and all(t.still and t.misses == 0 for t in self.tracks),
        )

    def step(self, time: float, found: Detections, strong: np.ndarray, evidence: Evidence,
             settling_in: bool = False) -> list[Visit]:  # fmt: skip
        """Take one look's detections; returns the visits that begin or end with it.

        `strong` (n,) bool marks the detections that may start a track. `settling_in` makes new tracks `present`:
        what the first looks find was there before.
        """
        matched_tracks: set[int] = set()
        self._promising = False
        for class_index in sorted({t.class_index for t in self.tracks} | set(found.classes.tolist())):
            rows = np.flatnonzero(found.classes == class_index)
            self._step_label(time, class_index, found.select(rows), strong[rows], matched_tracks, settling_in)
        visits = [self._begin(t, evidence) for t in self.tracks if self._ready(t)]
        visits += self._age(time, matched_tracks, evidence)
        return visits

    def close(self, reason: str) -> list[Visit]:
        """End every open visit and forget all tracks."""
        visits = [self._visit(t, "left", reason) for t in self.open_tracks]
        self.tracks.clear()
        return visits

    def _step_label(self, time: float, class_index: int, found: Detections, strong: np.ndarray,
                    matched: set[int], settling_in: bool) -> None:  # fmt: skip
        """Associate one label in rounds: sure tracks and strong detections first, overlap before nearness."""
        tracks = [t for t in self.tracks if t.class_index == class_index]
        sure, unsure = [t for t in tracks if t.confirmed], [t for t in tracks if not t.confirmed]
        free = np.ones(len(found), bool)
        everything = np.ones(len(found), bool)
        rounds = ((sure, strong, _overlaps), (sure, strong, _near), (unsure, strong, _overlaps), (unsure, strong, _near),
                  (sure, everything, _overlaps), (sure, everything, _close), (unsure, everything, _overlaps))  # fmt: skip
        for group, allowed, pair in rounds:
            waiting = [t for t in group if t.id not in matched]
            candidates = np.flatnonzero(free & allowed)
            if not waiting or not len(candidates):
                continue
            for row, column in pair(waiting, found.boxes[candidates], time, self.settings):
                index, track = int(candidates[column]), waiting[row]
                self._hit(track, found.boxes[index], float(found.scores[index]), bool(strong[index]), time)
                matched.add(track.id)
                free[index] = False
        self._start(time, class_index, found, free, strong, tracks, matched, settling_in)

    def _hit(self, track: Track, box: BoxArray, score: float, strong: bool, time: float) -> None:
        """Move the track; a faint hit counts towards confirmation only after a strong one."""
        counts = strong or (track.hits > 0 and score >= self.settings.confirm_score * track.best_score)
        track.hit(box, score, time, counts)

    def _start(self, time: float, class_index: int, found: Detections, free: np.ndarray, strong: np.ndarray,
               tracks: list[Track], matched: set[int], settling_in: bool) -> None:  # fmt: skip
        """Start tracks from detections that are not a second box on an object that already has one."""
        held = [t.box for t in tracks]
        may_start = free & (strong | (settling_in & (found.scores >= self.settings.shadow_score)))
        for index in np.flatnonzero(may_start | (free & (found.scores >= self.settings.promising_score))):
            box = found.boxes[index]
            if held and covered(box[None], np.stack(held))[0] > self.settings.duplicate:
                continue
            if not may_start[index]:
                self._promising = True
                continue
            track = Track(self._next_id, class_index, box, float(found.scores[index]), time, time, settling_in,
                          hits=int(strong[index]))  # fmt: skip
            self._next_id += 1
            self.tracks.append(track)
            matched.add(track.id)
            held.append(box)

    def _ready(self, track: Track) -> bool:
        return not track.confirmed and track.hits >= self.settings.confirm and track.misses == 0

    def _begin(self, track: Track, evidence: Evidence) -> Visit:
        track.confirmed = True
        if track.born_present:
            return self._visit(track, "present", "found by the first looks")
        if evidence(track.box, track.first_seen - self.settings.arrival) < self.settings.evidence:
            return self._visit(track, "present", "nothing moved there before")
        track.entered = True
        return self._visit(track, "entered", "confirmed")

    def _age(self, time: float, matched: set[int], evidence: Evidence) -> list[Visit]:
        visits, kept = [], []
        seen = [t for t in self.tracks if t.id in matched and t.confirmed]
        for track in self.tracks:
            if track.id in matched or ((track.confirmed or track.born_present) and not self._gone(track, time, seen, evidence)):
                kept.append(track)
            elif track.confirmed:
                visits.append(self._visit(track, "left", "gone"))
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
        if not others:
            return None
        shares = inside_share(track.box, np.stack([t.box for t in others]))
        best = int(np.argmax(shares))
        return others[best] if shares[best] >= self.settings.hidden else None

    def _moved(self, track: Track, evidence: Evidence) -> bool:
        return evidence(track.box, track.last_seen) >= self.settings.evidence

    @staticmethod
    def _visit(track: Track, kind: VisitKind, reason: str) -> Visit:
        x1, y1, x2, y2 = track.box.tolist()
        score = track.best_score if kind == "left" else track.score
        return Visit(kind, track.id, track.class_index, (x1, y1, x2, y2), score, track.last_seen,
                     track.last_seen - track.first_seen, reason)  # fmt: skip


def _overlaps(tracks: list[Track], boxes: BoxArray, time: float, settings: TrackerSettings) -> Pairs:
    """Pair by IoU with where a track is expected or was last seen, whichever is better."""
    expected, last = np.stack([t.predicted(time) for t in tracks]), np.stack([t.box for t in tracks])
    minimum = np.array([[settings.still_iou if t.still else settings.iou] for t in tracks], np.float32)
    return match(np.maximum(iou_matrix(expected, boxes), iou_matrix(last, boxes)), minimum)


def _near(tracks: list[Track], boxes: BoxArray, time: float, settings: TrackerSettings) -> Pairs:
    """Pair by the distance of centres; the longer a track was not seen, the further off it may be."""
    expected = np.stack([t.predicted(time) for t in tracks])
    unseen = np.array([[time - t.last_seen if t.confirmed else 0.0] for t in tracks], np.float32)
    minimum = settings.nearness - np.minimum(unseen * settings.drift, settings.max_drift)
    return match(nearness(expected, boxes, _growth(tracks, settings)), minimum)


def _close(tracks: list[Track], boxes: BoxArray, time: float, settings: TrackerSettings) -> Pairs:
    """Pair by the distance of centres, narrowly: faint detections are often parts of other things."""
    expected = np.stack([t.predicted(time) for t in tracks])
    return match(nearness(expected, boxes, _growth(tracks, settings)), settings.closeness)


def _growth(tracks: list[Track], settings: TrackerSettings) -> np.ndarray:
    """How much larger or smaller a track's next box may be: much, for one that is just coming into the picture."""
    return np.array([[settings.edge_growth if at_edge(t.box, settings.edge) else settings.growth] for t in tracks])


def at_edge(box: BoxArray, edge: float) -> bool:
    """Say whether a box lies within `edge` (a share of the frame) of the frame's border."""
    return bool(box[:2].min() <= edge or box[2:].max() >= 1 - edge)
