"""`bench`: a row for each engine here, with figures that fit each other, or with what is wrong."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from onnx import TensorProto, helper

from soteirad.detect.card import ModelCard, load_card
from soteirad.detect.choice import Wanted, is_installed
from soteirad.detect.engine import Engine
from soteirad.detect.trial import Times, Trial
from soteirad.errors import ModelError
from soteirad.resources import resource
from soteirad.tools.bench import Row, _row, bench, engines
from soteirad.tools.present import bench_table
from tests.command import typed
from tests.daemon import soteirad
from tests.detect.small import constant_nodes, make_card, onnx_model

NAME = "nanodet-g-416"
STAGES = ("pre", "model", "post", "total")
YARDSTICK = "opencv fp32"


def without(card: ModelCard, format_: str) -> ModelCard:
    return card.model_copy(update={"files": {k: f for k, f in card.files.items() if k != format_}})


@pytest.fixture(scope="module")
def rounds() -> list[int]:
    return []


@pytest.fixture(scope="module")
def rows(rounds: list[int]) -> list[Row]:
    """The default model on everything that is installed here."""
    return bench(load_card(NAME), Wanted(), rounds=2, runs=2, on_round=rounds.append)


def test_every_engine_that_is_installed_has_a_row_and_opencv_is_the_yardstick_at_the_end(rows: list[Row]) -> None:
    precisions = {"onnx": ["fp32"], "openvino": ["bf16", "fp16", "fp32"], "litert": ["fp16", "fp32"],
                  "coreml": ["fp16"]}  # fmt: skip
    wanted = [f"{b} {p}" for b, each in precisions.items() if is_installed(b) for p in each]  # type: ignore[arg-type]
    assert [r.engine for r in rows] == [*wanted, YARDSTICK]
    assert "onnx fp32" in wanted


def test_progress_is_told_before_each_round_and_the_warm_up(rows: list[Row], rounds: list[int]) -> None:
    assert rounds == [0, 1, 2]


def test_a_row_has_figures_that_fit_each_other_or_says_what_is_wrong(rows: list[Row]) -> None:
    for row in rows:
        if row.problem is not None:
            assert len(row.problem.split()) > 3, row
            continue
        for stage in STAGES:
            p50, p95 = getattr(row, stage)
            assert 0 < p50 <= p95, (row.engine, stage)
        assert row.total[0] > row.model[0] and row.memory_mb > 10
        assert row.golden is not None and "objects, IoU at least" in row.golden
    good = {r.engine for r in rows if r.problem is None}
    assert {"onnx fp32", YARDSTICK} <= good


def test_openvinos_row_says_what_really_ran(rows: list[Row]) -> None:
    if not is_installed("openvino"):
        pytest.skip("OpenVINO is not installed: install soteirad[openvino]")
    executed = {r.engine: r.executed for r in rows}
    assert list(executed["openvino fp32"] or {}) == ["f32"]
    assert executed["onnx fp32"] == {}


def test_percentiles_and_overhead_come_from_all_runs_and_the_overhead_from_medians() -> None:
    trial = Trial(load_card(NAME), Engine("onnx", "fp32"))
    trial.verdict, trial.memory_mb = "good", 80.0
    times = [Times((1.0, 2.0), (10.0, 20.0), (0.5, 1.0)), Times((30.0,), (60.0,), (1.5,))]
    row = _row(trial, times)
    assert (row.pre[0], row.model[0], row.post[0], row.total[0]) == (2.0, 20.0, 1.0, 23.0)
    assert row.overhead == pytest.approx((2.0 + 1.0) / 20.0)
    assert row.model[1] == pytest.approx(float(np.percentile([10, 20, 60], 95)))
    assert (row.engine, row.problem, row.golden, row.memory_mb) == ("onnx fp32", None, "good", 80.0)


class Prepared(Trial):
    """A trial that never runs anything: every stage of its first round takes 900 ms, of each other round 2 ms."""

    rounds = 0

    def start(self) -> None:
        self.verdict = "good"

    def time(self, runs: int) -> Times:
        self.rounds += 1
        stage = (900.0 if self.rounds == 1 else 2.0,) * runs
        return Times(stage, stage, stage)


def test_the_first_round_warms_up_and_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soteirad.tools.bench.Trial", Prepared)
    for row in bench(load_card(NAME), Wanted("onnx"), rounds=2, runs=3):
        assert (row.model, row.total) == ((2.0, 2.0), (6.0, 6.0))


def test_an_engine_that_fails_is_a_row_with_its_problem_beside_those_that_do_not() -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA: the device that should fail here would not")
    failed, yardstick = bench(load_card(NAME), Wanted("onnx", device="cuda"), rounds=1, runs=1)
    assert failed.engine == "onnx fp32 on cuda"
    assert failed.problem is not None and "this onnxruntime has no CUDAExecutionProvider" in failed.problem
    assert failed.document() == {"engine": failed.engine, "problem": failed.problem}
    assert (yardstick.engine, yardstick.problem) == (YARDSTICK, None)


def test_an_engine_that_dies_while_it_is_timed_is_a_row_with_its_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "child"
    script.write_text(
        f'#!{sys.executable}\nimport sys\nprint(\'{{"verdict": "good", "executed": {{}}}}\', flush=True)\n'
        "sys.stdin.readline()\nsys.stdin.readline()\nsys.exit(4)\n",
        encoding="utf-8",
    )
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    found = bench(load_card(NAME), Wanted("onnx"), rounds=1, runs=1)
    assert [(r.engine, r.problem) for r in found] == [
        ("onnx fp32", "it crashed (exit code 4)"), (YARDSTICK, "it crashed (exit code 4)"),
    ]  # fmt: skip


def test_golden_answers_of_another_model_make_every_row_a_problem_with_numbers(tmp_path: Path) -> None:
    shutil.copytree(resource("models"), tmp_path / "models")
    path = tmp_path / "models" / f"{NAME}.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    data["input"]["colour"] = "RGB"  # red and blue swapped: not what the answers were made with
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    found = bench(load_card(str(path)), Wanted("onnx"), rounds=1, runs=1)
    assert [r.engine for r in found] == ["onnx fp32", YARDSTICK]
    for row in found:
        assert row.problem is not None and row.problem.startswith("the golden check failed (")
        assert "IoU at least" in row.problem and "golden-1.png: " in row.problem


def test_a_card_without_an_onnx_file_has_no_yardstick_and_only_engines_for_its_file() -> None:
    if not is_installed("litert"):
        pytest.skip("LiteRT is not installed: install soteirad[litert]")
    card = without(load_card(NAME), "onnx")
    assert [str(e) for e in engines(card, Wanted())] == ["litert fp16", "litert fp32"]
    assert [r.engine for r in bench(card, Wanted("litert", "fp32"), rounds=1, runs=1)] == ["litert fp32"]


def test_a_precision_is_taken_of_every_backend_that_has_it() -> None:
    card = load_card(NAME)
    assert {e.precision for e in engines(card, Wanted(precision="fp32", threads=2))} == {"fp32"}
    assert {e.threads for e in engines(card, Wanted(precision="fp32", threads=2))} == {2}


def test_a_precision_that_nothing_here_computes_in_is_refused_in_words() -> None:
    with pytest.raises(ModelError, match=r"nanodet-g-416: nothing that is installed here runs this model in bf16"):
        engines(without(load_card(NAME), "onnx"), Wanted(precision="bf16"))


@pytest.mark.parametrize("backend", ["auto", "openvino", "litert"])
def test_a_device_that_a_backend_does_not_have_is_no_heading_over_figures_of_the_processor(backend: Any) -> None:
    try:
        found = engines(load_card(NAME), Wanted(backend, device="cuda"))
    except ModelError:
        return
    assert {(e.backend, e.device) for e in found} == {("onnx", "cuda")}


def test_a_model_whose_file_is_gone_is_refused_before_any_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object) -> Trial:
        raise AssertionError("a trial was made")

    monkeypatch.setattr("soteirad.tools.bench.Trial", explode)
    shutil.copytree(resource("models"), tmp_path / "models")
    (tmp_path / "models" / f"{NAME}-fp16.onnx").unlink()
    with pytest.raises(ModelError, match=r"fp16\.onnx: the model file cannot be read"):
        bench(load_card(str(tmp_path / "models" / f"{NAME}.yaml")), Wanted())


def test_the_document_holds_every_figure_of_a_row(rows: list[Row]) -> None:
    row = next(r for r in rows if r.engine == "onnx fp32")
    document = json.loads(json.dumps(row.document()))
    assert sorted(document) == ["engine", "executed", "golden", "memory_mb", "ms", "overhead"]
    assert {s: (ms["p50"], ms["p95"]) for s, ms in document["ms"].items()} == {s: getattr(row, s) for s in STAGES}


def test_the_table_names_figures_problems_and_number_types(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    p = (1.25, 2.5)
    good = Row("openvino bf16", None, "good", {"bf16": 40, "f32": 2}, 81.4, p, p, p, p, 0.125)
    bad = Row("onnx fp32", "it said [/dev/null] [bold]no[/bold]")
    bench_table(NAME, 2, [good, bad])
    shown = capsys.readouterr().out
    assert "2 threads" in shown and "1.2 / 2.5" in shown and "12.5%" in shown and "81" in shown
    assert "onnx fp32: it said [/dev/null] [bold]no[/bold]" in shown
    assert "40 in bf16, 2 in f32" in shown


def tiny_model(folder: Path) -> Path:
    """Write a model of a few operations with its card: the command takes so many runs that a real one takes long."""
    rows = np.array([[[4, 4, 20, 40, 0.9, 0], [0, 0, 9, 9, 0.01, 1]]], np.float32)
    nodes = [
        *constant_nodes({"rows": rows, "shape": np.array([1, 1, 1], np.int64)}),
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Reshape", ["mean", "shape"], ["flat"]),
        helper.make_node("Add", ["flat", "rows"], ["found"]),
    ]
    (folder / "small.onnx").write_bytes(
        onnx_model({"image": (TensorProto.FLOAT, [1, 3, 64, 64])}, nodes, {"found": [1, 2, 6]})
    )
    card = make_card(folder, {"type": "end2end"}).model_dump(mode="json", exclude={"folder"}, exclude_unset=True)
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(card), encoding="utf-8")
    return path


def test_the_command_prints_one_json_document(tmp_path: Path) -> None:
    model = tiny_model(tmp_path)
    result = soteirad("bench", "--json", "--model", model, "--backend", "onnx", "--precision", "fp32", timeout=200)
    assert (result.returncode, result.stderr) == (0, "")
    rows = json.loads(result.stdout)
    assert [(row["engine"], "ms" in row) for row in rows] == [("onnx fp32", True), (YARDSTICK, True)]


def test_the_command_tells_a_model_that_there_is_not_in_one_line() -> None:
    result = typed("bench", "--model", "yolo-900")
    assert (result.returncode, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1 and "there is no such model card" in result.stderr
