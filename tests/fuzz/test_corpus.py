"""Every input that the fuzzer found worth keeping, once more: those that broke something, and those that reach far."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
MOST_BYTES = 300_000


@pytest.mark.timeout(120)
@pytest.mark.parametrize("target", TARGETS)
def test_no_kept_input_breaks_a_promise(target: str) -> None:
    inputs = sorted((CORPUS / target).iterdir())
    assert inputs, f"there is no corpus for {target}: see scripts/fuzz"
    for path in inputs:
        try:
            TARGETS[target](path.read_bytes())
        except BaseException:
            print(f"with {path}")
            raise


def test_the_corpora_are_small_and_each_has_its_target() -> None:
    assert {path.name for path in CORPUS.iterdir() if path.is_dir()} == {*TARGETS}
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < MOST_BYTES
