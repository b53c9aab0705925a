"""The clock: is it set by the network, and does it show a time that can be?"""

from __future__ import annotations

import ctypes
import ctypes.util
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone

from soteirad.doctor.finding import Finding, doubt, fault, well
from soteirad.doctor.patient import Patient
from soteirad.service.programs import Run

WRITTEN = datetime(2026, 1, 1, tzinfo=timezone.utc)
"""No right clock shows a time before this program was written ..."""
LIFE_YEARS = 30
"""... nor so long after."""
UNSYNCHRONISED = 0x40
"""STA_UNSYNC of adjtimex(2)."""
SET_IT = "sudo timedatectl set-ntp true (or install chrony); without the internet let your router give the time"


class _Timex(ctypes.Structure):
    """The beginning of Linux's struct timex, with room for the rest."""

    _fields_ = (("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long),
                ("maxerror", ctypes.c_long), ("esterror", ctypes.c_long), ("status", ctypes.c_int),
                ("rest", ctypes.c_byte * 256))  # fmt: skip


def kernel_says() -> bool | None:
    """Ask the kernel whether its clock is set by the network; None where it cannot be asked."""
    state = _Timex()
    try:
        found = ctypes.CDLL(ctypes.util.find_library("c") or "libc.so.6").adjtimex(ctypes.byref(state))
    except (OSError, AttributeError):
        return None
    return None if found < 0 else not state.status & UNSYNCHRONISED


def check(patient: Patient, now: Callable[[], float] = time.time,
          synchronised: Callable[[], bool | None] = kernel_says) -> Iterator[Finding]:  # fmt: skip
    """Yield whether the time is to be trusted: events carry it, and what is old is deleted by it."""
    shown = datetime.fromtimestamp(now(), timezone.utc)
    text = f"{shown:%Y-%m-%d %H:%M:%S} UTC"
    if shown < WRITTEN or shown.year > WRITTEN.year + LIFE_YEARS:
        yield fault("time", f"{text}: that cannot be", SET_IT)
        return
    if patient.system == "Darwin":
        yield well("time", f"{text}; macOS keeps it right unless that was switched off")
        return
    told = synchronised()
    if told is False:
        told = _chrony(patient.run) or False
    if told is None:
        yield doubt("time", f"{text}; whether the network sets it cannot be seen here", "compare it with a watch")
    elif told:
        yield well("time", f"{text}, set by the network")
    else:
        yield doubt("time", f"{text}, but nothing keeps it right: events may carry wrong times", SET_IT)


def _chrony(run: Run) -> bool:
    """Ask chrony, which need not tell the kernel; its last field is the state."""
    found = run(["chronyc", "-c", "tracking"])
    return found.code == 0 and found.out.strip().rpartition(",")[2] in ("Normal", "Insert second", "Delete second")
