"""Trials: real child processes that check and time an engine, and all the ways in which they can go wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from soteirad.detect import trial as trial_module
from soteirad.detect.card import ModelCard, load_card
from soteirad.detect.choice import time_together
from soteirad.detect.engine import Engine
from soteirad.detect.trial import Times, Trial
from soteirad.errors import ModelError, Stopped
from soteirad.resources import resource
from tests.daemon import until
from tests.detect.small import make_card
from tests.shared_data import CHECKOUT

NAME = "nanodet-g-416"
ONNX = Engine("onnx", "fp32")
FILES = Path("/dev/fd")


def shadow(folder: Path, patch: pytest.MonkeyPatch, code: str, module: str = "onnxruntime") -> Path:
    """Put a module before the real one in every child; returns the file that it writes its process id to."""
    pid = folder / "pid"
    lines = ["import os, signal, sys, time", f"open({str(pid)!r}, 'w').write(str(os.getpid()))", code]
    (folder / f"{module}.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
    patch.setenv("PYTHONPATH", str(folder))
    return pid


def stand_in(folder: Path, patch: pytest.MonkeyPatch, code: str) -> Path:
    """Let a script speak for the child; returns the file that it writes its process id to."""
    pid, script = folder / "pid", folder / "child"
    lines = [f"#!{sys.executable}", "import json, os, sys, time", f"open({str(pid)!r}, 'w').write(str(os.getpid()))",
             code]  # fmt: skip
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    script.chmod(0o755)
    patch.setattr(sys, "executable", str(script))
    return pid


def gone(pid: Path) -> bool:
    """True when the child that wrote this file is no process any more, not even one that waits to be buried."""
    try:
        os.kill(int(pid.read_text()), 0)
    except ProcessLookupError:
        return True
    return False


def open_files() -> set[str]:
    """The descriptors of this process and what is behind each."""
    found = set()
    for name in os.listdir(FILES):  # noqa: PTH208 - iterdir would hold one more open
        try:
            found.add(f"{name} {os.readlink(FILES / name)}")  # noqa: PTH115
        except OSError:
            continue  # the listing's own, or one without a link
    return {f for f in found if "pipe" in f}


CRASHES = {
    "os.kill(os.getpid(), signal.SIGSEGV)": "it crashed (SIGSEGV)",
    "os.kill(os.getpid(), signal.SIGILL)": "it crashed (SIGILL)",
    "os._exit(3)": "it crashed (exit code 3)",
    "raise MemoryError": "MemoryError: MemoryError",
    "time.sleep(600)": "it did not answer within 1 s",
}


@pytest.mark.parametrize(("code", "problem"), CRASHES.items())
def test_a_library_that_crashes_or_hangs_is_a_problem_in_words_and_leaves_no_process_and_no_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, problem: str
) -> None:
    pid = shadow(tmp_path, monkeypatch, code)
    if "sleep" in code:
        real = trial_module.select.select

        def when_it_hangs(*arguments: Any) -> Any:
            assert until(pid.exists, 60.0), "the child never came to its hang"
            return real(*arguments)

        monkeypatch.setattr(trial_module, "LOAD_TIMEOUT_S", 1.0)
        monkeypatch.setattr(trial_module.select, "select", when_it_hangs)
    before = open_files()
    trial = Trial(load_card(NAME), ONNX)
    trial.start()
    assert trial.problem == problem
    assert gone(pid) and open_files() == before
    with pytest.raises(ModelError, match="the trial of onnx fp32 is not running"):
        trial.time(1)


def test_a_library_that_cannot_be_imported_is_told_with_the_extra_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = shadow(tmp_path, monkeypatch, "raise ImportError('libfoo.so.3 is not there')", "openvino")
    trial = Trial(load_card(NAME), Engine("openvino", "fp32"))
    trial.start()
    assert trial.problem is not None and "OpenVINO is not installed" in trial.problem
    assert "pip install 'soteirad[openvino]'" in trial.problem
    assert gone(pid)


WRONG_ANSWERS = ["print('Hello from a library', flush=True)", "print('5', flush=True)", "print('{}}', flush=True)"]


@pytest.mark.parametrize("code", WRONG_ANSWERS)
def test_an_answer_that_is_none_is_a_problem_and_ends_the_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    pid = stand_in(tmp_path, monkeypatch, f"{code}\nsys.stdin.read()")
    trial = Trial(load_card(NAME), ONNX)
    try:
        trial.start()
        assert trial.problem and gone(pid)
    finally:
        trial.stop()


def test_a_child_that_stops_answering_but_does_not_end_is_a_problem_and_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = stand_in(tmp_path, monkeypatch, "os.close(1)\ntime.sleep(600)")
    trial = Trial(load_card(NAME), ONNX)
    try:
        trial.start()
        assert trial.problem and gone(pid)
    finally:
        trial.stop()


CHATTER = """
print('chatter of a library', flush=True)
os.write(1, b'and of its C code\\n')
sys.path.remove(os.path.dirname(__file__))
del sys.modules['onnxruntime']
import onnxruntime
class Chatty(onnxruntime.InferenceSession):
    def run(self, *arguments):
        print('running', flush=True)
        os.write(1, b'{"problem": "not from the protocol"}\\n')
        return super().run(*arguments)
onnxruntime.InferenceSession = Chatty
"""


def test_what_libraries_print_does_not_disturb_the_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = shadow(tmp_path, monkeypatch, CHATTER)
    trial = Trial(load_card(NAME), ONNX)
    try:
        trial.start()
        assert trial.problem is None and trial.verdict is not None
        assert [len(trial.time(n).total) for n in (2, 1)] == [2, 1]
        assert pid.exists(), "the chatty library was not used"
    finally:
        trial.stop()


def test_a_trial_proves_its_engine_gives_as_many_times_as_runs_and_can_be_ended_twice() -> None:
    before = open_files()
    trial = Trial(load_card(NAME), ONNX)
    try:
        trial.start()
        assert trial.problem is None
        assert trial.verdict is not None and "objects, IoU at least" in trial.verdict
        for runs in (1, 4):
            times = trial.time(runs)
            for stage in (times.pre, times.model, times.post):
                assert len(stage) == runs and all(ms > 0 for ms in stage)
            sums = [sum(stages) for stages in zip(times.pre, times.model, times.post, strict=True)]
            assert list(times.total) == pytest.approx(sums)
        assert trial.memory_mb > 10
        assert open_files() != before, "the child has no pipes"
    finally:
        trial.stop()
    trial.stop()
    assert open_files() == before
    with pytest.raises(ModelError, match="is not running"):
        trial.time(1)


def test_a_trial_tells_in_which_number_types_openvino_really_computes() -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed: install soteirad[openvino]")
    trial = Trial(load_card(NAME), Engine("openvino", "fp32"))
    try:
        trial.start()
        assert trial.problem is None
        assert set(trial.executed) == {"f32"} and trial.executed["f32"] > 10
    finally:
        trial.stop()


def test_a_card_without_golden_answers_has_no_verdict_and_no_problem() -> None:
    trial = Trial(load_card(NAME).model_copy(update={"golden": None}), ONNX)
    try:
        trial.start()
        assert (trial.problem, trial.verdict) == (None, None)
        assert len(trial.time(1).total) == 1
    finally:
        trial.stop()


def test_a_card_that_does_not_fit_its_model_is_a_problem_in_the_loaders_words(tmp_path: Path) -> None:
    card = make_card(tmp_path, {"type": "gfl", "strides": [8], "bins": 8})
    trial = Trial(card, ONNX)
    trial.start()
    assert trial.problem is not None and "small.onnx: the model file cannot be read" in trial.problem


def test_golden_answers_that_cannot_be_read_are_a_problem_in_words(tmp_path: Path) -> None:
    shutil.copytree(resource("models"), tmp_path / "models")
    (tmp_path / "models" / f"{NAME}.golden.npz").write_bytes(b"no archive")
    trial = Trial(load_card(str(tmp_path / "models" / f"{NAME}.yaml")), ONNX)
    trial.start()
    assert trial.problem is not None and "the golden answers cannot be read" in trial.problem


# Several trials in turns


class Scripted(Trial):
    """A trial that never runs anything: it notes each call and gives the next of its prepared times."""

    def __init__(self, card: ModelCard, engine: Engine, calls: list[Engine], rounds: list[float | str]) -> None:
        super().__init__(card, engine)
        self._calls = calls
        self._rounds = iter(rounds)

    def time(self, runs: int) -> Times:
        self._calls.append(self.engine)
        ms = next(self._rounds)
        if isinstance(ms, str):
            raise ModelError(ms)
        return Times((0.0,) * runs, (ms,) * runs, (0.0,) * runs)


A, B = Engine("onnx", "fp32"), Engine("litert", "fp32")
Make = Callable[..., Scripted]


@pytest.fixture
def calls() -> list[Engine]:
    return []


@pytest.fixture
def scripted(tmp_path: Path, calls: list[Engine]) -> Make:
    card = make_card(tmp_path, {"type": "yolox", "strides": [8]})
    return lambda engine, *rounds: Scripted(card, engine, calls, list(rounds))


def test_trials_take_turns_and_the_first_round_does_not_count(scripted: Make, calls: list[Engine]) -> None:
    trials = [scripted(A, 900.0, 1.0, 2.0), scripted(B, 800.0, 3.0, 4.0)]
    assert time_together(trials, rounds=2, runs=2) == {A: [1.0, 1.0, 2.0, 2.0], B: [3.0, 3.0, 4.0, 4.0]}
    assert calls == [A, B] * 3


def test_a_trial_that_dies_on_the_way_gets_a_problem_and_no_more_turns_and_the_others_go_on(
    scripted: Make, calls: list[Engine]
) -> None:
    trials = [scripted(A, 9.0, 1.0, "it crashed (SIGKILL)"), scripted(B, 9.0, 3.0, 4.0, 5.0)]
    times = time_together(trials, rounds=3, runs=1)
    assert [t.problem for t in trials] == ["it crashed (SIGKILL)", None]
    assert times[B] == [3.0, 4.0, 5.0]
    assert calls == [A, B, A, B, A, B, B]


def test_a_trial_that_dies_while_it_warms_up_gets_a_problem(scripted: Make) -> None:
    trial = scripted(A, "it did not answer within 60 s")
    assert time_together([trial], rounds=1, runs=1) == {A: []}
    assert trial.problem == "it did not answer within 60 s"


DIES_LATER = """
print(json.dumps({"verdict": "good", "executed": {}}), flush=True)
sys.stdin.readline()
for line in sys.stdin:
    count = json.loads(line)["runs"]
    print(json.dumps({"pre": [1] * count, "model": [2] * count, "post": [3] * count, "memory_mb": 1}), flush=True)
    if not os.path.exists(sys.argv[0] + ".ran"):
        open(sys.argv[0] + ".ran", "w").close()
        continue
    os.kill(os.getpid(), 9)
"""


def test_a_child_that_is_killed_between_two_rounds_is_a_problem_and_is_buried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = stand_in(tmp_path, monkeypatch, DIES_LATER)
    before = open_files()
    trial = Trial(load_card(NAME), ONNX)
    trial.start()
    assert (trial.problem, trial.verdict) == (None, "good")
    times = time_together([trial], rounds=3, runs=2)
    assert times == {ONNX: [6, 6]}
    assert trial.problem == "it crashed (SIGKILL)"
    assert gone(pid) and open_files() == before


def test_a_child_that_hangs_in_a_run_is_a_problem_and_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = json.dumps({"verdict": None, "executed": {}})
    pid = stand_in(tmp_path, monkeypatch, f"print({answer!r}, flush=True)\ntime.sleep(600)")
    monkeypatch.setattr(trial_module, "RUN_TIMEOUT_S", 1.0)
    before = open_files()
    trial = Trial(load_card(NAME), ONNX)
    trial.start()
    with pytest.raises(ModelError, match="it did not answer within 1 s"):
        trial.time(1)
    assert gone(pid) and open_files() == before


def test_a_child_whose_parent_is_gone_ends_by_itself() -> None:
    reading, writing = os.pipe()
    code = (
        "import os\n"
        "from soteirad.detect import trial\n"
        "from soteirad.detect.card import load_card\n"
        "real = trial.subprocess.Popen\n"
        f"trial.subprocess.Popen = lambda *a, **k: real(*a, **k, pass_fds=[{writing}])\n"
        f"one = trial.Trial(load_card({NAME!r}), trial.Engine('onnx', 'fp32'))\n"
        "one.start()\n"
        "os._exit(0 if one.problem is None else 1)\n"
    )
    try:
        subprocess.run([sys.executable, "-c", code], pass_fds=[writing], cwd=CHECKOUT, check=True, timeout=60)
    finally:
        os.close(writing)
    with open(reading, "rb") as pipe:  # noqa: PTH123 - a descriptor
        # It ends when the last process that holds its other side, the child, has ended.
        ready, _, _ = trial_module.select.select([pipe], [], [], 60.0)
        assert ready and pipe.read() == b""


def test_a_child_takes_no_module_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "yaml.py").write_text("open('taken', 'w')\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    trial = Trial(load_card(NAME), ONNX)
    try:
        trial.start()
        assert trial.problem is None
        assert not (tmp_path / "taken").exists()
    finally:
        trial.stop()


def test_a_trial_ends_when_it_is_told_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = stand_in(tmp_path, monkeypatch, "time.sleep(600)")
    trial = Trial(load_card(NAME), ONNX, pid.exists)
    with pytest.raises(Stopped):
        trial.start()
    assert gone(pid)


def test_a_trial_that_ends_by_the_signal_that_ends_all_is_no_news_of_its_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = stand_in(tmp_path, monkeypatch, "os.kill(os.getpid(), 15)")
    with pytest.raises(Stopped):
        Trial(load_card(NAME), ONNX, lambda: pid.exists() and gone(pid)).start()


@pytest.mark.parametrize(("code", "passing"), [("time.sleep(600)", True), ("os.kill(os.getpid(), 9)", True),
                                               ("os.kill(os.getpid(), 15)", True),
                                               ("os.kill(os.getpid(), 11)", False)])  # fmt: skip
def test_only_what_took_too_long_or_was_killed_may_be_gone_another_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, passing: bool
) -> None:
    monkeypatch.setattr(trial_module, "LOAD_TIMEOUT_S", 1.0)
    stand_in(tmp_path, monkeypatch, code)
    trial = Trial(load_card(NAME), ONNX)
    trial.start()
    assert trial.problem and trial.passing is passing
