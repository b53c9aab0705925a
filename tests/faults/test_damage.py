"""The journal is damaged; and who may read what lies beside it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.brokers import Mosquitto, Subscriber
from tests.daemon import events, kinds, soteirad, write_config
from tests.disks import small_disk
from tests.house import StartDaemon

Measured = Callable[[str], None]


@pytest.mark.fault(
    "the journal is damaged: its beginning is lost, and its log has a gap",
    "the start succeeds; what waits for the broker is published, once; the damaged files are kept",
)
def test_a_damaged_journal_is_replaced_and_what_was_not_published_is(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, visit_clip: Path,
    measured: Measured,
) -> None:  # fmt: skip
    state = tmp_path / "state"
    config = write_config(tmp_path, broker.port, {"porch": {"source": str(visit_clip), "speed": 8}})
    broker.kill()
    before = os.umask(0)
    try:
        daemon = start_daemon(config)
    finally:
        os.umask(before)
    daemon.wait_log("porch: left person")
    daemon.wait_until(lambda: any(state.rglob("*.csv")) and any(state.rglob("*.jpg")), "log and pictures are written")
    daemon.kill()
    everything = {path: path.lstat().st_mode & 0o777 for path in (state, *state.rglob("*"))}
    assert {mode for path, mode in everything.items() if path.is_dir()} == {0o750}
    assert {mode for path, mode in everything.items() if path.is_file()} <= {0o600, 0o640}

    for name, offset in (("journal.sqlite3", 0), ("journal.sqlite3-wal", 60)):
        with (state / name).open("r+b") as file:
            file.seek(offset)
            file.write(bytes(3000))
    broker.start()
    listener.wait_subscribed(2)
    daemon = start_daemon(config, "--until-end")
    seen = events(listener.wait_for(lambda seen: len({e["id"] for e in events(seen)}) == 4))
    daemon.wait_exit()
    assert kinds(seen) == ["entered person", "left person"] * 2
    assert len({e["id"] for e in seen}) == len(seen), "none twice"
    assert daemon.log().count("it was damaged: a new one was begun") == 1 and "Traceback" not in daemon.log()
    (kept,) = {path.name.removesuffix("-wal").removesuffix("-shm") for path in state.glob("*corrupt*")}
    measured(f"{len(seen)} events, each once; {kept.rpartition('-')[0]}-<time>")


@pytest.mark.fault("not a byte is free at a start", "one line, exit code 75: systemd tries again until there is room")
def test_a_start_on_a_full_disk_is_one_to_be_tried_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2) as disk:
        disk.fill(leave=0)
        config = write_config(tmp_path, 1, {"porch": {"source": "none.mp4"}}, storage={"path": str(disk.folder / "s")})
        result = soteirad("run", "-c", config)
        assert (result.returncode, result.stdout) == (75, "")
        assert len(result.stderr.splitlines()) == 1 and "disk" in result.stderr, result.stderr
