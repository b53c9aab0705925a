"""What a fork server imports that was started before it was known which engines run: the libraries that it is told."""

from __future__ import annotations

import contextlib
import importlib
import sys

for _name in sys.stdin.read().split():  # until the hub has said all, or is gone
    with contextlib.suppress(ImportError):  # a camera says so itself, and better
        importlib.import_module(_name)
