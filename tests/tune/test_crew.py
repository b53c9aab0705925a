"""The crew: processes that share the settings out give what one alone gives, and end with the run, however it ends."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from soteirad.assembly import model_card, pipeline_settings
from soteirad.tune import crew as module
from soteirad.tune.crew import Crew
from tests.tune.made import Measured
from tests.tune.test_sweep import VARIED, with_sections

PATIENCE_S = 60

PARENT = """
import sys, time
from soteirad.tune.crew import Crew
crew = Crew(2)
pool = crew._started()
pool.submit(abs, 1).result()
pool.submit(time.sleep, 600)
print(*pool._processes, flush=True)
time.sleep(600)
"""


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


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGKILL])
def test_processes_end_when_their_parent_is_ended_by_force(kind: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline().split()
        parent.send_signal(kind)
        try:  # the pipe ends when the last process that holds it does
            parent.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            pytest.fail("a process of the pool lives on")


def test_a_run_that_is_broken_off_waits_for_no_sweep(visit: Measured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WORTH_IT", 0)
    settings = pipeline_settings(visit.camera, model_card(visit.camera))
    crew, told = Crew(2), 0

    def interrupted(done: float) -> None:
        nonlocal told
        if done > 0:
            told += 1
            raise KeyboardInterrupt

    many = [settings] * 300
    with pytest.raises(KeyboardInterrupt):
        crew.sweep(visit.recording, [many, many], on_progress=interrupted)
    done = crew._done
    crew.close()
    assert told == 1 and done.value < 2 * len(visit.recording.moments) * 0.95
