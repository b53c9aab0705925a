"""Inheritance: a camera has the global sections, key by key, under its own, and the global questions beside its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails

from soteirad.config.messages import detail
from soteirad.config.question import DESCRIBE, QuestionConfig, is_list
from soteirad.config.values import raw_get, tracked_labels

INHERITED = ("detector", "motion", "scene", "objects")


def inherit(data: Mapping[str, Any], camera: Any) -> Any:
    """Return a raw camera with what the raw configuration says for all cameras."""
    if not isinstance(camera, Mapping):
        return camera
    merged = dict(camera)
    for section in INHERITED:
        given = data.get(section)
        if isinstance(given, BaseModel):
            given = given.model_dump(exclude_unset=True)
        own = camera.get(section)
        if isinstance(given, Mapping) and (own is None or isinstance(own, Mapping)):
            if section == "objects" and own is not None:
                given = _drop_untracked(given, own)
            if section == "detector" and own is not None:
                given = _drop_foreign(given, own)
            merged[section] = _merge(given, own or {})
    if data.get("questions") is not None:
        merged["questions"] = _inherited_questions(data["questions"], camera.get("questions"), merged)
    return merged


def _drop_foreign(given: Mapping[str, Any], own: Mapping[str, Any]) -> Mapping[str, Any]:
    """Drop what belongs to the inherited backend when the camera names another one."""
    if own.get("backend", given.get("backend")) == given.get("backend"):
        return given
    return {key: value for key, value in given.items() if key not in ("server", "device")}


def _drop_untracked(given: Mapping[str, Any], own: Mapping[str, Any]) -> Mapping[str, Any]:
    """Drop inherited filters of labels that the camera's own `track` leaves out: they are no mistake."""
    tracked, filters = tracked_labels(own), given.get("filters")
    if own.get("track") is None or tracked is None or not isinstance(filters, Mapping):
        return given
    return {**given, "filters": {label: limits for label, limits in filters.items() if label in tracked}}


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(below, value) if both else value  # type: ignore[arg-type]
    return merged


def _inherited_questions(given: Any, own: Any, camera: Mapping[str, Any]) -> Any:
    """Return a camera's raw questions: its own, each over the global one of the same name, then the other global ones.

    Global ones that are wrong are told where they stand; labels and zones that this camera does not have are dropped,
    and so are questions that are left without any.
    """
    if not is_list(given) or not (own is None or is_list(own)):
        return own
    usable: dict[str, Mapping[str, Any]] = {}
    for raw in given:
        data = _as_mapping(raw)
        try:
            QuestionConfig.model_validate(data)
        except ValidationError:
            continue
        usable[data["name"]] = data
    merged = [_over(usable, question, camera) for question in own or ()]
    taken = {raw_get(_as_mapping(question), "name") for question in own or ()}
    fitting = (_fitted(question, camera) for name, question in usable.items() if name not in taken)
    return [*merged, *(question for question in fitting if question is not None)]


def question_problems(data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    """Yield what is wrong with a camera's raw questions: names twice, labels and zones that it does not have."""
    questions = data.get("questions")
    seen: set[str] = set()
    for index, question in enumerate(map(_as_mapping, questions if is_list(questions) else ())):
        name = raw_get(question, "name")
        if isinstance(name, str) and name in seen:
            yield detail(("questions", index, "name"), "there is a question of this name already: choose another")
        seen.add(str(name))
        when = raw_get(question, "when")
        yield from _unknown(data, when, ("questions", index, "when"))


def _unknown(camera: Mapping[str, Any], when: Any, place: tuple[str | int, ...]) -> Iterator[InitErrorDetails]:
    for key, known in _known(camera).items():
        wanted = raw_get(when, key)
        if known is None or not is_list(wanted):
            continue
        for index, name in enumerate(wanted):
            if isinstance(name, str) and name not in known:
                names = ", ".join(known) or "none"
                yield detail((*place, key, index), f"this camera has no such {key[:-1]}: there are {names}")


def _known(camera: Mapping[str, Any]) -> dict[str, Sequence[str] | None]:
    """Return the labels and zones of a raw camera; None for what is wrong itself."""
    zones = camera.get("zones")
    names = None if zones is not None and not isinstance(zones, Mapping) else [*(zones or ())]
    return {"labels": tracked_labels(camera.get("objects")), "zones": names}


def _over(usable: Mapping[str, Mapping[str, Any]], own: Any, camera: Mapping[str, Any]) -> Any:
    """Return a camera's question over the global one of its name."""
    if not isinstance(own, Mapping) or own.get("name") not in usable:
        return own
    base = usable[own["name"]]
    base = _fitted(base, camera) or base
    when, over = base.get("when"), own.get("when")
    if isinstance(when, Mapping) and isinstance(over, Mapping):
        return {**base, **own, "when": {**when, **over}}
    return {**base, **own}


def _fitted(question: Mapping[str, Any], camera: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return a global question without the labels and zones that a camera does not have; None if nothing is left."""
    when = dict(question.get("when") or {})
    for key, known in _known(camera).items():
        wanted = when.get(key)
        if known is None or wanted is None:
            continue
        left = [name for name in wanted if name in known]
        if not left:
            return None
        when[key] = left
    return {**question, "when": when}


def _as_mapping(question: Any) -> Any:
    if isinstance(question, BaseModel):
        set_keys = {name: getattr(question, name) for name in question.model_fields_set}
        return {name: _as_mapping(value) for name, value in set_keys.items()}
    return DESCRIBE if question == "describe" else question
