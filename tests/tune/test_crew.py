"""The crew: processes that share the settings out give what one alone gives."""

from __future__ import annotations

import pytest

from soteirad.assembly import model_card, pipeline_settings
from soteirad.tune import crew as module
from soteirad.tune.crew import Crew
from tests.tune.made import Measured
from tests.tune.test_sweep import VARIED, with_sections


def test_two_processes_find_what_one_finds_and_tell_how_far_they_are(
    visit: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = model_card(visit.camera)
    settings = [pipeline_settings(with_sections(visit.camera, v), card) for v in VARIED[:3]]
    shares = [settings[:1], settings[1:]]
    alone, together = Crew(processes=1), Crew(processes=2)
    expected = alone.sweep(visit.recording, shares, traced=True)
    monkeypatch.setattr(module, "WORTH_IT", 0)
    told: list[float] = []
    try:
        assert together.sweep(visit.recording, shares, traced=True, on_progress=told.append) == expected
    finally:
        together.close()
    assert told == sorted(told) and told and 0.5 < told[-1] <= 1.0
