"""Print what an installed Home Assistant needs from PyPI for these tests, by walking its integrations' manifests.

Run it with the Python of that Home Assistant. It installs such things at its first start otherwise, when a test waits.
"""

from __future__ import annotations

import ast
import importlib.util
import json
from pathlib import Path

ASKED_FOR = ("mqtt", "api", "websocket_api", "config", "frontend", "http", "binary_sensor", "sensor", "event", "image",
             "camera", "button", "switch", "number")  # fmt: skip
IMPORTED_ANYWAY = ("assist_pipeline", "conversation", "recorder", "tts")
"""Nobody sets them up here, but others import them at the start and fill the log with errors where they cannot."""
BUILT_IN = ("CORE_INTEGRATIONS", "DEFAULT_INTEGRATIONS", "LOGGING_INTEGRATIONS")
WITHOUT = ("sentry",)


def built_in(bootstrap: Path) -> set[str]:
    """Return the integrations that every Home Assistant sets up, as its source lists them."""
    found: set[str] = set()
    for node in ast.parse(bootstrap.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in BUILT_IN:
            found |= set(ast.literal_eval(node.value))
    return found


def requirements(base: Path) -> list[str]:
    """Return the requirements of all integrations that are set up, and of those that they depend on."""
    waiting, seen, needed = {*ASKED_FOR, *IMPORTED_ANYWAY, *built_in(base / "bootstrap.py")}, set(WITHOUT), set()
    while waiting - seen:
        name = (waiting - seen).pop()
        seen.add(name)
        manifest = json.loads((base / "components" / name / "manifest.json").read_text(encoding="utf-8"))
        needed |= set(manifest.get("requirements", ()))
        waiting |= set(manifest.get("dependencies", ()))
    return sorted(needed)


if __name__ == "__main__":
    spec = importlib.util.find_spec("homeassistant")
    assert spec is not None and spec.origin is not None, "run this with the Python that has Home Assistant"
    print("\n".join(requirements(Path(spec.origin).parent)))
