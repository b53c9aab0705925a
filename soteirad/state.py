"""The `<camera>/state` payload: what there is now, and by which settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from soteirad.config import CameraConfig
from soteirad.config.overrides import settings_of
from soteirad.gates.objects import Zone, zones_of
from soteirad.gates.structure import Seen


def camera_state(camera: CameraConfig, zones: Sequence[Zone], present: Iterable[tuple[str, Sequence[float]]] = (),
                 moving: bool = False, seen: Seen | None = None) -> dict[str, Any]:  # fmt: skip
    """Return what the retained state says.

    `present` are label and box (x1, y1, x2, y2, fractions of the frame) of each open visit, `seen` what became of the
    view, None while it is the normal one. Without them it is the state of a camera that nobody watches.
    """
    present = list(present)
    labels = [label for label, _ in present]
    inside = [name for label, box in present for name in zones_of(zones, label, box)]
    return {
        "motion": moving,
        "view": {"changed": seen is not None, "seen": seen.value if seen else None},
        "objects": {label: _presence(labels.count(label)) for label in camera.objects.track},
        "zones": {zone.name: _presence(inside.count(zone.name)) for zone in zones},
        **settings_of(camera),
    }


def _presence(count: int) -> dict[str, Any]:
    return {"present": count > 0, "count": count}
