"""The daemon's environment, and what of it is for no other process."""

from __future__ import annotations

import re
from collections.abc import MutableMapping

SECRET = re.compile(r"SOTEIRA_[A-Z0-9_]+")
"""The names of variables that a configuration may refer to."""


def take_secrets(environ: MutableMapping[str, str]) -> dict[str, str]:
    """Move Soteira's variables out of `environ` and return a whole copy of what it was.

    What a process has in its environment, every process that it starts can read.
    """
    whole = dict(environ)
    for name in whole:
        if SECRET.fullmatch(name) or name == "CREDENTIALS_DIRECTORY":
            del environ[name]
    return whole
