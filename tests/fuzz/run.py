"""Fuzzes one target with atheris (coverage of `soteirad` alone), and keeps a small corpus for the ordinary tests."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).parent / "corpus"
WORK = ROOT / ".cache" / "fuzz"
MOST_BYTES = 20_000
"""Of a target's kept corpus."""
LONGEST = 4096
ONE_INPUT_S, MEMORY_MB = 5, 2048


def keep(found: Path, kept: Path) -> None:
    """Add the smallest inputs of a minimised corpus to those that are kept, up to a size."""
    kept.mkdir(parents=True, exist_ok=True)
    size = sum(path.stat().st_size for path in kept.iterdir())
    for path in sorted(found.iterdir(), key=lambda path: (path.stat().st_size, path.name)):
        data = path.read_bytes()
        name = kept / hashlib.sha256(data).hexdigest()[:16]
        if size + len(data) <= MOST_BYTES and not name.exists():
            name.write_bytes(data)
            size += len(data)


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
    """Run `python -m tests.fuzz.run TARGET --minutes N`, or `--merge FOLDER` to minimise what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--merge", type=Path, help="write the smallest inputs with the same coverage there, and end")
    parser.add_argument("--keep", type=Path, help="add the inputs of this folder to the kept corpus, and end")
    wanted = parser.parse_args()
    kept, work = CORPUS / wanted.target, WORK / wanted.target
    if wanted.keep is not None:
        keep(wanted.keep, kept)
        return
    import atheris

    with atheris.instrument_imports(include=["soteirad"], enable_loader_override=False):
        from tests.fuzz.targets import TARGETS
    work.mkdir(parents=True, exist_ok=True)
    options = [f"-timeout={ONE_INPUT_S}", f"-rss_limit_mb={MEMORY_MB}", f"-max_len={LONGEST}",
               f"-artifact_prefix={WORK / wanted.target}-"]  # fmt: skip
    if wanted.merge is not None:
        wanted.merge.mkdir(parents=True, exist_ok=True)
        folders = ["-merge=1", str(wanted.merge), str(work), *([str(kept)] if kept.is_dir() else [])]
    else:
        words = kept.parent / f"{wanted.target}.words"
        folders = [f"-max_total_time={int(wanted.minutes * 60)}", str(work), *([str(kept)] if kept.is_dir() else [])]
        folders += [f"-dict={words}"] if words.exists() else []
    atheris.Setup([sys.argv[0], *options, *folders], noting(TARGETS[wanted.target], WORK / wanted.target))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
