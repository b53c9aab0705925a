"""Which engine runs a model here: proven by the golden check, timed side by side, and remembered."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import platform
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from soteirad import __version__
from soteirad.detect.backend import may_write_programs
from soteirad.detect.card import ModelCard, file_digest
from soteirad.detect.engine import BackendName, Engine, Precision
from soteirad.detect.trial import Trial, run_together
from soteirad.errors import ModelError, ModelUntried

logger = logging.getLogger(__name__)

PREFERRED: dict[tuple[str, str], tuple[BackendName, ...]] = {
    ("Darwin", "arm64"): ("coreml", "onnx"),
    ("Linux", "aarch64"): ("litert", "onnx"),
}
OTHERWISE: tuple[BackendName, ...] = ("openvino", "onnx")
PRECISIONS: dict[BackendName, tuple[Precision, ...]] = {
    "onnx": ("fp32",),
    "openvino": ("bf16", "fp16", "fp32"),
    "litert": ("fp16", "fp32"),
    "coreml": ("fp16",),
}
MODULES: dict[BackendName, tuple[str, ...]] = {
    "onnx": ("onnxruntime",),
    "openvino": ("openvino",),
    "litert": ("ai_edge_litert", "tflite_runtime"),
    "coreml": ("coremltools",),
}
LIBRARIES = ("onnxruntime", "onnxruntime-gpu", "openvino", "ai-edge-litert", "tflite-runtime", "coremltools",
             "numpy", "opencv-python-headless")  # fmt: skip
FASTER = 0.8
"""A candidate replaces an earlier one only in at most this share of its time."""
ROUNDS, RUNS = 6, 3


@dataclass(frozen=True)
class Wanted:
    """What the owner asks for; `auto` leaves it to proof and time."""

    backend: Literal["auto"] | BackendName = "auto"
    precision: Literal["auto"] | Precision = "auto"
    threads: int = 1
    device: str = "auto"


@dataclass(frozen=True)
class Choice:
    """The engine that was chosen: `model_ms` from frame to detections, `verdict` of its golden check (None: no check).

    `others` says of each engine that was not chosen why.
    """

    engine: Engine
    model_ms: float
    verdict: str | None
    others: tuple[str, ...]

    def __str__(self) -> str:
        proof = f"golden check: {self.verdict}" if self.verdict else "not checked: the card has no golden answers"
        engines: dict[str, list[str]] = {}
        for other in self.others:
            engine, _, why = other.partition(": ")
            engines.setdefault(why, []).append(engine)
        rest = "".join(f"; not {', '.join(names)}: {why}" for why, names in engines.items())
        return f"{self.engine}, {self.model_ms:.1f} ms ({proof}){rest}"


def candidates(card: ModelCard, wanted: Wanted, installed: Callable[[BackendName], bool],
               system: tuple[str, str]) -> list[Engine]:  # fmt: skip
    """Return the engines to try on a system (`platform.system()`, `platform.machine()`), the preferred one first."""
    order = PREFERRED.get(system, OTHERWISE) if wanted.backend == "auto" else (wanted.backend,)
    if wanted.backend == "auto":
        order = tuple(b for b in order if has_file(card, b) and installed(b)) or (_only_reader(card),)
        if card.golden is None:  # nothing to prove a choice with: the reference
            order = ("onnx",) if "onnx" in card.files else ("litert",)
    found = []
    for backend in order:
        device = device_of(backend, wanted.device)
        for precision in precisions(backend, device):
            asked = wanted.precision == precision
            unproven = card.golden is None and precision != "fp32" and backend != "coreml"
            if asked or (wanted.precision == "auto" and not unproven and _sound(backend, precision, card)):
                found.append(Engine(backend, precision, wanted.threads, device))
    if not found:
        there = "; ".join(f"{b} computes in {' or '.join(PRECISIONS[b])}" for b in order)
        raise ModelError(f"nothing here runs the model {card.name} in {wanted.precision} ({there}): set "
                         f"detector.precision: auto, or install another backend")  # fmt: skip
    return found


def precisions(backend: BackendName, device: str) -> tuple[Precision, ...]:
    """Return the arithmetic that a backend can be told to use on a device; TensorRT can do half precision."""
    return ("fp16", "fp32") if (backend, device) == ("onnx", "tensorrt") else PRECISIONS[backend]


def choose(card: ModelCard, wanted: Wanted, cache: Path | None = None,
           stop: Callable[[], bool] = lambda: False) -> Choice:  # fmt: skip
    """Return the fastest engine that passes the golden check; from `cache` (a folder) if nothing has changed since.

    Raises ModelError, with what is wrong with each, when none passes (ModelUntried, if one may pass another time), and
    Stopped as soon as `stop` says so.
    """
    digests = card.verify_file()
    engines = candidates(card, wanted, is_installed, (platform.system(), platform.machine()))
    key = _key(card, digests, engines)
    remembered = _recall(cache, key)
    if remembered is not None:
        return remembered
    trials = [Trial(card, engine, stop) for engine in engines]
    choice = _try_all(card, trials)
    if not any(trial.passing for trial in trials):
        _remember(cache, key, choice)
    return choice


def remembered(card: ModelCard, wanted: Wanted, cache: Path) -> Choice | None:
    """Return what `choose` would take from `cache` without a trial; None if it would try. Raises ModelError."""
    engines = candidates(card, wanted, is_installed, (platform.system(), platform.machine()))
    return _recall(cache, _key(card, card.verify_file(), engines))


def chosen_last(cache: Path) -> Choice | None:
    """Return what was chosen last by whoever has this cache, for whatever model; None if nothing was."""
    keys = list(_read(cache))
    return _recall(cache, keys[-1]) if keys else None


def is_installed(backend: BackendName) -> bool:
    """Tell whether a backend's library is there and predicts on this system, without importing it."""
    if backend == "coreml" and platform.system() != "Darwin":
        return False
    return any(importlib.util.find_spec(module) is not None for module in MODULES[backend])


def _try_all(card: ModelCard, trials: list[Trial]) -> Choice:
    try:
        for trial in trials:
            trial.start()
        good = [t for t in trials if t.problem is None]
        times = time_together(good, ROUNDS, RUNS)
        for trial in trials:
            if trial.problem is not None:
                logger.debug("%s: %s: %s", card.name, trial.engine, trial.problem)
        return _pick(card, trials, times)
    finally:
        for trial in trials:
            trial.stop()


def time_together(trials: list[Trial], rounds: int, runs: int) -> dict[Engine, list[float]]:
    """Return total milliseconds of each run of each trial, taken in turns; a trial that dies gets a `problem`."""
    taken = run_together(trials, rounds, runs)
    return {t.engine: [ms for times in own for ms in times.total] for t, own in zip(trials, taken, strict=True)}


def _pick(card: ModelCard, trials: list[Trial], times: dict[Engine, list[float]]) -> Choice:
    medians = {t.engine: statistics.median(times[t.engine]) for t in trials if t.problem is None}
    best: Trial | None = None
    for trial in trials:
        if trial.problem is None and (best is None or medians[trial.engine] <= FASTER * medians[best.engine]):
            best = trial
    if best is None:
        engines: dict[str, list[str]] = {}
        for trial in trials:
            engines.setdefault(str(trial.problem), []).append(str(trial.engine))
        reasons = "; ".join(f"{', '.join(names)}: {problem}" for problem, names in engines.items())
        kind = ModelUntried if any(trial.passing for trial in trials) else ModelError
        raise kind(f"the model {card.name} runs correctly on nothing that there is here: {reasons}")
    others = tuple(
        f"{t.engine}: {t.problem or f'{medians[t.engine]:.1f} ms'}" for t in trials if t is not best
    )
    return Choice(best.engine, round(medians[best.engine], 2), best.verdict, others)


def has_file(card: ModelCard, backend: BackendName) -> bool:
    """Tell whether a card has a file that a backend reads, or converts at its first start."""
    needed = {"onnx": "onnx", "openvino": "onnx", "litert": "tflite", "coreml": "onnx"}
    return needed[backend] in card.files or (backend == "coreml" and "coreml" in card.files)


def _sound(backend: BackendName, precision: Precision, card: ModelCard) -> bool:
    """Tell whether a precision is worth a trial: half-precision arithmetic is no matter of 8-bit models."""
    file = card.files.get("tflite") if backend == "litert" else None
    return not (precision == "fp16" and file is not None and file.weights == "int8")


def _only_reader(card: ModelCard) -> BackendName:
    readers: dict[str, BackendName] = {"onnx": "onnx", "tflite": "litert", "coreml": "coreml"}
    return readers[next(iter(card.files))]


def device_of(backend: str, wanted: str = "auto") -> str:
    """Return the device of an engine: the wanted one, or all compute units for Core ML and the CPU for others."""
    if backend == "coreml":
        return {"auto": "all", "cpu": "cpu_only"}.get(wanted, wanted)
    return "cpu" if wanted == "auto" else wanted


def _key(card: ModelCard, digests: list[str], engines: list[Engine]) -> str:
    """Return a hash of all that a choice hangs on: model, answers, engines, libraries, processor, and what this process
    is allowed to."""
    versions = {}
    for library in LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            versions[library] = ""
    golden = file_digest(card.folder / card.golden)[1] if card.golden else ""
    parts = [card.model_dump_json(), *digests, golden, __version__, [asdict(e) for e in engines], versions,
             platform.python_version(), platform.machine(),
             platform.release() if platform.system() == "Darwin" else "", _processor(),
             may_write_programs()]  # fmt: skip
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _processor() -> str:
    """Return the processor's name and abilities."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor()
    wanted = ("model name", "flags", "features", "cpu part", "cpu implementer")
    lines = info.read_text(errors="replace").splitlines()
    return "\n".join(sorted({line for line in lines if line.lower().startswith(wanted)}))


CACHE_NAME = "engines.json"


def _recall(cache: Path | None, key: str) -> Choice | None:
    found: Any = _read(cache).get(key)
    try:
        return Choice(Engine(**found["engine"]), float(found["model_ms"]), found["verdict"], tuple(found["others"]))
    except (TypeError, KeyError, ValueError):
        return None


def _read(cache: Path | None) -> dict[str, Any]:
    if cache is None:
        return {}
    try:
        found = json.loads((cache / CACHE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(cache: Path | None, key: str, choice: Choice) -> None:
    if cache is None:
        return
    kept = dict(list(_read(cache).items())[-(MOST_REMEMBERED - 1) :])
    try:
        cache.mkdir(parents=True, exist_ok=True)
        partial = cache / f"{CACHE_NAME}.{os.getpid()}"
        partial.write_text(json.dumps({**kept, key: asdict(choice)}, indent=1), encoding="utf-8")
        partial.replace(cache / CACHE_NAME)
    except OSError as error:
        logger.warning("the choice of engine cannot be kept in %s (%s): it is made anew at each start", cache,
                       error.strerror)  # fmt: skip


MOST_REMEMBERED = 50
