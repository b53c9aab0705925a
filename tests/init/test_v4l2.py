"""Cameras on this machine: what the kernel says can give pictures, by a name that lasts."""

from __future__ import annotations

import struct
from pathlib import Path

from soteirad.init.v4l2 import FoundDevice, find_devices

CAPTURE, META, M2M, STREAMING, OWN = 0x1, 0x00800000, 0x00008000, 0x04000000, 0x80000000


def capability(whole: int, own: int) -> bytes:
    """Return struct v4l2_capability (videodev2.h), 104 bytes."""
    made = struct.pack("16s32s32sIII3I", b"uvcvideo", b"C920", b"usb-1", 0x60000, whole, own, 0, 0, 0)
    assert len(made) == 104
    return made


def machine(root: Path, *names: bytes) -> Path:
    for number, name in enumerate(names):
        node = root / f"sys/class/video4linux/video{number}"
        node.mkdir(parents=True)
        (node / "name").write_bytes(name)
        (root / "dev").mkdir(exist_ok=True)
        (root / f"dev/video{number}").touch()
    return root


def test_only_what_captures_is_a_camera(tmp_path: Path) -> None:
    kinds = {"video0": (OWN | CAPTURE | META, CAPTURE | STREAMING), "video1": (OWN | CAPTURE | META, META),
             "video2": (OWN | M2M, M2M), "video3": (CAPTURE, 0)}  # fmt: skip
    root = machine(tmp_path, b"HD \x1b[2JWebcam\n", b"HD Webcam", b"decoder", b"old", b"gone")

    def query(device: Path) -> bytes:
        if device.name not in kinds:
            raise OSError("busy")
        return capability(*kinds[device.name])

    assert find_devices(root, query) == [FoundDevice(f"{root}/dev/video0", "HD ?[2JWebcam"),
                                         FoundDevice(f"{root}/dev/video3", "old")]  # fmt: skip


def test_a_name_that_lasts_is_better_than_a_number(tmp_path: Path) -> None:
    root = machine(tmp_path, b"C920")
    link = root / "dev/v4l/by-id/usb-046d_C920-video-index0"
    link.parent.mkdir(parents=True)
    link.symlink_to("../../video0")
    found = find_devices(root, lambda _: capability(OWN | CAPTURE, CAPTURE))
    assert found == [FoundDevice(str(link), "C920")]


def test_what_is_no_video_device_is_not_asked_wrongly(tmp_path: Path) -> None:
    assert find_devices(machine(tmp_path, b"a file")) == []
    assert find_devices(tmp_path / "nothing") == []
