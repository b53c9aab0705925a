"""The whole of `soteirad tune`: measure the clips, try settings on them, and say which are best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from soteirad.assembly import model_card, pipeline_settings
from soteirad.config import CameraConfig
from soteirad.config.schema import camera_from
from soteirad.detect.card import printable
from soteirad.errors import SoteiraError
from soteirad.tools.check import replay_camera
from soteirad.tune.advice import FEW_ENTRIES, Goal, Score, front, recommend
from soteirad.tune.bounds import Bounds, within
from soteirad.tune.crew import Crew
from soteirad.tune.knobs import Knobs, first_round, groups, second_round, unique
from soteirad.tune.labels import read_labels
from soteirad.tune.match import Entry, Matched, entry_of, match
from soteirad.tune.recording import Recording
from soteirad.tune.store import Store
from soteirad.tune.sweep import Ran

OnStep = Callable[[str, float], None]
"""Is told what is being done and how much of that is done, 0-1."""


@dataclass(frozen=True)
class Wish:
    """What is asked for: clips, a label file for each or none, and whose settings are tuned."""

    clips: Sequence[Path]
    labels: Sequence[Path] = ()
    config: Path | None = None
    camera: str | None = None
    track: Sequence[str] | None = None


@dataclass(frozen=True)
class Shown:
    """What settings made of one clip: the run with its trace, its entries, and how they match."""

    ran: Ran
    entries: tuple[Entry, ...]
    matched: Matched


@dataclass(frozen=True)
class ClipResult:
    """One clip: the entries that should be found, the reference's run, and the present and recommended settings'."""

    recording: Recording
    camera: CameraConfig
    entries: tuple[Entry, ...]
    reference: Ran
    shown: dict[Knobs, Shown]


@dataclass(frozen=True)
class Tuning:
    """What came of it. `camera` is the name under which the YAML stands, None for the global sections."""

    camera: str | None
    labelled: bool
    present: Score
    scores: tuple[Score, ...]
    front: tuple[Score, ...]
    advice: dict[Goal, Score]
    clips: tuple[ClipResult, ...]
    names: tuple[str, ...]
    notes: tuple[str, ...]

    def yaml(self, goal: Goal) -> str:
        """Return the lines that put a recommendation into the configuration; empty if they change nothing."""
        return self.advice[goal].knobs.as_yaml(self.present.knobs, self.camera)


@dataclass
class _Clip:
    """A clip on its way: its recording, the entries to find, and what each of the settings made of it."""

    camera: CameraConfig
    recording: Recording
    entries: tuple[Entry, ...]
    reference: Ran
    runs: dict[Knobs, Ran]


def tune(wish: Wish, store: Store, crew: Crew, on_step: OnStep = lambda _what, _share: None) -> Tuning:
    """Do it all. The recordings stay open for the report until the store is closed. Raises SoteiraError."""
    if wish.labels and len(wish.labels) != len(wish.clips):
        raise SoteiraError(f"{len(wish.labels)} label files for {len(wish.clips)} clips: give --labels once for each "
                           f"clip, in the same order")  # fmt: skip
    with closing(crew):
        return _Tuner(wish, store, crew, on_step).run()


def _check_clip(path: Path) -> None:
    """Raise SoteiraError for a pipe or a device: it is read more than once."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise SoteiraError(f"{path}: this is no file: save the film to one, and give that")


class _Tuner:
    def __init__(self, wish: Wish, store: Store, crew: Crew, on_step: OnStep) -> None:
        self._wish = wish
        self._store = store
        self._crew = crew
        self._on_step = on_step
        self._clips: list[_Clip] = []
        self._names: tuple[str, ...] = ()

    def run(self) -> Tuning:
        name = self._measure()
        camera = self._clips[0].camera
        present, scores = Knobs.of(camera), bool(self._wish.labels)
        bounds = Bounds.of(present, Knobs.of(camera_from({"source": str(camera.source)})))
        tried = first_round(present, bounds.nothing, camera, scores)
        self._try(tried, "trying settings")
        first = [self._score(k) for k in tried]
        near = [s for s in first if within(s.knobs, bounds.saving)]
        best = unique(s.knobs for s in [*recommend(first, first[0], bounds).values(), *front(near)])
        more = [k for k in second_round(best, present, scores) if k not in tried]
        self._try(more, "trying more settings")
        scored = [self._score(k) for k in [*tried, *more]]
        advice = recommend(scored, scored[0], bounds)
        shown = list(dict.fromkeys([present, *(s.knobs for s in advice.values())]))
        results = tuple(self._result(clip, shown) for clip in self._clips)
        return Tuning(name, scores, scored[0], tuple(scored), tuple(front(scored)), advice, results, self._names,
                      tuple(self._notes(advice["miss nothing"])))  # fmt: skip

    def _measure(self) -> str | None:
        """Record the clips and find what should be found; returns the camera's name if there is one."""
        wish, name = self._wish, None
        overrides = {"track": None if wish.track is None else list(wish.track)}
        for number, path in enumerate(wish.clips):
            _check_clip(path)
            found, camera = replay_camera(path, wish.config, wish.camera, "max", overrides)
            name = found if wish.config is not None else None
            camera = camera.model_copy(update={"detect": True})
            card = model_card(camera)
            self._names = card.class_names
            if wish.labels:  # mistakes in it are told before the long work
                read_labels(wish.labels[number], camera.objects.track)
            what = f"measuring {path.name}"
            self._on_step(what, 0.0)
            recording = self._store.recording(camera, partial(self._on_step, what))
            # Measurements are those of a content, whatever name it had when they were made.
            name_now = printable(path.name.encode(errors="replace").decode())
            recording.facts = replace(recording.facts, clip=name_now)
            twin = next((c for c in self._clips if c.recording.path == recording.path), None)
            if twin is not None:
                raise SoteiraError(f"{path}: this is the same film as {twin.camera.source}: give each once, or its "
                                   f"entries count twice")  # fmt: skip
            settings = pipeline_settings(camera, card, every_frame=True)
            [[reference]] = self._crew.sweep(recording, [[settings]])
            if wish.labels:
                entries = read_labels(wish.labels[number], camera.objects.track, recording.facts.seconds)
            else:
                entries = self._entries(reference)
            self._clips.append(_Clip(camera, recording, tuple(entries), reference, {}))
        if not any(clip.entries for clip in self._clips):
            tracked = ", ".join(self._clips[0].camera.objects.track)
            clips = ", ".join(str(path) for path in wish.clips)
            raise SoteiraError(f"{clips}: nothing that is looked for ({tracked}) comes into the picture, so there is "
                               f"nothing to tune by: give a clip in which somebody does, or other labels with "
                               f"--track")  # fmt: skip
        return name

    def _try(self, knobs: Sequence[Knobs], what: str) -> None:
        for number, clip in enumerate(self._clips):
            for chosen, ran in self._ran(clip, knobs, what, number).items():
                clip.runs[chosen] = ran

    def _ran(self, clip: _Clip, knobs: Sequence[Knobs], what: str, number: int = 0,
             traced: bool = False) -> dict[Knobs, Ran]:  # fmt: skip
        """Try settings on a clip."""
        card = model_card(clip.camera)
        settings = [pipeline_settings(k.apply(clip.camera), card) for k in knobs]
        shares = list(groups(list(knobs), 1 if traced else 2))
        clips = len(self._clips)
        found = self._crew.sweep(clip.recording, [[settings[i] for i in share] for share in shares], traced,
                                 lambda done: self._on_step(what, (number + done) / clips))  # fmt: skip
        return {knobs[i]: ran for share, rans in zip(shares, found, strict=True)
                for i, ran in zip(share, rans, strict=True)}  # fmt: skip

    def _score(self, knobs: Knobs) -> Score:
        """Add up what settings made of all clips."""
        found = extra = looks = scene_runs = 0
        delays: list[float] = []
        cpu_ms = seconds = 0.0
        for clip in self._clips:
            ran, facts = clip.runs[knobs], clip.recording.facts
            reported = self._entries(ran)
            matched = match(reported, clip.entries)
            found, extra = found + len(matched.pairs), extra + len(matched.extra)
            delays += [reported[i].time - clip.entries[j].time for i, j in matched.pairs]
            looks, scene_runs = looks + ran.looks, scene_runs + ran.scene_runs
            ms = facts.stage_ms
            cpu_ms += (ms.get("decode", 0.0) * ran.frames + ms.get("motion", 0.0) * ran.analysed
                       + ms.get("scene", 0.0) * ran.scene_runs + ms.get("detect", 0.0) * ran.looks)  # fmt: skip
            seconds += facts.seconds
        minutes = max(seconds, 1e-3) / 60
        delay = round(sum(delays) / len(delays), 3) if delays else None
        entries = sum(len(clip.entries) for clip in self._clips)
        return Score(knobs, found, entries, extra, delay, round(looks / minutes, 2), round(scene_runs / minutes, 2),
                     round(cpu_ms / 1000 / max(seconds, 1e-3), 4))  # fmt: skip

    def _result(self, clip: _Clip, shown: Sequence[Knobs]) -> ClipResult:
        """Take the settings that are shown through a clip again, with their traces."""
        runs = self._ran(clip, shown, "drawing", traced=True)
        pictures = {}
        for knobs, ran in runs.items():
            reported = self._entries(ran)
            pictures[knobs] = Shown(ran, tuple(reported), match(reported, clip.entries))
        return ClipResult(clip.recording, clip.camera, clip.entries, replace(clip.reference, trace=None), pictures)

    def _entries(self, ran: Ran) -> list[Entry]:
        return [entry_of(seen, self._names) for seen in ran.seen if seen.kind == "entered"]

    def _notes(self, nothing: Score) -> list[str]:
        """Return what the owner should know before believing the result."""
        notes = []
        count = sum(len(clip.entries) for clip in self._clips)
        if count < FEW_ENTRIES:
            notes.append(f"Only {count} entr{'y' if count == 1 else 'ies'} to judge by: a longer clip, or several, "
                         f"gives advice that is worth more.")  # fmt: skip
        if nothing.missed:
            notes.append(f"'miss nothing' misses {nothing.missed} of {nothing.entries} entries here: no settings near "
                         f"the present ones and the defaults find more.")  # fmt: skip
        for clip in self._clips:
            name = clip.recording.facts.clip
            if clip.reference.views:
                times = "once" if clip.reference.views == 1 else f"{clip.reference.views} times"
                notes.append(f"{name}: the camera's view changed {times}. Everything starts anew when it does, so "
                             f"such a clip says less about thresholds.")  # fmt: skip
            early = [e for e in clip.entries if self._wish.labels and e.time < 2.0]
            if early:
                notes.append(f"{name}: {len(early)} of your labels are in the first two seconds: who is found then "
                             f"counts as present, and not as an entry.")  # fmt: skip
        return notes
