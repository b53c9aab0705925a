"""Programs that are really there, and some that are not."""

from __future__ import annotations

import pytest

from soteirad.service.programs import NOT_FOUND, TIMED_OUT, Ran, find, run


def test_programs_are_asked_in_english_and_one_that_is_missing_is_no_error() -> None:
    assert run(["sh", "-c", "echo $LC_ALL; exit 3"]) == Ran(3, "C\n")
    assert run(["/nowhere/program"]).code == NOT_FOUND


def test_a_program_gets_its_input_and_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOTEIRA_X", "secret")
    assert run(["sh", "-c", "cat; echo $SOTEIRA_X; echo no >&2"], "told ") == Ran(0, "told \n", "no\n")


def test_one_that_hangs_is_ended_and_what_is_said_is_both_outputs() -> None:
    assert run(["sleep", "60"], timeout=0.1).code == TIMED_OUT
    assert Ran(1, "a\n", "b\n").said == "a\nb" and find("sh") is not None and find("no-such-program") is None
