"""How findings look in a terminal and as a document."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from soteirad import __version__
from soteirad.doctor.examination import CHECKS, Check
from soteirad.doctor.finding import VERDICTS, Finding
from soteirad.doctor.patient import Patient

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}
WIDTH = 80
WIDEST = 110
_INDENT = 8
TOLD_MS = 100.0
"""What took less is not worth the words."""


def finding_lines(finding: Finding, width: int = WIDTH) -> list[str]:
    """Return a finding as lines of at most `width` characters; the first begins with its verdict."""
    took = f" ({finding.ms / 1000:.1f} s)" if finding.ms is not None and finding.ms >= TOLD_MS else ""
    lines = _wrapped(f"{finding.what}: {finding.text}{took}", width, f"  {finding.verdict.upper():<4}  ")
    if finding.remedy:
        lines += _wrapped(finding.remedy, width, " " * _INDENT + "-> ")
    return lines


def _wrapped(text: str, width: int, first: str) -> list[str]:
    plain = "".join(char if char.isprintable() else " " for char in text)
    return textwrap.wrap(plain, width, initial_indent=first, subsequent_indent=" " * len(first),
                         break_long_words=False, break_on_hyphens=False)  # fmt: skip


class Screen:
    """Prints findings below the titles of their checks; at a terminal it tells what is being done. `quiet`: nothing."""

    def __init__(self, quiet: bool = False) -> None:
        self._out = Console(highlight=False, quiet=quiet)
        self._width = min(self._out.width, WIDEST) if self._out.is_terminal else WIDTH
        self._status = Console(stderr=True, quiet=quiet).status("")
        self._title = ""

    def begin(self, check: Check) -> None:
        """Tell what is looked at now."""
        self._title = check.title
        self._status.update(f"{check.title} ...")

    def show_all(self, findings: Iterable[Finding]) -> list[Finding]:
        """Print findings as they come, then what they come to, and return them."""
        shown = []
        with self._status:
            for finding in findings:
                self._show(finding)
                shown.append(finding)
        self._out.print(Text(f"\n{summary_line(shown)}", "bold"))
        return shown

    def _show(self, finding: Finding) -> None:
        if self._title:
            self._out.print(Text(self._title, "bold"))
            self._title = ""
        for index, line in enumerate(finding_lines(finding, self._width)):
            text = Text(line)
            if index == 0:
                text.stylize(STYLES[finding.verdict], 2, 6)
            self._out.print(text, soft_wrap=True)


def counts(findings: Sequence[Finding]) -> dict[str, int]:
    """Return how many findings have each verdict."""
    return {verdict: sum(finding.verdict == verdict for finding in findings) for verdict in VERDICTS}


def summary_line(findings: Sequence[Finding]) -> str:
    """Return one line about all findings."""
    number = counts(findings)
    if number["fail"]:
        return f"{number['fail']} to put right (FAIL), {number['warn']} to look at (WARN), {number['ok']} good."
    if number["warn"]:
        return f"Nothing is broken. {number['warn']} to look at (WARN), {number['ok']} good."
    return "All is well."


def document(patient: Patient, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return what `--json` prints."""
    return {"version": __version__, "config": str(patient.path), "checks": [check.name for check in CHECKS],
            "summary": counts(findings), "findings": [finding.document() for finding in findings]}  # fmt: skip
