"""The configuration: all its problems, and the files that it names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from soteirad.assembly import model_card
from soteirad.config import Config
from soteirad.doctor.examination import CHECKS
from soteirad.doctor.finding import Finding, doubt, fault, told, well
from soteirad.doctor.patient import Patient
from soteirad.errors import BrokerError, ModelError
from soteirad.mqtt.broker import broker_of, tls_context
from soteirad.resources import resource

CORRECT = "correct it there; soteirad check says whether it is right then"


def check(patient: Patient) -> Iterator[Finding]:
    """Yield each problem of the file, or what it configures; without it, what cannot be looked at."""
    yield from _file(patient)
    if patient.config is None:
        titles = ", ".join(check.title for check in CHECKS if check.needs)
        yield doubt("not looked at", titles, "this needs a configuration without mistakes that may be read")


def _file(patient: Patient) -> Iterator[Finding]:
    config = patient.config
    if config is None and not os.path.lexists(patient.path):
        yield fault(str(patient.path), "there is no such file", f"make one: {patient.typed('sudo soteirad init')}")
        return
    if config is None and not patient.root and _is_closed(patient.path):
        yield fault(str(patient.path), "this user may not read it", patient.as_root)
        return
    for problem in patient.problems:
        yield _problem(patient, problem)
    if config is None:
        return
    if patient.path.read_bytes() == resource("etc/soteira.yaml").read_bytes():
        yield fault(str(patient.path), "it is still the example, with a camera and a broker that are not yours",
                    "sudo soteirad init, then: sudo soteirad install")  # fmt: skip
        return
    yield from _files(config)
    if not patient.problems:
        off = len(config.cameras) - len(config.watched)
        cameras = f"{len(config.cameras)} camera{'s' * (len(config.cameras) != 1)}"
        yield well(str(patient.path), f"no mistakes; {cameras}{f', {off} switched off' if off else ''}")
    if not config.watched:
        yield doubt(str(patient.path), "all cameras are switched off", "set enabled: true for one")


def _is_closed(path: Path) -> bool:
    try:
        path.open("rb").close()
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def _problem(patient: Patient, problem: str) -> Finding:
    place, _, rest = problem.partition(": ")
    path, _, text = rest.partition(": ")
    wrong, _, allowed = text.partition(": ")
    if not patient.secrets and not patient.root:
        return doubt(place, f"{path}: {wrong}", f"{patient.as_root}; or {allowed or CORRECT}")
    return fault(place, f"{path}: {wrong}", allowed or CORRECT)


def _files(config: Config) -> Iterator[Finding]:
    """Yield what is wrong with models, their labels, and the files for the broker's encryption."""
    tls = broker_of(config.mqtt).tls
    try:
        if tls is not None:
            tls_context(tls)
    except BrokerError as error:
        yield told("mqtt.tls", error, "correct mqtt.tls")
    for name, camera in config.cameras.items():
        try:
            model_card(camera)
        except ModelError as error:
            yield fault(f"cameras.{name}", str(error), CORRECT)
