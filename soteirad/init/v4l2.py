"""Cameras on this machine: what V4L2 (Linux) says can give pictures.

The one library for this that is kept, linuxpy, is under the GPL; all that is needed of it is one question.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from soteirad.init.shown import shown

QUERYCAP = 0x80685600
"""VIDIOC_QUERYCAP: struct v4l2_capability, 104 bytes."""
_CAPABILITY = struct.Struct("@16s32s32sIII12x")
_CAPTURE = 0x1 | 0x1000
"""V4L2_CAP_VIDEO_CAPTURE and _MPLANE."""
_MEMORY_TO_MEMORY = 0x8000 | 0x4000
"""Decoders and scalers take pictures as well as giving them."""
_HAS_DEVICE_CAPS = 0x80000000
_NODE = re.compile(r"video(\d{1,4})")


@dataclass(frozen=True)
class FoundDevice:
    """A camera on this machine: what to write as its source, and its name (fit to be shown)."""

    source: str
    title: str


def find_devices(root: Path = Path("/"), query: Callable[[Path], bytes] | None = None) -> list[FoundDevice]:
    """Return the cameras that V4L2 knows, by number; none where there is no V4L2."""
    folder = root / "sys/class/video4linux"
    try:
        nodes = sorted((int(match[1]), node) for node in folder.iterdir() if (match := _NODE.fullmatch(node.name)))
    except OSError:
        return []
    found = []
    for _, node in nodes:
        device = root / "dev" / node.name
        with suppress(OSError, struct.error):
            if _captures((query or _query)(device)):
                found.append(FoundDevice(str(_lasting(root, device)), _title(node)))
    return found


def _query(device: Path) -> bytes:
    handle = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return fcntl.ioctl(handle, QUERYCAP, bytes(_CAPABILITY.size))
    finally:
        os.close(handle)


def _captures(capability: bytes) -> bool:
    *_, whole, own = _CAPABILITY.unpack(capability)
    able = own if whole & _HAS_DEVICE_CAPS else whole
    return bool(able & _CAPTURE) and not able & _MEMORY_TO_MEMORY


def _lasting(root: Path, device: Path) -> Path:
    """Return a name of the device that stays when it gets another number, if there is one."""
    with suppress(OSError):
        for link in sorted((root / "dev/v4l/by-id").iterdir()):
            if link.resolve() == device.resolve():
                return link
    return device


def _title(node: Path) -> str:
    try:
        return shown((node / "name").read_bytes()[:200].decode("utf-8", "replace"))
    except OSError:
        return ""
