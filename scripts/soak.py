#!/usr/bin/env python3
"""Let cameras, broker and machine fail again and again under the real daemon, and judge what comes of it.

Nothing touches the first camera; every fault hits another one. The same seed gives the same faults. Exits with 1 and a
line for each requirement that is broken. What it needs, ./scripts/test installs.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.generated import rewrite
from tests.shared_data import CHECKOUT
from tests.soak.house import House
from tests.soak.troubles import KINDS, LONGEST_S, Troubles, schedule
from tests.soak.verdict import Record, figures

DOCUMENT = CHECKOUT / "docs" / "reliability.md"
TAIL_S = 15.0
GRACE_S = 300.0
"""A soak that is not done so long after its time is ended."""


def main() -> int:
    arguments = parse()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, give_up)
    signal.alarm(round(arguments.minutes * 60 + GRACE_S))
    # Engines are chosen once for a checkout, as in the tests.
    os.environ["XDG_CACHE_HOME"] = str(CHECKOUT / ".cache" / "tests")
    try:
        record = soak(arguments.minutes, arguments.cameras, arguments.seed)
    except pytest.skip.Exception as missing:
        print(f"soak: {missing}", file=sys.stderr)
        return 1
    text = figures(record)
    print(f"\n{text}")
    if arguments.write:
        rewrite(DOCUMENT, "soak", text)
    if arguments.log:
        arguments.log.write_text(record.log, encoding="utf-8")
    for line in record.broken:
        print(f"soak: broken: {line}", file=sys.stderr)
    return 1 if record.broken else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default 30; 3 tries each fault once)")
    parser.add_argument("--cameras", type=int, default=3, help="how many, the untouched one among them (default 3)")
    parser.add_argument("--seed", type=int, default=1, help="another one gives another order of faults (default 1)")
    parser.add_argument("--write", action="store_true", help=f"write the figures to docs/{DOCUMENT.name}")
    parser.add_argument("--log", type=Path, metavar="FILE", help="keep the daemon's log")
    arguments = parser.parse_args()
    if arguments.cameras < 2 or arguments.minutes <= 0:
        parser.error("there must be one camera that fails and one that does not, and some time")
    return arguments


def give_up(number: int, _frame: object) -> None:
    raise SystemExit(f"soak: ended by {signal.Signals(number).name}")


def soak(minutes: float, cameras: int, seed: int) -> Record:
    """Run it all and return what was seen."""
    with tempfile.TemporaryDirectory(prefix="soteira-soak-") as folder:
        house = House(Path(folder), cameras)
        rng = random.Random(seed)
        troubles = Troubles(house, rng)
        try:
            house.open()
            began = time.monotonic()
            print(f"{cameras} cameras are online", flush=True)
            trouble(house, troubles, rng, began, began + minutes * 60)
            ended = time.monotonic()
            house.listener.read()
            samples = list(house.vitals.samples)
            broken = [] if house.daemon.running else ["the daemon ended by itself"]
            if not broken and not house.stop():
                broken.append("SIGTERM did not end the daemon and all its processes in time")
            return Record(minutes, began, ended, house.lap_s, house.control, house.listener.stories, house.began,
                          troubles.faults, samples, house.daemon.log(), broken)  # fmt: skip
        finally:
            troubles.close()
            house.close()


def trouble(house: House, troubles: Troubles, rng: random.Random, began: float, until: float) -> None:
    """Make faults until the time is over, the first round in any case, and leave the end calm."""
    for number, kind in enumerate(schedule(rng)):
        if number >= len(KINDS) and time.monotonic() + LONGEST_S + TAIL_S > until:
            break
        fault = troubles.put(kind, house.others[number % len(house.others)])
        if not house.daemon.running:
            print(f"the daemon has ended; its log:\n{house.daemon.log()}", file=sys.stderr)
            return
        recovered = "did not recover" if fault.recovered is None else f"{fault.recovered:.1f} s to recover"
        print(f"{(fault.began - began) / 60:5.1f} min  {fault.camera or 'all':<9} {fault.kind}: {recovered} "
              f"(allowed {fault.limit:.1f} s) {fault.problem or fault.note}", flush=True)  # fmt: skip
    rest = max(TAIL_S, until - time.monotonic())
    end = time.monotonic() + rest
    house.wait(lambda: time.monotonic() >= end, rest + 1.0)


if __name__ == "__main__":
    sys.exit(main())
