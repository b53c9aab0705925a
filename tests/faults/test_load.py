"""A processor that is busy with other things. A module of its own: nothing else may run beside it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.brokers import Mosquitto, Subscriber
from tests.daemon import Daemon, events, kinds, payloads, write_config
from tests.scripted_rtsp import ScriptedRtsp, units

Measured = Callable[[str], None]


@contextlib.contextmanager
def every_core_busy() -> Iterator[None]:
    """Twice as many busy programs as there are cores, for a minute at most."""
    program = "import time\nend = time.monotonic() + 60\nwhile time.monotonic() < end: pass"
    busy = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


@pytest.mark.fault(
    "100 % CPU load beside it", "frames are dropped, latency stays bounded, counters tell the truth"
)
def test_beside_a_full_processor_old_frames_are_never_analysed_and_each_frame_is_counted_once(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, visit_clip: Path, measured: Measured
) -> None:
    with ScriptedRtsp(units(visit_clip), hang_up=True) as camera:
        daemon = Daemon(write_config(tmp_path, broker.port, {"porch": {"source": camera.url, "fps": 0}})).start()
        try:
            listener.wait_for(lambda seen: "online" in payloads(seen, "soteira/porch/status"))
            with every_core_busy():
                seen = listener.wait_for(lambda seen: "source_lost" in kinds(events(seen)), timeout=60.0)
                daemon.wait_log("porch: offline")
                told = listener.wait_for(
                    lambda seen: not json.loads(payloads(seen, "soteira/porch/diagnostics")[-1])["online"]
                )
            last = json.loads(payloads(told, "soteira/porch/diagnostics")[-1])
            assert last["decoded"] == last["dropped"] + last["late"] + last["frames"], last
            assert last["frames"] == last["analysed"] + last["corrupt"], last
            assert last["received"] == last["decoded"] + last["skipped"] == 180, last
            # A look may begin on a frame that is almost 2 s old, and takes its time.
            totals = [event["latency_ms"]["total"] for event in events(seen) if event.get("latency_ms")]
            assert all(total < 5000 for total in totals), totals
            measured(f"of {last['decoded']} frames {last['dropped']} gave way to newer ones, {last['late']} were too "
                     f"old; latency p95 {last['latency_ms'].get('p95')} ms")  # fmt: skip
            daemon.stop()
        finally:
            daemon.clean_up()
