"""Areas that were drawn on the page, as lines for the configuration file: pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from soteirad.config import CameraConfig
from soteirad.config.schema import camera_from
from soteirad.errors import ConfigError
from soteirad.web.box import WishError


def areas_as_yaml(name: str, camera: CameraConfig, areas: Mapping[str, Any]) -> str:
    """Return the lines that give a camera these zones and masks; none for what is as it was.

    `areas` may hold `zones` (name -> coordinates and objects), `motion_mask` and `privacy_mask`, positions being
    fractions of the picture. Raises WishError for what the file could not have.
    """
    wanted: dict[str, Any] = {}
    zones = areas.get("zones")
    if zones is not None:
        wanted["zones"] = {key: _zone(zone) for key, zone in zones.items()}
    if areas.get("motion_mask") is not None:
        wanted["motion"] = {"mask": [_rounded(p) for p in areas["motion_mask"]]}
    if areas.get("privacy_mask") is not None:
        wanted["privacy_mask"] = [_rounded(p) for p in areas["privacy_mask"]]
    before = camera.model_dump(exclude_unset=True)
    motion = {**before.get("motion", {}), **wanted.get("motion", {})}
    try:
        after = camera_from({**before, **wanted, "motion": motion})
    except ConfigError as error:
        raise WishError("; ".join(error.problems)) from None
    changed = {
        key: value
        for key, value in wanted.items()
        if (after.motion.mask != camera.motion.mask if key == "motion" else getattr(after, key) != getattr(camera, key))
    }
    if "zones" in changed:
        changed["zones"] = {k: v for k, v in changed["zones"].items() if camera.zones.get(k) != after.zones[k]}
    gone = [key for key in camera.zones if zones is not None and key not in zones]
    lines = "".join(f"# The zone {key} is not drawn any more: take it out of the file yourself.\n" for key in gone)
    changed = {key: value for key, value in changed.items() if value != {} or key != "zones"}
    if not changed:
        return lines
    return lines + yaml.safe_dump({"cameras": {name: changed}}, sort_keys=False, default_flow_style=None, width=110,
                                  allow_unicode=True)  # fmt: skip


def _zone(zone: Mapping[str, Any]) -> dict[str, Any]:
    objects = zone.get("objects")
    return {"coordinates": _rounded(zone["coordinates"]), **({} if objects is None else {"objects": list(objects)})}


def _rounded(polygon: Any) -> list[float]:
    """Thousandths are a pixel of a large picture, and can be read."""
    return [round(float(value), 3) for value in polygon]
