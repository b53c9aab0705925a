"""Where the files that ship with Soteira are: inside the wheel, or beside the package in a checkout."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource(name: str) -> Path:
    """Return the path of a shipped file or folder such as `models` or `etc/soteira.yaml`."""
    installed = _PACKAGE / "data" / name
    return installed if installed.exists() else _PACKAGE.parent / name


def cache_folder() -> Path | None:
    """Return the folder for what may be computed again: systemd's, the user's, or None where there is no home."""
    for variable, below in (("CACHE_DIRECTORY", ""), ("XDG_CACHE_HOME", "soteira")):
        if os.environ.get(variable):
            return Path(os.environ[variable]) / below
    try:
        return Path.home() / ".cache" / "soteira"
    except RuntimeError:
        return None
