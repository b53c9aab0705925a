"""Imports a script from `scripts/`, which is a folder of programs and no package."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from tests.shared_data import CHECKOUT


def load_script(name: str) -> ModuleType:
    """Return `scripts/<name>.py` as a module, without running its main part."""
    spec = importlib.util.spec_from_file_location(f"scripts_{name}", CHECKOUT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
