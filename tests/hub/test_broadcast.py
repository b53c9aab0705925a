"""The broadcast: what it knows while disk and broker are away."""

from __future__ import annotations

from pathlib import Path

import pytest

from soteirad.config import load_config
from soteirad.errors import StorageError
from soteirad.event import Event, iso_time, new_id
from soteirad.hub.broadcast import Broadcast
from soteirad.hub.guard import Guard
from soteirad.hub.intake import Intake
from soteirad.hub.journal import Journal
from soteirad.spool import Spool
from tests.daemon import write_config

T0 = 1_800_000_000.0


def test_what_is_ahead_of_a_journal_that_cannot_be_read_still_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(write_config(tmp_path, 1, {"porch": {"source": "rtsp://h/s"}}))
    journal = Journal(tmp_path / "journal.sqlite3")
    journal.open()
    intake = Intake(journal, Spool(tmp_path / "spool"), Guard(), lambda _: None)
    broadcast = Broadcast(config, journal, intake, lambda: None, lambda _: (), lambda _, __: None, [])

    def refuse(*_: object) -> None:
        raise StorageError("disk I/O error")

    for name in ("append", "open_visits", "count_pending"):
        monkeypatch.setattr(journal, name, refuse)
    intake.hurry()
    assert broadcast.waiting() == 0
    intake.take([Event(new_id(T0), "scene_changed", "porch", iso_time(T0))])
    assert broadcast.waiting() == 1, "or the end would not wait for the broker to take it"
    journal.close()
