"""What the page costs: processor time and memory of the whole daemon without a page, with one that nobody looks at,
and with somebody who looks.

    python scripts/bench_page.py [--rounds 5] [--seconds 30] [--cameras 2]

The daemon plays the demo clip in real time; the three take turns, so that a busy machine slows all of them, and the
medians are compared. Processor seconds are those of all processes of the daemon (user and system, /proc), from the
moment that its cameras are online, and those of the hub's alone, where the page lives: what cameras use hangs on
what they see and varies more than the page costs. Memory is their PSS at the end. Linux only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.processes import cpu_seconds, pss_mb  # noqa: E402
from tests.brokers import Mosquitto, free_port  # noqa: E402
from tests.clips import DEMO  # noqa: E402
from tests.daemon import Daemon, write_config  # noqa: E402
from tests.web.client import Page  # noqa: E402

KINDS = ("off", "nobody looks", "somebody looks")


def one_run(kind: str, seconds: float, cameras: int, folder: Path) -> dict[str, float]:
    folder.mkdir()
    broker = Mosquitto(folder / "broker")
    broker.start()
    page = Page(folder / "state", free_port())
    web: dict[str, Any] = {"enabled": False} if kind == "off" else {"listen": f"127.0.0.1:{page.port}"}
    names = [f"cam{n}" for n in range(cameras)]
    daemon = Daemon(write_config(folder, broker.port, {name: {"source": str(DEMO)} for name in names}, web=web)).start()
    try:
        for name in names:
            daemon.wait_log(f"{name}: online")
        hub = [daemon.process.pid]
        before, before_hub = cpu_seconds(daemon.group()), cpu_seconds(hub)
        if kind == "somebody looks":
            with page.stream(",".join(names)) as stream:
                look(page, stream, time.monotonic() + seconds)
        else:
            threading.Event().wait(seconds)
        return {
            "cpu_s": cpu_seconds(daemon.group()) - before,
            "hub_cpu_s": cpu_seconds(hub) - before_hub,
            "hub_mb": pss_mb(daemon.process.pid),
            "all_mb": sum(pss_mb(pid) for pid in daemon.group()),
        }
    finally:
        daemon.stop()
        broker.stop()


def look(page: Page, stream: Any, until: float) -> None:
    """Fetch the pictures of all frames, as a browser does."""
    seen = 0
    while time.monotonic() < until:
        frames = stream.of("frame")
        for frame in frames[seen:]:
            page.ask("GET", f"/api/cameras/{frame['camera']}/live/{frame['seq']}.jpg")
        seen = len(frames)
        threading.Event().wait(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--cameras", type=int, default=2)
    options = parser.parse_args()
    runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as name:
        for number in range(options.rounds):
            for kind in KINDS if number % 2 else KINDS[::-1]:  # whoever comes first may have it better
                folder = Path(name) / f"{number}-{kind.partition(' ')[0]}"
                runs[kind].append(one_run(kind, options.seconds, options.cameras, folder))
                print(f"round {number + 1}, {kind}: {runs[kind][-1]}", file=sys.stderr, flush=True)
    medians = {k: {key: round(statistics.median(run[key] for run in rs), 2) for key in rs[0]} for k, rs in runs.items()}
    ratios = {}
    for kind in KINDS[1:]:
        pairs = zip(runs[kind], runs["off"], strict=True)
        ratios[kind] = round(statistics.median(run["cpu_s"] / off["cpu_s"] for run, off in pairs), 4)
    print(json.dumps({"medians": medians, "cpu_ratio_to_off": ratios}, indent=1))


if __name__ == "__main__":
    main()
