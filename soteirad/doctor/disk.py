"""The disk of the state folder: room, writable, which kind, and how long it takes to keep an event."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from soteirad.config import Config
from soteirad.doctor.finding import Finding, doubt, fault, well
from soteirad.doctor.mounts import Mount, is_sd_card, mount_of
from soteirad.doctor.patient import Patient
from soteirad.room import MB, Room, room_of

NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "sshfs", "fuse.sshfs", "ceph", "glusterfs")
FORGETS = ("tmpfs", "ramfs", "overlay", "aufs")
FOREIGN = ("vfat", "exfat", "msdos", "ntfs", "ntfs3", "fuseblk")
SLOW_MS = 250.0
"""A camera waits 300 ms for its event to be kept."""
TRIES = 5


def check(patient: Patient) -> Iterator[Finding]:
    """Yield what there is to say of the disk."""
    folder = patient.config.storage.path if patient.config is not None else patient.layout.state
    there = folder
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    try:
        room = room_of(there)
    except OSError as error:
        yield _unseen(patient, folder, error)
        return
    yield _room(patient, folder, room)
    mount = mount_of(there)
    if mount is not None:
        yield _kind(folder, mount)
    if there != folder:
        yield well(str(folder), "not there yet: install or the first start makes it")
    elif folder.is_dir() and (mount is None or not mount.read_only):  # else Permissions says it
        yield _writable(patient, folder)


def _unseen(patient: Patient, folder: Path, error: OSError) -> Finding:
    if error.errno in (errno.EACCES, errno.EPERM):
        return doubt(str(folder), "this user may not look into it", patient.as_root)
    return fault(str(folder), f"it cannot be read ({error.strerror})", "see whether the disk is there and well (dmesg)")


def _room(patient: Patient, folder: Path, room: Room) -> Finding:
    """Say whether there is room, also for what the configuration allows pictures to take."""
    free = f"{size(room.free)} of {size(room.total)} free"
    if room.free < room.reserve:
        return fault(str(folder), f"{free}; the last {size(room.reserve)} are for events: no pictures are kept",
                     "make room on this disk, or set a lower storage.max_size")  # fmt: skip
    if room.free < room.wanted * 2:
        return doubt(str(folder), f"{free}: nearly full; below {size(room.reserve)} no pictures are kept",
                     "make room on this disk, or set a lower storage.max_size")  # fmt: skip
    if patient.config is not None and patient.config.storage.max_size > room.total:
        return doubt(str(folder), f"{free}; storage.max_size is more than the whole disk",
                     "set storage.max_size lower, or pictures give way to the last moment")  # fmt: skip
    if patient.config is not None and (most := _allowed(patient.config)) > room.total:
        return doubt(str(folder), f"{free}; pictures and clips may take {size(most)}, more than the whole disk",
                     "set clips.max_size (of each camera) lower, or the oldest clips go before their time")  # fmt: skip
    return well(str(folder), free)


def _allowed(config: Config) -> int:
    """Return how much the configuration allows pictures, the event log and clips to take, in bytes."""
    recording = (camera.clips.max_size for camera in config.watched.values() if camera.clips.enabled)
    return config.storage.max_size + sum(recording)


def _kind(folder: Path, mount: Mount) -> Finding:
    text = f"{mount.kind} on {mount.device}"
    if mount.read_only:
        return fault(str(folder), f"{text}: read-only", "an error of the disk does this (see dmesg); mount it for "
                     "writing again, or set storage.path to another disk")  # fmt: skip
    if mount.kind in NETWORK:
        return doubt(str(folder), f"{text}: a network's file system; the journal needs a disk of this machine",
                     "set storage.path to one")  # fmt: skip
    if mount.kind in FORGETS:
        return doubt(str(folder), f"{text}: what is there may be gone after a restart of the machine",
                     "set storage.path to a real disk (in a container: a volume)")  # fmt: skip
    if mount.kind in FOREIGN:
        return doubt(str(folder), f"{text}: a file system without owners, and not safe in a power cut",
                     "set storage.path to a disk with ext4 or the like")  # fmt: skip
    if is_sd_card(mount.device):
        return well(str(folder), f"{text}, an SD card: they wear out; an SSD lasts longer")
    return well(str(folder), text)


def _writable(patient: Patient, folder: Path) -> Finding:
    """Say whether a file can be written, as the journal does it: until the disk has it."""
    name = folder / f".doctor-{secrets.token_hex(4)}.tmp"
    taken = []
    try:
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            for _ in range(TRIES):
                began = time.monotonic()
                os.write(handle, bytes(4096))
                os.fsync(handle)
                taken.append((time.monotonic() - began) * 1000)
        finally:
            os.close(handle)
    except OSError as error:
        return _refused(patient, folder, error)
    finally:
        with contextlib.suppress(OSError):
            name.unlink(missing_ok=True)
    ms = statistics.median(taken)
    if ms > SLOW_MS:
        return doubt(str(folder), f"keeping an event takes {ms:.0f} ms: this disk is very slow",
                     "take a faster one; a worn SD card becomes like this")  # fmt: skip
    return well(str(folder), f"can be written; {ms:.1f} ms until the disk has it")


def _refused(patient: Patient, folder: Path, error: OSError) -> Finding:
    if error.errno in (errno.EACCES, errno.EPERM) and not patient.root:
        return well(str(folder), "closed for writing to this user, as it should be "
                    f"({patient.typed('sudo soteirad doctor')} tries it)")  # fmt: skip
    how = "make room on this disk" if error.errno == errno.ENOSPC else "see dmesg: a failing disk becomes read-only"
    return fault(str(folder), f"nothing can be written there ({error.strerror})", how)


def size(count: float) -> str:
    """Return a number of bytes for people."""
    return f"{count / MB / 1000:.1f} GB" if count >= 1000 * MB else f"{count / MB:.0f} MB"
