"""Inheritance: a camera has the global sections, key by key, under its own, and the global questions beside its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails

from soteirad.config.messages import detail, show_key
from soteirad.config.question import DESCRIBE, MOST_QUESTIONS, QuestionConfig, is_list
from soteirad.config.values import raw_get, slug, tracked_labels

INHERITED = ("detector", "motion", "scene", "objects", "clips")


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
    if not is_list(given) or not (own is None or is_list(own)) or len(given) > MOST_QUESTIONS:
        return own
    usable: dict[str, Mapping[str, Any]] = {}
    wrong: dict[str, Mapping[str, Any]] = {}
    for raw in given:
        data = _as_mapping(raw)
        try:
            QuestionConfig.model_validate(data)
        except ValidationError:
            if name := _name_of(data):
                wrong[name] = {"name": name, "ask": "?"}  # a camera's keys over it lack nothing then
            continue
        usable[data["name"]] = data
    merged = [_over({**wrong, **usable}, question, camera) for question in own or ()]
    taken = {_name_of(_as_mapping(question)) for question in own or ()}
    others = (_fitted(question, camera) for name, question in usable.items() if name not in taken)
    return [*merged, *(question for question, lost in others if not lost)]


def question_problems(data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    """Yield what is wrong with a camera's raw questions: names twice, labels and zones that it does not have."""
    yield from names_twice(data)
    questions = data.get("questions")
    for index, question in enumerate(map(_as_mapping, questions if is_list(questions) else ())):
        yield from _unknown(data, raw_get(question, "when"), ("questions", index, "when"))


def names_twice(data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    """Yield the raw questions whose name an earlier one has, or one that is the same in an entity id or a folder."""
    questions = data.get("questions")
    seen: dict[str, str] = {}
    for index, question in enumerate(map(_as_mapping, questions if is_list(questions) else ())):
        name = _name_of(question)
        alike = slug(name) or name
        if name and seen.get(alike) == name:
            yield detail(("questions", index, "name"), "there is a question of this name already: choose another")
        elif name and alike in seen:
            yield detail(("questions", index, "name"), f"too like the question {show_key(seen[alike])}: Home Assistant "
                         "and some disks take both names for one; choose another")  # fmt: skip
        seen.setdefault(alike, name)


def known_nowhere(data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    """Yield the labels and zones of global questions that no camera has: nothing would ever be asked for them."""
    questions, cameras = data.get("questions"), data.get("cameras")
    if not is_list(questions) or not isinstance(cameras, Mapping) or not cameras:
        return
    every = [_known(inherit({**data, "questions": None}, camera)) for camera in cameras.values()
             if isinstance(camera, Mapping)]  # fmt: skip
    for index, question in enumerate(map(_as_mapping, questions)):
        for key in ("labels", "zones"):
            wanted = raw_get(raw_get(question, "when"), key)
            had = [known[key] for known in every]
            if not is_list(wanted) or None in had:
                continue
            for place, name in enumerate(wanted):
                if isinstance(name, str) and not any(name in known for known in had if known):
                    yield detail(("questions", index, "when", key, place), f"no camera has such a {key[:-1]}: correct "
                                 "it, or leave it out")  # fmt: skip


def _unknown(camera: Mapping[str, Any], when: Any, place: tuple[str | int, ...]) -> Iterator[InitErrorDetails]:
    for key, known in _known(camera).items():
        wanted = raw_get(when, key)
        if known is None or not is_list(wanted):
            continue
        for index, name in enumerate(wanted):
            if isinstance(name, str) and name not in known:
                names = ", ".join(show_key(str(one)) for one in known[:20]) or "none"
                yield detail((*place, key, index), f"this camera has no such {key[:-1]}: there are {names}")


def _known(camera: Mapping[str, Any]) -> dict[str, Sequence[str] | None]:
    """Return the labels and zones of a raw camera; None for what is wrong itself."""
    zones = camera.get("zones")
    names = None if zones is not None and not isinstance(zones, Mapping) else [*(zones or ())]
    return {"labels": tracked_labels(camera.get("objects")), "zones": names}


def _over(usable: Mapping[str, Mapping[str, Any]], own: Any, camera: Mapping[str, Any]) -> Any:
    """Return a camera's question over the global one of its name; the word `describe` stands for such a one."""
    if own == DESCRIBE["name"] and own in usable:
        own = {"name": own}
    if not isinstance(own, Mapping) or _name_of(own) not in usable:
        return own
    base, lost = _fitted(usable[own["name"]], camera)
    when, over = dict(base.get("when") or {}), own.get("when")
    if own.get("enabled") is False:  # then it needs none
        when = {key: value for key, value in when.items() if key not in lost}
    if over is None or isinstance(over, Mapping):
        return {**base, **own, "when": {**when, **(over or {})}}
    return {**base, **own}


def _fitted(question: Mapping[str, Any], camera: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[str]]:
    """Return a global question without the labels and zones that a camera does not have, and of which none is left.

    Those of which none is left stay as they are.
    """
    when, lost = dict(question.get("when") or {}), list[str]()
    for key, known in _known(camera).items():
        wanted = when.get(key)
        if known is None or wanted is None:
            continue
        left = [name for name in wanted if name in known]
        if left:
            when[key] = left
        else:
            lost.append(key)
    return {**question, "when": when}, lost


def _name_of(question: Any) -> str:
    """Return the name of a raw question; empty if it has none that could be one."""
    name = raw_get(question, "name")
    return name if isinstance(name, str) else ""


def _as_mapping(question: Any) -> Any:
    """Return a raw question with the keys that are set; the word `describe` is a whole one."""
    if isinstance(question, BaseModel):
        return _set_keys(question)
    return DESCRIBE if question == DESCRIBE["name"] else question


def _set_keys(section: BaseModel) -> dict[str, Any]:
    values = {name: getattr(section, name) for name in section.model_fields_set}
    return {name: _set_keys(value) if isinstance(value, BaseModel) else value for name, value in values.items()}
