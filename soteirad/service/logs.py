"""Logging: to stderr, one line per transition, with the camera's name bound."""

from __future__ import annotations

import logging
import sys


def setup_logging(level: str, camera: str | None = None) -> None:
    """Send records to stderr; each line carries the camera's name, or `hub`."""
    who = (camera or "hub").replace("%", "%%")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)-7s {who}: %(message)s", "%Y-%m-%d %H:%M:%S"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
