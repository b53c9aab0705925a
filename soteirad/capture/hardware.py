"""Hardware decoding: what was wished for, and what this machine has."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import av
import av.error
from av.codec.hwaccel import HWAccel

logger = logging.getLogger(__name__)

STATEFUL = "v4l2m2m"
"""V4L2's stateful decoders (Raspberry Pi 4 and others), which FFmpeg knows as codecs and not as hardware."""
_DEVICE_FILES = {"cuda": "/dev/nvidiactl", "vaapi": "/dev/dri/renderD128"}


def usable_hardware(wanted: str) -> str:
    """Return what decodes: `none`, `v4l2m2m`, or a kind of hardware that FFmpeg can use here for H.264.

    `auto` takes what the machine has, silently; a kind that was named and cannot be used is told once.
    """
    if wanted in ("none", STATEFUL):
        return wanted
    if wanted == "auto":
        here = [kind for kind, file in _DEVICE_FILES.items() if Path(file).exists()]
        kinds = ["videotoolbox"] if sys.platform == "darwin" else here
        return next((kind for kind in kinds if _problem(kind) is None), "none")
    problem = _problem(wanted)
    if problem is not None:
        logger.warning("hwaccel %s cannot be used here, the video is decoded in software: %s", wanted, problem)
        return "none"
    return wanted


def _problem(kind: str) -> str | None:
    try:
        HWAccel(kind).create(av.Codec("h264", "r"))
    except (av.error.FFmpegError, NotImplementedError, RuntimeError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None
