"""Which file system a folder lies on, from what Linux writes down of its mounts (proc(5))."""

from __future__ import annotations

from pathlib import Path

import pytest

from soteirad.doctor.mounts import is_sd_card, mount_of

MOUNTS = r"""22 1 179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw
31 22 0:27 / /var rw,relatime shared:9 master:1 - tmpfs tmpfs rw,size=100k
40 31 8:1 / /var/lib rw - xfs /dev/sda1 ro,seclabel
41 40 0:44 / /var/lib/my\040pictures rw - nfs4 nas:/export\040a rw
42 40 0:45 / /var/lib/twice rw - tmpfs first rw
43 42 0:46 / /var/lib/twice rw - ext4 /dev/sdb1 rw
nonsense
"""


@pytest.mark.parametrize(("folder", "kind", "device", "read_only"), [
    ("/home", "ext4", "/dev/mmcblk0p2", False),
    ("/var/cache", "tmpfs", "tmpfs", False),
    ("/var/lib/soteira", "xfs", "/dev/sda1", True),
    ("/var/lib/my pictures/x", "nfs4", "nas:/export a", False),
    ("/var/lib/twice", "ext4", "/dev/sdb1", False),
    ("/variety", "ext4", "/dev/mmcblk0p2", False),
])  # fmt: skip
def test_the_deepest_and_latest_mount_is_where_a_folder_lies(
    folder: str, kind: str, device: str, read_only: bool, tmp_path: Path
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    found = mount_of(Path(folder), mounts)
    assert found is not None and (found.kind, found.device, found.read_only) == (kind, device, read_only)


def test_where_the_system_does_not_say_nothing_is_known(tmp_path: Path) -> None:
    assert mount_of(tmp_path, tmp_path / "missing") is None


def test_an_sd_card_is_told_from_flash_that_is_soldered(tmp_path: Path) -> None:
    for disk, kind in (("mmcblk0", "SD"), ("mmcblk1", "MMC")):
        (tmp_path / disk / "device").mkdir(parents=True)
        (tmp_path / disk / "device/type").write_text(f"{kind}\n")
    assert is_sd_card("/dev/mmcblk0p2", tmp_path)
    assert not is_sd_card("/dev/mmcblk1p1", tmp_path) and not is_sd_card("/dev/sda1", tmp_path)
    assert not is_sd_card("tmpfs", tmp_path) and not is_sd_card("/dev/mmcblk7", tmp_path)
