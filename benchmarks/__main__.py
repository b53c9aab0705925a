"""Measure what Soteira costs, beside the floor and beside others, each thing in turns with what it is compared with.

    scripts/bench [--quick] [--only idle,gating] [--write] [--check] [--json FILE]

--quick takes fewer turns and leaves out most clips. --write puts the figures into docs/benchmarks.json and
docs/benchmarks.md; with --only those of other parts stay. --check compares the ratios with the committed ones and
exits with 1 if one is worse by more than its margin. Leave the machine alone meanwhile. Linux only.
"""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest

from benchmarks.figure import Figure, missing
from benchmarks.report import compare, document, markdown, write
from benchmarks.runs import Bench, share_engine_cache
from benchmarks.turns import tell

MEASURES = ("idle", "gating", "stages", "live", "reaction", "memory", "start", "scale", "rivals", "served", "glass",
            "video", "encoder")
SLOW = ("live", "reaction", "scale", "served", "glass", "video")
"""Left out of a quick run, which is to take less than five minutes, unless they are named."""


def main() -> int:
    """Run what the command line names."""
    arguments = _parse()
    share_engine_cache()
    folder = Path(tempfile.mkdtemp(prefix="soteira-bench-"))
    figures: dict[str, list[Figure]] = {}
    try:
        bench = Bench(folder, arguments.quick)
        for name in arguments.only:
            began = time.monotonic()
            tell(f"{name} ...")
            figures[name] = _measured(name, bench)
            if arguments.write:  # part by part: a run takes long
                write(document({name: figures[name]}, False))
            tell(f"{name}: {time.monotonic() - began:.0f} s")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found = document(figures, arguments.quick)
    print(markdown(found))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return _check([f for part in figures.values() for f in part]) if arguments.check else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="fewer turns, and not all clips")
    parser.add_argument("--only", help=f"some of {', '.join(MEASURES)}, with commas between them")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/")
    parser.add_argument("--check", action="store_true", help="fail if a ratio is worse than the committed one")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file")
    arguments = parser.parse_args()
    usual = [name for name in MEASURES if not (arguments.quick and name in SLOW)]
    arguments.only = arguments.only.split(",") if arguments.only else usual
    unknown = [name for name in arguments.only if name not in MEASURES]
    if unknown:
        parser.error(f"{', '.join(unknown)}: measure some of {', '.join(MEASURES)}")
    if arguments.write and arguments.quick:
        parser.error("--write takes a run without --quick")
    return arguments


def _measured(name: str, bench: Bench) -> list[Figure]:
    """Measure one part; a part that cannot be measured here says why, and the others go on."""
    try:
        found: list[Figure] = importlib.import_module(f"benchmarks.{name}").measure(bench)
    except (Exception, pytest.skip.Exception, pytest.fail.Exception) as error:
        tell(f"{name} failed: {error}")
        return [missing(name, name, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")]
    return found


def _check(figures: list[Figure]) -> int:
    verdicts = compare(figures)
    for verdict in verdicts:
        tell(str(verdict))
    worse = [verdict for verdict in verdicts if verdict.worse]
    tell(f"{len(worse)} of {len(verdicts)} ratios are worse than the committed ones by more than their margin")
    return 1 if worse or not verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
