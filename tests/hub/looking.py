"""What waits for somebody who looks at the page."""

from __future__ import annotations

from typing import Any

from soteirad.web.box import Viewer


def drain(viewer: Viewer) -> list[tuple[str, dict[str, Any]]]:
    found = []
    while (message := viewer.next(0.0)) is not None:
        found.append(message)
    return found
