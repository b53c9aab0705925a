"""Which engine is chosen: who may try, proof before speed, what is remembered, and the words for all of it."""

from __future__ import annotations

import json
import logging
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from soteirad.detect import choice
from soteirad.detect.backends.coreml import UNITS
from soteirad.detect.card import ModelCard, load_card
from soteirad.detect.choice import Choice, Wanted, _pick, candidates, choose, is_installed
from soteirad.detect.engine import BackendName, Engine, Precision
from soteirad.detect.trial import CHILD, Trial
from soteirad.errors import ModelError, ModelUntried
from soteirad.resources import resource
from soteirad.tools.models import Wishes, add_model
from tests.detect.small import make_card
from tests.shared_data import shared

NAME = "nanodet-g-416"
MAC, ARM, PC = ("Darwin", "arm64"), ("Linux", "aarch64"), ("Linux", "x86_64")
VERDICT = r"\d+ objects, IoU at least [01]\.\d{3}, scores within 0\.\d{3}, cosine [01]\.\d{5}"

ONNX = Engine("onnx", "fp32")
OPENVINO = [Engine("openvino", "bf16"), Engine("openvino", "fp16"), Engine("openvino", "fp32")]
LITERT = [Engine("litert", "fp16"), Engine("litert", "fp32")]
COREML = Engine("coreml", "fp16", 1, "all")


def card_of(folder: Path, *formats: str, weights: str = "fp32", golden: str | None = "answers.npz") -> ModelCard:
    files = {f: {"file": f"small.{f}", "weights": weights} for f in formats}
    return make_card(folder, {"type": "yolox", "strides": [8]}, files=files, golden=golden)


def everything(_: BackendName) -> bool:
    return True


def only(*backends: str) -> Callable[[BackendName], bool]:
    return lambda backend: backend in backends


# Candidates


@pytest.mark.parametrize(
    ("system", "wanted"),
    [
        (MAC, [COREML, ONNX]),
        (ARM, [*LITERT, ONNX]),
        (PC, [*OPENVINO, ONNX]),
        (("Darwin", "x86_64"), [*OPENVINO, ONNX]),
        (("Linux", "armv7l"), [*OPENVINO, ONNX]),
        (("Windows", "AMD64"), [*OPENVINO, ONNX]),
    ],
)
def test_each_platform_tries_its_own_backend_first_and_onnx_as_well(
    tmp_path: Path, system: tuple[str, str], wanted: list[Engine]
) -> None:
    assert candidates(card_of(tmp_path, "onnx", "tflite"), Wanted(), everything, system) == wanted


@pytest.mark.parametrize("system", [MAC, ARM, PC], ids="-".join)
def test_backends_that_are_not_installed_are_not_tried(tmp_path: Path, system: tuple[str, str]) -> None:
    assert candidates(card_of(tmp_path, "onnx", "tflite"), Wanted(), only("onnx"), system) == [ONNX]


@pytest.mark.parametrize("system", [MAC, ARM, PC], ids="-".join)
def test_a_card_with_only_a_tflite_file_is_tried_with_litert_everywhere(
    tmp_path: Path, system: tuple[str, str]
) -> None:
    assert candidates(card_of(tmp_path, "tflite"), Wanted(), everything, system) == LITERT


def test_a_core_ml_package_is_enough_for_core_ml(tmp_path: Path) -> None:
    assert candidates(card_of(tmp_path, "coreml"), Wanted(), everything, MAC) == [COREML]


@pytest.mark.parametrize("system", [MAC, ARM, PC], ids="-".join)
def test_without_golden_answers_only_the_reference_is_tried(tmp_path: Path, system: tuple[str, str]) -> None:
    card = card_of(tmp_path, "onnx", "tflite", golden=None)
    assert candidates(card, Wanted(), everything, system) == [ONNX]


def test_without_golden_answers_the_reference_of_a_tflite_file_is_single_precision(tmp_path: Path) -> None:
    card = card_of(tmp_path, "tflite", golden=None)
    assert candidates(card, Wanted(), everything, ARM) == [Engine("litert", "fp32")]


def test_half_precision_is_not_tried_with_eight_bit_weights_in_litert(tmp_path: Path) -> None:
    card = card_of(tmp_path, "onnx", "tflite", weights="int8")
    assert candidates(card, Wanted(), everything, ARM) == [Engine("litert", "fp32"), ONNX]


@pytest.mark.parametrize(("precision", "wanted"), [("fp32", [OPENVINO[2], ONNX]), ("fp16", OPENVINO[1:2])])
def test_only_the_precision_that_is_asked_for_is_tried(
    tmp_path: Path, precision: Precision, wanted: list[Engine]
) -> None:
    assert candidates(card_of(tmp_path, "onnx"), Wanted(precision=precision), everything, PC) == wanted


def test_a_backend_that_is_asked_for_is_tried_alone_wherever_and_whether_installed_or_not(tmp_path: Path) -> None:
    card = card_of(tmp_path, "onnx", "tflite")
    for system in (MAC, ARM, PC):
        assert candidates(card, Wanted("openvino"), only("onnx"), system) == OPENVINO
        assert candidates(card, Wanted("litert", "fp32"), only("onnx"), system) == LITERT[1:]


def test_a_precision_that_the_backend_does_not_compute_in_is_refused_with_those_it_does(tmp_path: Path) -> None:
    card = card_of(tmp_path, "onnx")
    with pytest.raises(ModelError, match=r"nothing here runs the model small in fp16 \(onnx computes in fp32\)"):
        candidates(card, Wanted("onnx", "fp16"), everything, PC)
    with pytest.raises(ModelError, match=r"litert computes in fp16 or fp32\)"):
        candidates(card, Wanted("litert", "bf16"), everything, PC)


@pytest.mark.parametrize(("precision", "system"), [("bf16", ARM), ("bf16", MAC), ("fp16", ("Linux", "riscv64"))])
def test_a_precision_that_nothing_here_computes_in_is_refused(
    tmp_path: Path, precision: Precision, system: tuple[str, str]
) -> None:
    with pytest.raises(ModelError, match=precision):
        candidates(card_of(tmp_path, "onnx"), Wanted(precision=precision), only("onnx", "litert", "coreml"), system)


@pytest.mark.parametrize(
    ("backend", "device", "wanted"),
    [
        ("onnx", "auto", "cpu"), ("onnx", "cuda", "cuda"), ("onnx", "tensorrt", "tensorrt"),
        ("coreml", "auto", "all"), ("coreml", "cpu_and_ne", "cpu_and_ne"),
        ("openvino", "auto", "cpu"), ("litert", "cpu", "cpu"),
    ],
)  # fmt: skip
def test_the_device_is_the_wanted_one_or_the_backends_usual_one(
    tmp_path: Path, backend: BackendName, device: str, wanted: str
) -> None:
    found = candidates(card_of(tmp_path, "onnx", "tflite"), Wanted(backend, device=device), everything, PC)
    assert {e.device for e in found} == {wanted}


def test_the_device_cpu_on_a_mac_means_core_ml_on_the_cpu(tmp_path: Path) -> None:
    first = candidates(card_of(tmp_path, "onnx"), Wanted(device="cpu"), everything, MAC)[0]
    assert first.backend == "coreml" and first.device in UNITS


def test_every_candidate_gets_the_threads(tmp_path: Path) -> None:
    found = candidates(card_of(tmp_path, "onnx", "tflite"), Wanted(threads=3), everything, ARM)
    assert [e.threads for e in found] == [3, 3, 3]


def test_core_ml_counts_as_installed_on_a_mac_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    for system, there in (("Linux", False), ("Darwin", True)):
        monkeypatch.setattr("platform.system", lambda system=system: system)
        assert is_installed("coreml") is there and is_installed("onnx")


# Picking, from prepared times


def prepared(folder: Path, *rows: tuple[Engine, list[float] | str]) -> tuple[ModelCard, list[Trial], dict[Engine, Any]]:
    """A card, trials that are over, and their times; words instead of times are a problem."""
    card = card_of(folder, "onnx")
    trials, times = [], {}
    for engine, outcome in rows:
        trial = Trial(card, engine)
        trial.problem, trial.verdict = (outcome, None) if isinstance(outcome, str) else (None, f"proof of {engine}")
        trials.append(trial)
        times[engine] = [] if isinstance(outcome, str) else outcome
    return card, trials, times


@pytest.mark.parametrize(
    ("milliseconds", "wanted"),
    [
        ([[10.0], [8.0]], 1),
        ([[10.0], [8.01]], 0),
        ([[8.0], [10.0]], 0),
        ([[10.0], [8.5], [7.9]], 2),
        ([[10.0], [8.0], [6.5]], 1),
        ([[10.0], [8.0], [6.4]], 2),
        ([[10.0, 10.0, 10.0], [7.0, 7.0, 100.0]], 1),
        ([[10.0, 10.0, 10.0], [1.0, 9.0, 9.0]], 0),
    ],
)
def test_a_later_engine_wins_only_with_at_most_80_percent_of_the_median_time(
    tmp_path: Path, milliseconds: list[list[float]], wanted: int
) -> None:
    engines = [*OPENVINO, ONNX][: len(milliseconds)]
    picked = _pick(*prepared(tmp_path, *zip(engines, milliseconds, strict=True)))
    assert picked.engine == engines[wanted]
    assert picked.model_ms == statistics.median(milliseconds[wanted])
    assert picked.verdict == f"proof of {engines[wanted]}"


def test_the_others_are_named_with_their_times_or_what_is_wrong_with_them(tmp_path: Path) -> None:
    picked = _pick(*prepared(tmp_path, (OPENVINO[0], "it crashed (SIGILL)"), (OPENVINO[2], [10.0]), (ONNX, [12.34])))
    assert picked.others == ("openvino bf16: it crashed (SIGILL)", "onnx fp32: 12.3 ms")
    assert str(picked) == ("openvino fp32, 10.0 ms (golden check: proof of openvino fp32); "
                           "not openvino bf16: it crashed (SIGILL); not onnx fp32: 12.3 ms")  # fmt: skip


def test_others_with_the_same_fault_are_told_together() -> None:
    others = ("openvino bf16: it may not", "openvino fp32: it may not", "litert fp32: 9.0 ms")
    told = str(Choice(ONNX, 5.0, "good", others))
    assert told.endswith("; not openvino bf16, openvino fp32: it may not; not litert fp32: 9.0 ms")


def test_a_choice_without_golden_answers_says_that_nothing_was_checked() -> None:
    assert str(Choice(ONNX, 5.0, None, ())) == "onnx fp32, 5.0 ms (not checked: the card has no golden answers)"


def test_when_no_engine_is_left_each_is_named_with_its_reason(tmp_path: Path) -> None:
    rows = [(OPENVINO[0], "no bf16 here"), (OPENVINO[2], "it crashed"), (ONNX, "the golden check failed")]
    with pytest.raises(ModelError) as caught:
        _pick(*prepared(tmp_path, *rows))
    for engine, problem in rows:
        assert f"{engine}: {problem}" in str(caught.value)
    assert "the model small runs correctly on nothing that there is here" in str(caught.value)
    assert not caught.value.passes


def test_when_no_engine_is_left_and_one_was_killed_it_may_pass(tmp_path: Path) -> None:
    card, trials, times = prepared(tmp_path, (OPENVINO[2], "it crashed"), (ONNX, "it was killed"))
    trials[1].passing = True
    with pytest.raises(ModelUntried) as caught:
        _pick(card, trials, times)
    assert caught.value.passes


OUTCOMES = st.one_of(st.just("it failed"), st.lists(st.floats(0.1, 1000), min_size=1, max_size=5))


@given(st.lists(OUTCOMES, min_size=1, max_size=4))
def test_what_is_picked_passed_is_no_slower_than_any_before_it_and_not_much_slower_than_any_after(
    tmp_path_factory: pytest.TempPathFactory, outcomes: list[list[float] | str]
) -> None:
    engines = [*OPENVINO, ONNX][: len(outcomes)]
    made = prepared(tmp_path_factory.getbasetemp(), *zip(engines, outcomes, strict=True))
    if all(isinstance(o, str) for o in outcomes):
        with pytest.raises(ModelError):
            _pick(*made)
        return
    place = engines.index(_pick(*made).engine)
    medians = [None if isinstance(o, str) else statistics.median(o) for o in outcomes]
    own = medians[place]
    assert own is not None
    assert all(own <= m for m in medians[:place] if m is not None)
    assert all(m > 0.8 * own for m in medians[place + 1 :] if m is not None)


# Real choices


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time each engine once: which one is the fastest is no matter."""
    monkeypatch.setattr(choice, "ROUNDS", 1)
    monkeypatch.setattr(choice, "RUNS", 1)


class TriedError(Exception):
    """A trial was about to be made."""


@pytest.fixture
def no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(card: ModelCard, engine: Engine, _stop: object) -> Trial:
        raise TriedError(f"{card.name} with {engine}")

    monkeypatch.setattr(choice, "Trial", explode)


def copied_card(folder: Path, checksums: bool = False) -> Path:
    """A copy of the default model; its card does not vouch for the files, so that they may be changed."""
    shutil.copytree(resource("models"), folder)
    path = folder / f"{NAME}.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    for file in data["files"].values():
        file["sha256"] = file["sha256"] if checksums else None
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


def spoil(path: Path) -> None:
    """Turn the signs of an ONNX file's largest weights: it still loads and runs."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed, and makes the broken model: soteirad[convert]")
    model = onnx.load(path)
    weights = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    array = onnx.numpy_helper.to_array(weights)
    weights.CopyFrom(onnx.numpy_helper.from_array(-array, weights.name))
    onnx.save(model, path)


def test_the_choice_on_this_machine_is_proven_and_names_every_other_engine(
    monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    started: list[subprocess.Popen[str]] = []

    class Recorded(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            if CHILD in self.args:  # `platform` asks uname, too
                started.append(self)

    monkeypatch.setattr("soteirad.detect.trial.subprocess.Popen", Recorded)
    made = choose(load_card(NAME), Wanted())
    assert re.fullmatch(VERDICT, made.verdict or "") and made.model_ms > 0
    assert len(made.others) == len(started) - 1
    named = {str(made.engine), *(o.split(":")[0] for o in made.others)}
    assert "onnx fp32" in named and len(named) == len(started)
    for other in made.others:
        assert re.fullmatch(r"[a-z]+ [a-z0-9]+: (\d+\.\d ms|.*[a-z]{3}.*)", other)
    assert [p.poll() is None for p in started] == [False] * len(started), "a trial is still running"
    assert all(p.stdin is not None and p.stdin.closed and p.stdout is not None and p.stdout.closed for p in started)


def test_a_choice_is_kept_and_recalled_without_any_trial_even_for_a_card_that_has_moved(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    card = load_card(str(copied_card(tmp_path / "one")))
    first = choose(card, Wanted("onnx"), tmp_path / "cache")
    request.getfixturevalue("no_trial")
    assert choose(card, Wanted("onnx"), tmp_path / "cache") == first
    (tmp_path / "one").rename(tmp_path / "two")
    assert choose(load_card(str(tmp_path / "two" / f"{NAME}.yaml")), Wanted("onnx"), tmp_path / "cache") == first
    with pytest.raises(TriedError):
        choose(load_card(NAME), Wanted("onnx"), tmp_path / "another cache")
    with pytest.raises(TriedError):
        choose(load_card(NAME), Wanted("onnx"))


@pytest.fixture(scope="module")
def remembered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a copied card (models) and a cache in which the choice of onnx for it is kept."""
    folder = tmp_path_factory.mktemp("remembered")
    card = load_card(str(copied_card(folder / "models")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "ROUNDS", 1)
        patch.setattr(choice, "RUNS", 1)
        choose(card, Wanted("onnx"), folder / "cache")
    yield folder


def change_file(name: str) -> Callable[[Path, pytest.MonkeyPatch], Wanted]:
    def change(folder: Path, _: pytest.MonkeyPatch) -> Wanted:
        with (folder / "models" / name).open("ab") as file:
            file.write(b"\0")
        return Wanted("onnx")

    return change


def change_card(folder: Path, _: pytest.MonkeyPatch) -> Wanted:
    path = folder / "models" / f"{NAME}.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("pad: 0", "pad: 1"), encoding="utf-8")
    return Wanted("onnx")


def change_version(library: str, to: str | None) -> Callable[[Path, pytest.MonkeyPatch], Wanted]:
    def change(_: Path, patch: pytest.MonkeyPatch) -> Wanted:
        real = metadata.version

        def version(name: str) -> str:
            if name != library:
                return real(name)
            if to is None:
                raise metadata.PackageNotFoundError(name)
            return to

        patch.setattr(metadata, "version", version)
        return Wanted("onnx")

    return change


def change_threads(_: Path, __: pytest.MonkeyPatch) -> Wanted:
    return Wanted("onnx", threads=2)


def change_soteira(_: Path, patch: pytest.MonkeyPatch) -> Wanted:
    patch.setattr(choice, "__version__", "0.0.0")
    return Wanted("onnx")


def change_processor(_: Path, patch: pytest.MonkeyPatch) -> Wanted:
    patch.setattr(choice, "_processor", lambda: "model name: one that was put in instead")
    return Wanted("onnx")


def change_rights(_: Path, patch: pytest.MonkeyPatch) -> Wanted:
    patch.setattr(choice, "may_write_programs", lambda: False)
    return Wanted("onnx")


CHANGES = {
    "model file": change_file(f"{NAME}-fp16.onnx"),
    "file of another format": change_file(f"{NAME}-fp16.tflite"),
    "golden answers": change_file(f"{NAME}.golden.npz"),
    "card": change_card,
    "library upgraded": change_version("onnxruntime", "99.0"),
    "library removed": change_version("numpy", None),
    "library installed": change_version("tflite-runtime", "2.14"),
    "threads": change_threads,
    "Soteira": change_soteira,
    "processor": change_processor,
    "what the process may do": change_rights,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_choice_is_made_anew_when_something_changed_that_it_hangs_on(
    tmp_path: Path, remembered: Path, no_trial: None, monkeypatch: pytest.MonkeyPatch, change: Callable[..., Wanted]
) -> None:
    folder = shutil.copytree(remembered, tmp_path / "copy")
    card = folder / "models" / f"{NAME}.yaml"
    assert choose(load_card(str(card)), Wanted("onnx"), folder / "cache").engine == ONNX
    wanted = change(folder, monkeypatch)
    with pytest.raises(TriedError):
        choose(load_card(str(card)), wanted, folder / "cache")


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut": lambda data: data[: len(data) // 2],
    "no text": lambda _: b"\xff\xfe\x00",
    "a list": lambda _: b"[]",
    "an entry that is a number": lambda data: json.dumps(dict.fromkeys(json.loads(data), 5)).encode(),
    "an entry without its verdict": lambda data: data.replace(b'"verdict"', b'"verdikt"'),
    "an engine of another version": lambda data: data.replace(b'"threads"', b'"thread_count"'),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_cache_is_as_good_as_none(
    tmp_path: Path, remembered: Path, no_trial: None, damage: Callable[[bytes], bytes]
) -> None:
    folder = shutil.copytree(remembered, tmp_path / "copy")
    card = load_card(str(folder / "models" / f"{NAME}.yaml"))
    kept = folder / "cache" / choice.CACHE_NAME
    assert choose(card, Wanted("onnx"), folder / "cache").engine == ONNX
    kept.write_bytes(damage(kept.read_bytes()))
    with pytest.raises(TriedError):
        choose(card, Wanted("onnx"), folder / "cache")


def test_a_damaged_cache_is_whole_again_after_the_next_choice(
    tmp_path: Path, quick: None, request: pytest.FixtureRequest
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / choice.CACHE_NAME).write_text('{"half an en', encoding="utf-8")
    made = choose(load_card(NAME), Wanted("onnx"), cache)
    request.getfixturevalue("no_trial")
    assert choose(load_card(NAME), Wanted("onnx"), cache) == made
    assert [p.name for p in cache.iterdir()] == [choice.CACHE_NAME]


def test_a_cache_that_cannot_be_written_is_told_in_one_warning_and_the_choice_is_made(
    tmp_path: Path, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    cache = tmp_path / "file" / "cache"
    with caplog.at_level(logging.WARNING):
        assert choose(load_card(NAME), Wanted("onnx"), cache).engine == ONNX
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert str(cache) in record.getMessage() and "it is made anew at each start" in record.getMessage()


def test_choices_for_several_settings_are_kept_side_by_side_and_the_oldest_make_room(tmp_path: Path) -> None:
    made = [Choice(Engine("onnx", "fp32", n), float(n), "proof", ("litert fp32: 9.0 ms",)) for n in range(60)]
    for n, each in enumerate(made):
        choice._remember(tmp_path, f"key {n}", each)
    kept = [n for n in range(60) if choice._recall(tmp_path, f"key {n}") == made[n]]
    assert kept == list(range(60 - choice.MOST_REMEMBERED, 60))


def test_a_model_file_with_another_checksum_is_refused_before_any_trial(tmp_path: Path, no_trial: None) -> None:
    card = copied_card(tmp_path / "models", checksums=True)
    spoil(tmp_path / "models" / f"{NAME}-fp16.onnx")
    with pytest.raises(ModelError, match=r"fp16\.onnx: the model file is damaged or is another one: .*sha256"):
        choose(load_card(str(card)), Wanted())


def test_a_missing_model_file_is_refused_before_any_trial(tmp_path: Path, no_trial: None) -> None:
    card = copied_card(tmp_path / "models")
    (tmp_path / "models" / f"{NAME}-fp16.onnx").unlink()
    with pytest.raises(ModelError, match=r"fp16\.onnx: the model file cannot be read \(No such file"):
        choose(load_card(str(card)), Wanted())


def test_a_spoilt_model_is_refused_with_the_numbers_of_its_golden_check(tmp_path: Path, quick: None) -> None:
    card = copied_card(tmp_path / "models")
    spoil(tmp_path / "models" / f"{NAME}-fp16.onnx")
    with pytest.raises(ModelError, match=rf"onnx fp32: the golden check failed \({VERDICT}\): golden-1\.png: "):
        choose(load_card(str(card)), Wanted("onnx"), tmp_path / "cache")
    assert not (tmp_path / "cache").exists(), "a refusal was kept"


def test_a_library_that_is_not_installed_is_named_with_its_extra(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("openvino", "ai_edge_litert", "tflite_runtime"):
        (tmp_path / module).mkdir()
        (tmp_path / module / "__init__.py").write_text("raise ImportError('hidden by a test')\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for backend, extra in (("openvino", "openvino"), ("litert", "litert")):
        with pytest.raises(ModelError, match=rf"is not installed: install it with `pip install 'soteirad\[{extra}\]'`"):
            choose(load_card(NAME), Wanted(backend))  # type: ignore[arg-type]


# Models that are broken, and load and run all the same


def own_model(folder: Path, file: str, name: str) -> Path:
    """A card with golden answers for a shared model, copied into `folder`."""
    folder.mkdir(exist_ok=True)
    shutil.copy(shared(f"models/{file}"), folder)
    return add_model(folder / file, Wishes(name=name)).card_path


def with_file(card: Path, format_: str, file: str, weights: str) -> ModelCard:
    """The card with another file in one format, which is copied beside it."""
    shutil.copy(shared(f"models/{file}"), card.parent)
    data = yaml.safe_load(card.read_text(encoding="utf-8"))
    data["files"][format_] = {"file": file, "weights": weights}
    card.write_text(yaml.safe_dump(data), encoding="utf-8")
    return load_card(str(card))


@pytest.fixture
def litert() -> None:
    if not is_installed("litert"):
        pytest.skip("LiteRT is not installed: install soteirad[litert]")


@pytest.fixture
def half_broken(tmp_path: Path, litert: None) -> ModelCard:
    """A sound ONNX file beside a TFLite file that finds next to nothing."""
    card = own_model(tmp_path / "models", "yolox_nano.onnx", "nano")
    return with_file(card, "tflite", "broken_yolox_nano_int8.tflite", "int8")


def test_an_engine_that_fails_the_golden_check_is_named_with_its_numbers_and_not_chosen_though_it_was_preferred(
    half_broken: ModelCard, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.system", lambda: ARM[0])
    monkeypatch.setattr("platform.machine", lambda: ARM[1])
    made = choose(half_broken, Wanted())
    assert made.engine == ONNX and re.fullmatch(VERDICT, made.verdict or "")
    assert len(made.others) == 1
    assert re.match(rf"litert fp32: the golden check failed \({VERDICT}\): .* is missing or moved", made.others[0])


def test_an_engine_that_fails_the_golden_check_is_not_chosen_though_it_is_asked_for(
    half_broken: ModelCard, quick: None
) -> None:
    with pytest.raises(ModelError, match=rf"litert fp32: the golden check failed \({VERDICT}\)"):
        choose(half_broken, Wanted("litert"))


def test_a_broken_file_under_a_sound_models_card_is_refused_on_every_engine(tmp_path: Path, quick: None) -> None:
    card = own_model(tmp_path / "models", "yolov8n_640.onnx", "v8")
    weights = yaml.safe_load(card.read_text(encoding="utf-8"))["files"]["onnx"]["weights"]
    broken = with_file(card, "onnx", "broken_yolov8n.onnx", weights)
    with pytest.raises(ModelError) as caught:
        choose(broken, Wanted(precision="fp32"))
    text = str(caught.value)
    assert "onnx fp32" in text and ("openvino fp32" in text) == (is_installed("openvino") and sys.platform != "darwin")
    assert re.search(rf"the golden check failed \({VERDICT}\)", text)
