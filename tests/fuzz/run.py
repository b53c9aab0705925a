"""Fuzzes one target with atheris (coverage of `soteirad` alone), and keeps a small corpus for the ordinary tests."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).parent / "corpus"
WORK = ROOT / ".cache" / "fuzz"
PRODUCT = f"{ROOT}/soteirad/"
MOST_BYTES = 20_000
"""Of a target's kept corpus."""
LONGEST = 4096
ONE_INPUT_S, MEMORY_MB = 5, 2048


def keep(target: Callable[[bytes], None], found: Path, kept: Path) -> None:
    """Add to the kept inputs the smallest of those that were found which reach lines that none before them reached."""
    kept.mkdir(parents=True, exist_ok=True)
    size = sum(path.stat().st_size for path in kept.iterdir())
    seen: set[tuple[str, int, int]] = set()
    for path in kept.iterdir():
        seen |= reached(target, path.read_bytes())
    for path in sorted(found.iterdir(), key=lambda path: (path.stat().st_size, path.name)):
        data = path.read_bytes()
        new = reached(target, data) - seen
        if new and size + len(data) <= MOST_BYTES:
            seen |= new
            size += len(data)
            (kept / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def reached(target: Callable[[bytes], None], data: bytes) -> set[tuple[str, int, int]]:
    """Return the steps from line to line that an input makes in the product."""
    steps: set[tuple[str, int, int]] = set()
    before: dict[int, int] = {}

    def trace(frame: FrameType, event: str, _: object) -> object:
        if PRODUCT not in frame.f_code.co_filename:
            return None
        if event == "line":
            steps.add((frame.f_code.co_filename, before.get(id(frame), 0), frame.f_lineno))
        before[id(frame)] = frame.f_lineno if event == "line" else 0
        return trace

    sys.settrace(trace)
    try:
        target(data)
    finally:
        sys.settrace(None)
    return steps


def noting(target: Callable[[bytes], None], beside: Path) -> Callable[[bytes], None]:
    """Return the target, which writes down what it fails with: the library does so only for what hangs or grows."""

    def run(data: bytes) -> None:
        try:
            target(data)
        except BaseException:
            beside.with_name(f"{beside.name}-failed-{hashlib.sha256(data).hexdigest()[:8]}").write_bytes(data)
            raise

    return run


def main() -> None:
    """Run `python -m tests.fuzz.run TARGET --minutes N`, or `--keep` to keep a little of what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--keep", action="store_true")
    wanted = parser.parse_args()
    kept, work = CORPUS / wanted.target, WORK / wanted.target
    if wanted.keep:
        from tests.fuzz.targets import TARGETS

        keep(TARGETS[wanted.target], work, kept)
        return
    import atheris

    with atheris.instrument_imports(include=["soteirad"], enable_loader_override=False):
        from tests.fuzz.targets import TARGETS
    work.mkdir(parents=True, exist_ok=True)
    options = [f"-timeout={ONE_INPUT_S}", f"-rss_limit_mb={MEMORY_MB}", f"-max_len={LONGEST}",
               f"-artifact_prefix={WORK / wanted.target}-"]  # fmt: skip
    options += [f"-max_total_time={int(wanted.minutes * 60)}", str(work), *([str(kept)] if kept.is_dir() else [])]
    atheris.Setup([sys.argv[0], *options], noting(TARGETS[wanted.target], WORK / wanted.target))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
