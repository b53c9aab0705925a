"""The detector: the engine that a start would choose, proven now, and whether it is fast enough for all cameras."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator

import numpy as np

from soteirad.assembly import make_detector, model_card, wanted_engine
from soteirad.config import CameraConfig, DetectorConfig
from soteirad.detect.card import ModelCard
from soteirad.detect.choice import Choice, Wanted, choose, chosen_last, remembered
from soteirad.detect.trial import Trial, run_together
from soteirad.doctor.finding import Finding, doubt, fault, well
from soteirad.doctor.patient import Patient
from soteirad.errors import DetectorUnavailable, ModelError
from soteirad.resources import cache_folder

ROUNDS, RUNS = 3, 3
ALL_FRAMES = 25.0
"""Pictures in a second of a camera whose `fps` is 0."""
BUSY = 0.8
"""Share of all cores that looking may take while every camera sees motion."""


def check(patient: Patient) -> Iterator[Finding]:
    """Yield how each model runs that a watched camera uses."""
    times: dict[DetectorConfig, float] = {}
    alone = len({camera.detector for camera in patient.configured.watched.values()}) == 1
    cameras = {name: camera for name, camera in patient.configured.watched.items() if camera.detect}
    for camera in cameras.values():
        settings = camera.detector
        if settings not in times:
            times[settings] = 0.0
            try:
                card = model_card(camera)
            except ModelError as error:
                yield fault(settings.model, str(error), "correct it in the configuration")
                continue
            if settings.server is not None:
                yield _server(camera, card)
            wanted = wanted_engine(camera)
            if wanted is not None:
                findings, times[settings] = _engine(patient, card, wanted)
                yield from findings
                theirs = _of_service(patient, card, wanted) if alone else None
                if theirs is not None:
                    times[settings] = theirs.model_ms
                    yield _confined(card, theirs)
    yield from _enough(cameras, times)


def _engine(patient: Patient, card: ModelCard, wanted: Wanted) -> tuple[list[Finding], float]:
    """Return what there is to say of the model's engine here, and how many milliseconds a picture takes."""
    try:
        known = _known(patient, card, wanted)
        if known is None:
            if patient.fast:
                return [well(card.name, "not proven yet on this machine: the next start does that")], 0.0
            return _told(card, choose(card, wanted, cache_folder(), patient.stop.is_set))
        if patient.fast:
            return _told(card, known, " at an earlier start")
        return _proven(patient, card, known)
    except ModelError as error:
        remedy = "soteirad bench shows each engine; install soteirad again if in doubt"
        return [fault(card.name, str(error), remedy)], 0.0


def _known(patient: Patient, card: ModelCard, wanted: Wanted) -> Choice | None:
    """Return the choice that the service remembers, or this user; who may not look there proves it anew."""
    places = [patient.layout.cache, *filter(None, [cache_folder()])]
    found = (remembered(card, wanted, place) for place in places)
    return next((choice for choice in found if choice is not None), None)


def _of_service(patient: Patient, card: ModelCard, wanted: Wanted) -> Choice | None:
    """Return what the service chose last if we cannot take that for our own: it may do less than we, or was older."""
    if remembered(card, wanted, patient.layout.cache) is not None:
        return None
    return chosen_last(patient.layout.cache)


def _confined(card: ModelCard, choice: Choice) -> Finding:
    """Say what the service runs the model in."""
    text = f"the service itself chose {choice.engine}, {choice.model_ms:.1f} ms, when it started last"
    others = f" (not {'; not '.join(_others(choice))})" if choice.others else ""
    slower = [other for other in choice.others if not other.endswith(" ms")]
    if not slower:
        return well(card.name, text + others)
    return doubt(card.name, text + others, "if it is fast enough (see below), leave it; else do what stands there")


def _proven(patient: Patient, card: ModelCard, choice: Choice) -> tuple[list[Finding], float]:
    """Let the chosen engine answer the golden pictures now."""
    trial = Trial(card, choice.engine, patient.stop.is_set)
    try:
        trial.start()
        taken = run_together([trial], ROUNDS, RUNS)[0]
    finally:
        trial.stop()
    if trial.problem is not None:
        remedy = f"delete {patient.layout.cache}/engines.json and restart soteirad, which then chooses anew"
        return [fault(card.name, f"{choice.engine} was chosen at an earlier start; now: {trial.problem}", remedy)], 0.0
    ms = round(statistics.median([each for times in taken for each in times.total]), 2)
    return _told(card, Choice(choice.engine, ms, trial.verdict, choice.others))


def _told(card: ModelCard, choice: Choice, when: str = " now") -> tuple[list[Finding], float]:
    runs = f"runs in {choice.engine}, {choice.model_ms:.1f} ms a picture"
    found = [well(card.name, f"{runs}; golden pictures passed{when} ({choice.verdict})")]
    if choice.verdict is None:
        found = [doubt(card.name, f"{runs}; nothing proves that it sees rightly: its card has no golden pictures",
                       "soteirad models add makes some")]  # fmt: skip
    if choice.others:
        found.append(well(card.name, f"not chosen when it was proven first: {'; '.join(_others(choice))}"))
    return found, choice.model_ms


def _others(choice: Choice) -> list[str]:
    """Return why the other engines were not chosen, those of one reason together."""
    engines: dict[str, list[str]] = {}
    for other in choice.others:
        engine, _, why = other.partition(": ")
        engines.setdefault(why, []).append(engine)
    return [f"{', '.join(names)}: {why}" for why, names in engines.items()]


def _server(camera: CameraConfig, card: ModelCard) -> Finding:
    """Say whether the detection server answers, and rightly."""
    server = camera.detector.server
    where = server.url if server is not None else ""
    alone = camera.model_copy(update={"detector": camera.detector})
    detector = make_detector(alone, card, None)
    try:
        detector.load()
        width, height = detector.picture_size(640, 360)
        detector.detect(np.zeros((height, width, 3), np.uint8))
    except (DetectorUnavailable, ModelError) as error:
        meanwhile = "this machine detects" if server is not None and server.fallback else "nothing is detected"
        return fault(where, str(error).removeprefix(f"{where}: "), f"see to the server; until then {meanwhile}")
    finally:
        detector.close()
    return well(where, f"the server answers for {card.name}, and rightly on the golden pictures")


def _enough(cameras: dict[str, CameraConfig], times: dict[DetectorConfig, float]) -> Iterator[Finding]:
    """Yield whether this machine keeps up when all cameras see motion at once."""
    looks = {name: (c.fps or ALL_FRAMES) / c.objects.stride for name, c in cameras.items()}
    load = sum(looks[name] * times[camera.detector] / 1000 for name, camera in cameras.items())
    cores = os.cpu_count() or 1
    if load <= 0:
        return
    share = load / cores
    text = f"when all cameras see motion at once, looking takes {share:.0%} of this processor"
    if share > BUSY:
        yield doubt("speed", f"{text}: looks will wait", "set a larger objects.stride, a smaller fps or a faster model")
    else:
        yield well("speed", text)
