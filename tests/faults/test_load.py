"""A processor that is busy with other things. A module of its own: nothing else may run beside it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import Mosquitto, Received, Subscriber
from tests.clips import DEMO
from tests.daemon import Daemon, events, kinds, payloads, write_config
from tests.llm_server import LlmServer, delay
from tests.rtsp_server import RtspServer
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


@pytest.mark.fault(
    "200 questions in 10 s, 2 s for each answer", "the camera is analysed as ever, the least urgent give way"
)
def test_two_hundred_questions_for_a_slow_model_cost_no_frames_and_no_memory_and_all_come_to_an_end(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, measured: Measured
) -> None:
    servers = {name: RtspServer() for name in ("asked", "quiet")}
    for server in servers.values():
        server.start(DEMO, loop=True)
    questions = [{"name": f"q{number}", "ask": "Who is there?", "when": {"on": "interval", "interval": 1}}
                 for number in range(20)]  # fmt: skip
    budget = {"per_minute": None, "per_hour": None, "per_day": None}
    topics = {f"soteira/asked/answer/{question['name']}" for question in questions}
    with LlmServer(always=delay(2.0)) as model:
        llm = {"providers": [{"base_url": model.url, "model": "slow"}], "duplicates": {"window": 0}, "budget": budget}
        cameras: dict[str, dict[str, Any]] = {n: {"source": server.url, "fps": 0} for n, server in servers.items()}
        cameras["asked"]["questions"] = questions
        daemon = Daemon(write_config(tmp_path, broker.port, cameras, llm=llm)).start()
        try:
            listener.wait_for(lambda seen: sum(m.topic in topics for m in seen) >= 40)
            before = memory_mb(daemon.process.pid)
            listener.wait_for(lambda seen: sum(m.topic in topics and b"pending" in m.payload for m in seen) >= 220)
            after = memory_mb(daemon.process.pid)
            waiting = max(json.loads(p)["waiting"] for p in payloads(listener.messages(), "soteira/llm"))
            for server in servers.values():
                server.kill()
            listener.wait_for(lambda seen: all(not last(seen, name)["online"] for name in cameras))
            figures = {name: last(listener.messages(), name) for name in cameras}
            daemon.stop()
            states = states_in_journal(tmp_path)
        finally:
            daemon.clean_up()
            for server in servers.values():
                server.kill()
            model.released.set()
    share = {name: f["analysed"] / f["decoded"] for name, f in figures.items()}
    assert share["asked"] > share["quiet"] - 0.02, figures
    assert waiting <= 50
    assert after - before < 30, (before, after)
    assert "pending" not in states and states["answered"] >= 4 and states["skipped_stale"] >= 50, states
    measured(f"analysed {share['asked']:.1%} of its frames, {share['quiet']:.1%} without questions; the hub held "
             f"{before:.0f} MB, then {after:.0f} MB; {dict(states)}")  # fmt: skip


def last(seen: list[Received], camera: str) -> dict[str, Any]:
    """Return a camera's last figures."""
    found = payloads(seen, f"soteira/{camera}/diagnostics")
    return dict(json.loads(found[-1])) if found else {"online": True}


def states_in_journal(tmp_path: Path) -> Counter[str]:
    with sqlite3.connect(tmp_path / "state" / "journal.sqlite3") as db:
        return Counter(state for (state,) in db.execute("SELECT state FROM answers"))


def memory_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"Pss: +(\d+) kB", text)[1]) / 1024  # type: ignore[index]
