"""Asking: which of a camera's questions are due, and with which pictures. Media time and frames in, asks out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from soteirad.capture.frame import Frame
from soteirad.config.question import AD_HOC, Moment, QuestionConfig, ad_hoc_question
from soteirad.event import Event, iso_time
from soteirad.gates.objects import Zone, zones_of
from soteirad.llm.picture import WHOLE, Region, Shot, make_shot, region_around
from soteirad.messages import Ask

BEFORE_S = 2.0
"""How long before an event its earlier picture was taken, if there is one so old."""
KEEP_EVERY_S = 1.0
"""Of what has passed a frame each second is kept, while there is a question that wants one."""
AFTER_S = (2.0, 5.0)
"""How long after an event its later pictures are taken."""
SHARED_SHOTS = 8
"""Pictures that are kept for further questions about the same moment."""
DETAIL_WAIT_S = 6.0
"""How long a question waits for the picture of the detail stream before it is asked with the small one."""


@dataclass(frozen=True)
class Present:
    """An object that is there now; its box in fractions of the frame (x1, y1, x2, y2)."""

    track_id: int
    label: str
    box: tuple[float, float, float, float]


@dataclass
class _Planned:
    """A question whose pictures are not complete yet. `due` are the media times of those that are still to be taken.

    `track_id` is that of the object that a better picture has to show, which may have moved on meanwhile.
    """

    ask: Ask
    region: Region
    due: list[float]
    detail_until: float | None
    track_id: int | None
    shots: list[tuple[Shot, bytes]]

    @property
    def ready(self) -> bool:
        return not self.due and self.detail_until is None

    def finished(self) -> Ask:
        """A better picture is a later one, so the order may be another one now."""
        main = self.shots[self.ask.main]
        shots = sorted(self.shots, key=lambda shot: shot[0].captured)
        return replace(self.ask, shots=tuple(shot for shot, _ in shots), main=shots.index(main),
                       signature=b"".join(signature for _, signature in shots))  # fmt: skip


@dataclass(frozen=True)
class _Dwelling:
    """A question that is asked if the object of `event` is still there at `until` (media time)."""

    question: QuestionConfig
    event: Event
    until: float


class Asker:
    """Knows one camera's questions; belongs to the thread that runs its gates.

    `make_id` gives an id for a capture time (seconds since the epoch). With `detail` a better picture of the events
    that `take_wanted` gives may arrive through `detailed`.
    """

    def __init__(self, questions: Sequence[QuestionConfig], zones: Sequence[Zone], make_id: Callable[[float], str],
                 detail: bool = False) -> None:  # fmt: skip
        self._zones = zones
        self._make_id = make_id
        self._detail = detail
        self._past: deque[Frame] = deque(maxlen=int(BEFORE_S / KEEP_EVERY_S) + 1)
        self._dwelling: list[_Dwelling] = []
        self._planned: list[_Planned] = []
        self._wanted: list[Event] = []
        self._asked: dict[str, float] = {}
        self._shots: dict[tuple[int, int, float, Region], tuple[Shot, bytes]] = {}
        self.configure(questions)

    def configure(self, questions: Sequence[QuestionConfig]) -> None:
        """Go by other questions; what was planned for one that is not asked any more is given up."""
        self._questions = {q.name: q for q in questions if q.enabled}
        self._at_intervals = [q for q in self._questions.values() if "interval" in q.when.on]
        self._looks_back = any(q.frames > 1 for q in self._questions.values())
        self._dwelling = [
            replace(d, question=now)
            for d in self._dwelling
            if (now := self._questions.get(d.question.name)) is not None and "entered" in now.when.on
        ]
        self._planned = [p for p in self._planned if p.ask.question in (AD_HOC, *self._questions)]
        if not self._looks_back:
            self._past.clear()

    def happened(self, event: Event, frame: Frame) -> list[Ask]:
        """Learn of an event that `frame` confirmed; returns what is to be asked at once."""
        if event.event_type == "left":
            self._dwelling = [d for d in self._dwelling if d.event.track_id != event.track_id]
            if event.why.get("reason") != "gone":
                return []  # nobody saw them go: what the picture shows now is something else
        for question in self._questions.values():
            when = question.when
            if event.event_type not in when.on or not _is_about(question, event.label, event.zones):
                continue
            if event.event_type == "entered" and when.min_dwell > 0:
                self._dwelling.append(_Dwelling(question, event, frame.time + when.min_dwell))
            elif event.event_type != "left" or (event.dwell or 0.0) >= when.min_dwell:
                self._plan(question, event.event_type, frame, event, _box_of(event))
        return self._ready(frame.time)

    def see(self, frame: Frame, present: Callable[[], Sequence[Present]]) -> list[Ask]:
        """Take a frame that was analysed; returns what is to be asked now. `present` says what is there."""
        if not self._questions and not self._planned:
            return []
        self._remember(frame)
        self._end_dwelling(frame, present)
        for question in self._at_intervals:
            self._ask_at_interval(question, frame, present)
        for planned in self._planned:
            later = [due for due in planned.due if due > frame.time]
            if len(later) < len(planned.due):  # after a gap one picture serves for all that were missed
                planned.due = later
                planned.shots.append(self._shot(frame, planned.region))
        return self._ready(frame.time)

    def inquire(self, name: str, text: str, frame: Frame) -> list[Ask]:
        """Ask a question by its name, or (`AD_HOC`) the one in `text`, about a frame."""
        question = ad_hoc_question(text) if name == AD_HOC else self._questions.get(name)
        if question is not None:
            self._plan(question, "command", frame, urgent=True)
        return self._ready(frame.time)

    def detailed(self, event_id: str, frame: Frame, present: Callable[[], Sequence[Present]]) -> list[Ask]:
        """Take the detail stream's frame for an event. `present` says what is there by now.

        A crop shows the object where it is by then; if it is gone, the small picture of the event stays.
        """
        there = {p.track_id: p for p in present()}
        for planned in self._planned:
            if planned.ask.event_id != event_id or planned.detail_until is None:
                continue
            planned.detail_until = None
            if planned.track_id is None:
                planned.shots[planned.ask.main] = self._shot(frame, planned.region)
            elif planned.track_id in there:
                region = region_around(there[planned.track_id].box, frame.width, frame.height)
                planned.shots[planned.ask.main] = self._shot(frame, region)
        return self._ready()

    def take_wanted(self) -> list[Event]:
        """Return the events of which a better picture is wanted now; each is given once, and without its snapshot's
        name: that picture may have been taken long before."""
        wanted, self._wanted = self._wanted, []
        return wanted

    def end(self) -> list[Ask]:
        """The source is lost or at its end: ask with the pictures that there are, and forget what has passed."""
        for planned in self._planned:
            planned.due.clear()
            planned.detail_until = None
        self._past.clear()
        self._dwelling.clear()
        self._wanted.clear()
        return self._ready()

    def _plan(self, question: QuestionConfig, on: Moment, frame: Frame, event: Event | None = None,
              box: Region | None = None, urgent: bool = False) -> None:  # fmt: skip
        """Begin to ask: take the pictures of before and of now, and plan the later ones."""
        last, cooldown = self._asked.get(question.name, float("-inf")), question.when.cooldown
        # The frame of an event may be older than one that was asked about meanwhile: that alone is no reason.
        if not urgent and cooldown > 0 and frame.time < last + cooldown:
            return
        self._asked[question.name] = max(last, frame.time)
        around = box if question.crop == "object" else None
        region = WHOLE if around is None else region_around(around, frame.width, frame.height)
        earlier = self._before(frame) if question.frames > 1 else None
        before = [] if earlier is None else [self._shot(earlier, region)]
        waits = self._detail and event is not None and event.box is not None
        if waits and event is not None:
            self._wanted.append(replace(event, snapshot=None))
        self._planned.append(_Planned(
            Ask(id=self._make_id(frame.captured), question=question.name, on=on, time=iso_time(frame.captured),
                text=question.ask if question.name == AD_HOC else "", event_id=event.id if event else None,
                label=event.label if event else None, zones=event.zones if event else (), main=len(before)),
            region,
            due=[frame.time + after for after in AFTER_S[: max(0, question.frames - 2)]],
            detail_until=frame.time + DETAIL_WAIT_S if waits else None,
            track_id=event.track_id if event is not None and around is not None and on == "entered" else None,
            shots=[*before, self._shot(frame, region)],
        ))  # fmt: skip

    def _shot(self, frame: Frame, region: Region) -> tuple[Shot, bytes]:
        """Return a picture; several questions about one moment share it, as making it takes milliseconds."""
        key = (frame.index, frame.width, frame.captured, region)
        if key not in self._shots:
            while len(self._shots) >= SHARED_SHOTS:
                del self._shots[next(iter(self._shots))]
            self._shots[key] = make_shot(frame, region)
        return self._shots[key]

    def _before(self, frame: Frame) -> Frame | None:
        """Return the frame of about two seconds before, if one was kept."""
        older = [kept for kept in self._past if KEEP_EVERY_S / 2 <= frame.time - kept.time <= 2 * BEFORE_S]
        return min(older, key=lambda kept: abs(frame.time - kept.time - BEFORE_S), default=None)

    def _remember(self, frame: Frame) -> None:
        if self._looks_back and (not self._past or frame.time - self._past[-1].time >= KEEP_EVERY_S):
            self._past.append(frame)

    def _end_dwelling(self, frame: Frame, present: Callable[[], Sequence[Present]]) -> None:
        due = [d for d in self._dwelling if frame.time >= d.until]
        if not due:
            return
        self._dwelling = [d for d in self._dwelling if frame.time < d.until]
        there = {p.track_id: p for p in present()}
        for dwelling in due:
            found = there.get(dwelling.event.track_id or 0)
            if found is not None:
                self._plan(dwelling.question, "entered", frame, dwelling.event, found.box)

    def _ask_at_interval(self, question: QuestionConfig, frame: Frame,
                         present: Callable[[], Sequence[Present]]) -> None:  # fmt: skip
        when = question.when
        if frame.time < self._asked.get(question.name, float("-inf")) + max(when.interval, when.cooldown):
            return
        meant = when.labels is None and when.zones is None
        if meant or any(_is_about(question, p.label, zones_of(self._zones, p.label, p.box)) for p in present()):
            self._plan(question, "interval", frame)

    def _ready(self, now: float | None = None) -> list[Ask]:
        """Return the asks that are complete, or have waited for a better picture long enough."""
        for planned in self._planned:
            if now is not None and planned.detail_until is not None and now >= planned.detail_until:
                planned.detail_until = None
        ready = [p.finished() for p in self._planned if p.ready]
        self._planned = [p for p in self._planned if not p.ready]
        return ready


def _is_about(question: QuestionConfig, label: str | None, zones: Sequence[str]) -> bool:
    """Say whether a question is about an object of this label in these zones; without a label there is no object."""
    when = question.when
    if label is None:
        return True
    return (when.labels is None or label in when.labels) and (when.zones is None or not {*when.zones}.isdisjoint(zones))


def _box_of(event: Event) -> Region | None:
    """Return an event's box in fractions of the frame."""
    if event.box is None or event.frame_size is None:
        return None
    width, height = event.frame_size
    x1, y1, x2, y2 = event.box
    return x1 / width, y1 / height, x2 / width, y2 / height
