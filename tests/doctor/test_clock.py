"""The clock: what it shows, and who sets it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from soteirad.doctor.clock import check, kernel_says
from soteirad.service.programs import NOT_FOUND, Ran
from tests.doctor.people import Programs, patient

NOW = 1_795_000_000.0
ASK_CHRONY = ("chronyc", "-c", "tracking")
LEAP = "C0248F97,192.36.143.151,2,1795000000.1,0.00001,0.00002,0.00003,-7.1,0.0,0.04,0.01,0.002,64.2,{}\n"


@pytest.mark.parametrize(("kernel", "chrony", "verdict"), [
    (True, None, "ok"),
    (None, None, "warn"),
    (False, Ran(NOT_FOUND, err="No such file or directory"), "warn"),
    (False, Ran(1, "506 Cannot talk to daemon\n"), "warn"),
    (False, Ran(0, LEAP.format("Not synchronised")), "warn"),
    (False, Ran(0, LEAP.format("Normal")), "ok"),
])  # fmt: skip
def test_who_sets_the_clock_is_asked_of_the_kernel_and_then_of_chrony(
    kernel: bool | None, chrony: Ran | None, verdict: str, tmp_path: Path
) -> None:
    run = Programs({} if chrony is None else {ASK_CHRONY: chrony})
    (found,) = check(replace(patient(tmp_path), run=run), lambda: NOW, lambda: kernel)
    assert found.verdict == verdict and "2026-11-18" in found.text
    assert run.asked == ([] if chrony is None else [ASK_CHRONY])


@pytest.mark.parametrize("now", [0.0, 1_000_000_000.0, 5_000_000_000.0])
def test_a_year_that_cannot_be_is_a_fault(now: float, tmp_path: Path) -> None:
    (found,) = check(patient(tmp_path), lambda: now, lambda: True)
    assert found.verdict == "fail"


def test_the_kernel_answers_or_says_nothing() -> None:
    assert kernel_says() in (True, False, None)
