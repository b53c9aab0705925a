"""Where test data lies: what is committed, and what may be absent because its licence keeps it out of the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
DATA = CHECKOUT / "tests" / "data"
DEMO = DATA / "demo.mp4"
VTEST = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")


def shared_folder() -> Path:
    """Return the folder of data that is not in the project: `SOTEIRA_SHARED`, or `shared` beside the checkout."""
    return Path(os.environ.get("SOTEIRA_SHARED") or CHECKOUT.parent / "shared")


def shared(name: str) -> Path:
    """Return a file or folder of the shared data; skips the test that asks for it when it is not there."""
    path = shared_folder() / name
    if not path.exists():
        pytest.skip(f"{name} is not here: put it in a folder `shared` beside the checkout, or set SOTEIRA_SHARED")
    return path


def vtest() -> Path:
    """Return OpenCV's pedestrian clip; skips the test that asks for it when it is not there."""
    if not VTEST.exists():
        pytest.skip("vtest.avi is not here: install Debian's package opencv-doc")
    return VTEST
