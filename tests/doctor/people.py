"""Patients for tests: a configuration, a layout below a folder, and an account of our own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from soteirad.doctor.finding import Finding
from soteirad.doctor.patient import Account, Patient, admit
from soteirad.service.layout import Layout
from soteirad.service.programs import Ran
from tests.daemon import write_config

US = Account("soteira", os.geteuid(), frozenset({os.getegid()}))
STRANGER = Account("soteira", 54321, frozenset({54321}))
CLIP = {"porch": {"source": "/nowhere/clip.mp4"}}


def patient(folder: Path, port: int = 1883, cameras: Mapping[str, Any] | None = None, **sections: Any) -> Patient:
    """Return one with a configuration that is read from a file; its state folder is `folder`/state."""
    folder.mkdir(exist_ok=True)
    path = write_config(folder, port, cameras or CLIP, **sections)
    path.chmod(0o600)
    admitted = admit(path, layout=Layout(folder / "root"))
    assert admitted.config is not None, admitted.problems
    return replace(admitted, account=US, system="Linux", daemon=False)


class Programs:
    """Answers exactly the commands that it knows; any other fails the test."""

    def __init__(self, answers: Mapping[tuple[str, ...], Ran]) -> None:
        self._answers = dict(answers)
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, command: Sequence[str]) -> Ran:
        self.asked.append(tuple(command))
        assert tuple(command) in self._answers, f"nobody expected the command {command}"
        return self._answers[tuple(command)]


def verdicts(findings: Iterable[Finding]) -> list[str]:
    return [finding.verdict for finding in findings]


def one(findings: Iterable[Finding], verdict: str) -> Finding:
    """Return the one finding of that verdict."""
    found = list(findings)
    chosen = [finding for finding in found if finding.verdict == verdict]
    assert len(chosen) == 1, found
    return chosen[0]
