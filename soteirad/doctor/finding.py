"""What a check found: one line for the owner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

Verdict = Literal["ok", "warn", "fail"]
VERDICTS: tuple[Verdict, ...] = ("ok", "warn", "fail")
"""The better first."""


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, how it is, and what to do if it is not well.

    `check` is the name of the check that found it, `ms` how long took what was tried, where that tells something.
    """

    verdict: Verdict
    what: str
    text: str
    remedy: str = ""
    check: str = ""
    ms: float | None = None

    def document(self) -> dict[str, Any]:
        """Return it as JSON-ready data; what says nothing is left out."""
        return {key: value for key, value in vars(self).items() if value not in (None, "")}


def well(what: str, text: str, ms: float | None = None) -> Finding:
    """Return a line about what is as it should be."""
    return Finding("ok", what, text, ms=ms)


def doubt(what: str, text: str, remedy: str) -> Finding:
    """Return a line about what works, and not as it should; or about what could not be seen."""
    return Finding("warn", what, text, remedy)


def fault(what: str, text: str, remedy: str) -> Finding:
    """Return a line about what does not work."""
    return Finding("fail", what, text, remedy)


def told(what: str, message: object, otherwise: str, verdict: Verdict = "fail") -> Finding:
    """Return a line of a message of ours, which says after a colon what to do; `otherwise` is for those that do not."""
    text, colon, remedy = str(message).removeprefix(f"{what}: ").partition(": ")
    return Finding(verdict, what, text, remedy if colon else otherwise)


def worst(findings: Iterable[Finding]) -> Verdict:
    """Return the worst verdict of all."""
    return max((finding.verdict for finding in findings), key=VERDICTS.index, default="ok")


def merged(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the findings, with what is well about one thing in one line."""
    held: Finding | None = None
    for finding in findings:
        if held is None:
            held = finding
        elif finding.verdict == held.verdict == "ok" and finding.what == held.what:
            held = replace(held, text=f"{held.text}; {finding.text}")
        else:
            yield held
            held = finding
    if held is not None:
        yield held
