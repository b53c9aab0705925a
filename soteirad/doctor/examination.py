"""The examination: all checks in their order, each with a limit of time and none able to stop the others."""

from __future__ import annotations

import importlib
import queue
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace

from soteirad.config import known_secrets, redact
from soteirad.doctor.finding import Finding, doubt, fault, merged
from soteirad.doctor.patient import Patient

QUICK_S = 15.0
CAMERAS_S = 85.0
"""For each round of four: two connections with their time limits, and what is looked at in between."""
ROUND = 4
ENGINES_S = 600.0
"""As long as the unit gives a start: some machines convert a model first."""
PICTURES_S = 600.0
Findings = Iterator[Finding]


@dataclass(frozen=True)
class Check:
    """One kind of check: `function` is `module:name`, and loaded only when it is its turn.

    `needs` says what it cannot do without: nothing, a configuration, or one with all its secrets.
    """

    name: str
    title: str
    function: str
    needs: str = ""
    seconds: Callable[[Patient], float] = lambda _: QUICK_S


def _cameras_s(patient: Patient) -> float:
    count = len(patient.config.cameras) if patient.config is not None else 0
    return CAMERAS_S * -(-count // ROUND) + QUICK_S


def _models_s(patient: Patient) -> float:
    return PICTURES_S if patient.pictures else 4 * QUICK_S


CHECKS: tuple[Check, ...] = (
    Check("config", "Configuration", "soteirad.doctor.configuration:check"),
    Check("cameras", "Cameras", "soteirad.doctor.cameras:check", "secrets", _cameras_s),
    Check("detector", "Detector", "soteirad.doctor.detector:check", "config", lambda _: ENGINES_S),
    Check("broker", "MQTT broker", "soteirad.doctor.broker:check", "secrets", lambda _: 2 * QUICK_S),
    Check("homeassistant", "Home Assistant", "soteirad.doctor.homeassistant:check", "secrets", lambda _: 2 * QUICK_S),
    Check("llm", "Vision models", "soteirad.doctor.vision:check", "secrets", _models_s),
    Check("disk", "Disk", "soteirad.doctor.disk:check"),
    Check("journal", "Journal", "soteirad.doctor.journal:check", "config"),
    Check("clock", "Clock", "soteirad.doctor.clock:check"),
    Check("rights", "Permissions", "soteirad.doctor.rights:check"),
    Check("service", "Service", "soteirad.doctor.service:check", seconds=lambda _: 3 * QUICK_S),
    Check("page", "Page", "soteirad.doctor.page:check", "config"),
    Check("machine", "Machine", "soteirad.doctor.machine:check"),
)
NAMES = tuple(check.name for check in CHECKS)


def examine(patient: Patient, only: Sequence[str] = (), on_begin: Callable[[Check], None] = lambda _: None,
            checks: Sequence[Check] = CHECKS) -> Generator[Finding, None, None]:  # fmt: skip
    """Yield what each check finds; `only` names some. `on_begin` is told which one begins. No secret is in it.

    Without a configuration the first says what cannot be looked at, so it is always done then.
    """
    for check in checks:
        wanted = not only or check.name in only or (check.name == "config" and patient.config is None)
        if wanted and (patient.config is not None or not check.needs):
            on_begin(check)
            # Others have no secret to tell; and where a word is hidden that stands there always, it is told.
            hide = _redactor(patient) if check.needs == "secrets" else str
            for finding in merged(_examine(patient, check)):
                yield replace(finding, check=check.name, what=hide(finding.what), text=hide(finding.text),
                              remedy=hide(finding.remedy))  # fmt: skip


def _examine(patient: Patient, check: Check) -> Findings:
    if check.needs == "secrets" and not patient.secrets:
        how = "give the secrets that are missing" if patient.root else patient.as_root
        yield doubt(check.title, "not looked at: secrets are needed for it", how)
    else:
        yield from _in_time(replace(patient, stop=threading.Event()), check)


def _in_time(patient: Patient, check: Check) -> Findings:
    """Yield what a check finds in a thread of its own, up to its time limit."""
    limit = check.seconds(patient)
    found: queue.SimpleQueue[Finding | None] = queue.SimpleQueue()
    thread = threading.Thread(target=_do, args=(patient, check, found), name=check.name, daemon=True)
    thread.start()
    deadline = time.monotonic() + limit
    try:
        while (finding := found.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
            yield finding
    except queue.Empty:
        yield fault(check.title, f"this check was not done within {limit:.0f} s and was broken off",
                    "look at what it was about by hand; if it is well, report this")  # fmt: skip
    finally:  # also when nobody wants to know the rest, as after Ctrl-C: what it started ends
        patient.stop.set()


def _do(patient: Patient, check: Check, found: queue.SimpleQueue[Finding | None]) -> None:
    try:
        module, _, name = check.function.partition(":")
        function = getattr(importlib.import_module(module), name)
        for finding in function(patient):
            found.put(finding)
    except ImportError as error:
        why = _line(patient, error)
        found.put(fault(check.title, f"a library is missing or broken ({why})", "install soteirad again"))
    except Exception as error:
        why = f"{type(error).__name__}: {_line(patient, error)}"
        found.put(fault(check.title, f"this check itself failed ({why})",
                        "this is a fault in Soteira: please report it"))  # fmt: skip
    finally:
        found.put(None)


def _redactor(patient: Patient) -> Callable[[str], str]:
    secrets = known_secrets(patient.config) if patient.config is not None else frozenset[str]()
    return lambda text: redact(text, secrets)


def _line(patient: Patient, error: Exception) -> str:
    return re.sub(r"\s+", " ", _redactor(patient)(str(error)))[:200]
