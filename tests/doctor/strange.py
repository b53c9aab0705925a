"""Checks that misbehave, for the examination."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from soteirad.doctor.finding import Finding, well
from soteirad.doctor.patient import Patient

told_to_stop = threading.Event()


def good(patient: Patient) -> Iterator[Finding]:
    yield well("good", "as it should be")
    yield well("good", "in every way")


def raises(patient: Patient) -> Iterator[Finding]:
    yield well("first", "this was found before")
    raise KeyError("no such thing\nat all")


def hangs(patient: Patient) -> Iterator[Finding]:
    yield well("first", "this was found before")
    if patient.stop.wait(30):
        told_to_stop.set()


def two_and_hangs(patient: Patient) -> Iterator[Finding]:
    yield well("zeroth", "findings are told when the next comes")
    yield from hangs(patient)


def tells(patient: Patient) -> Iterator[Finding]:
    yield well("camera", "rtsp://admin:geheim-9@10.0.0.7/live does not answer")


def lacks(patient: Patient) -> Iterator[Finding]:
    raise ImportError("libGL.so.1: cannot open shared object file")


def chatters(patient: Patient) -> Iterator[Finding]:
    raise ValueError("rtsp://admin:geheim-9@10.0.0.7/live")
