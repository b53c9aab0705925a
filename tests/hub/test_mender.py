"""A journal that is damaged while the daemon runs."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from soteirad.errors import StorageError
from soteirad.hub import mender as mender_module
from soteirad.hub.journal import Journal
from soteirad.hub.mend import damaged_files
from soteirad.hub.mender import EVERY_S, Mender
from soteirad.hub.salvage import Saved
from tests.hub.damaged import PAGE, event, fill, noise, overwrite


class Rig:
    """A journal that is in use, and its mender."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.woken, self.mended = threading.Event(), 0
        self.journal = Journal(path)
        self.mender = Mender(self.journal, self.woken.set, self._on_mended)
        self.now = 0.0

    def _on_mended(self) -> None:
        self.mended += 1

    def settle(self) -> None:
        """Let it do what it has begun."""
        self.mender.step(self.now)
        assert self.woken.wait(20.0)
        self.mender.stop(20.0)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    fill(tmp_path / "journal.sqlite3")
    rig = Rig(tmp_path / "journal.sqlite3")
    rig.mender.open()
    yield rig
    rig.journal.close()


def test_while_it_is_mended_the_journal_refuses_everything_and_then_goes_on(rig: Rig) -> None:
    size, highest = rig.path.stat().st_size // PAGE, rig.journal.highest
    for page in range(size // 2, size - 3):
        overwrite(rig.path, page * PAGE, noise(PAGE))
    rig.journal._opened().execute("PRAGMA shrink_memory")  # nor does a large journal fit into memory
    with pytest.raises(StorageError, match="damaged"):
        rig.journal.after(0, 10_000)
    assert rig.journal.suspect
    rig.mender.step(rig.now)
    with pytest.raises(StorageError, match="is being mended"):
        rig.journal.append([event(8000)])
    rig.settle()
    rig.journal.append([event(8000)])
    found = rig.journal.after(0, 10_000)
    assert found[-1].event.id == event(8000).id or found[-1].seq > highest
    assert rig.mended == 1 and len(damaged_files(rig.path)) == 1 and "it was damaged" in rig.mender.note


def test_a_read_that_failed_once_is_no_damage(rig: Rig) -> None:
    rig.journal.suspect = True
    before = rig.journal.count_pending()
    rig.settle()
    assert rig.journal.count_pending() == before and not rig.journal.suspect
    assert rig.mended == 0 and damaged_files(rig.path) == [] and rig.mender.note == ""


def test_a_disk_that_refuses_or_a_lock_is_never_taken_for_damage(rig: Rig) -> None:
    with closing(sqlite3.connect(rig.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        rig.journal._opened().execute("PRAGMA busy_timeout = 0")
        with pytest.raises(StorageError, match="another process holds it"):
            rig.journal.append([event(8000)])
        other.execute("ROLLBACK")
    rig.journal._opened().execute("PRAGMA max_page_count = 1")
    with pytest.raises(StorageError, match="the disk is full"):
        rig.journal.append([event(8000 + n) for n in range(200)])
    assert not rig.journal.suspect


def test_a_mending_that_fails_is_tried_again_later_and_not_at_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bool:
        raise StorageError("the disk is full")

    rig.journal.suspect = True
    with monkeypatch.context() as patched:
        patched.setattr(mender_module, "is_sound", full)
        rig.settle()
    assert rig.journal.suspect
    rig.woken.clear()
    rig.now = EVERY_S / 2
    rig.mender.step(rig.now)
    with pytest.raises(StorageError, match="the disk is full"):
        rig.journal.count_pending()
    rig.now = EVERY_S
    rig.settle()
    assert rig.journal.count_pending() == 102


def test_a_start_that_finishes_what_was_begun_says_so(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.journal.close()
    shutil.copy(rig.path, rig.path.with_name(f"{rig.path.name}.mending"))
    overwrite(rig.path, 0, noise(PAGE))
    rig.mender.open()
    assert "it was damaged" in rig.mender.note and "it was damaged: a new one was begun" in caplog.text
    assert rig.journal.count_pending() == 102


def test_a_start_that_mends_says_again_and_again_that_it_goes_on(rig: Rig) -> None:
    rig.journal.close()
    overwrite(rig.path, 0, noise(PAGE))
    told: list[int] = []
    rig.mender.open(lambda: told.append(1))
    assert len(told) >= 2


def test_why_it_is_not_mended_is_told_and_it_is_not_read_again_and_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def unsound(path: Path) -> bool:
        looks.append(path)
        return False

    def no_room(*_: object) -> Saved:
        raise StorageError("10 MB must be free")

    monkeypatch.setattr(mender_module, "is_sound", unsound)
    rig.journal.suspect = True
    with monkeypatch.context() as patched:
        patched.setattr(mender_module, "mend", no_room)
        for _ in range(3):
            rig.woken.clear()
            rig.settle()
            with pytest.raises(StorageError, match="10 MB must be free"):
                rig.journal.count_pending()
            rig.now += EVERY_S
    rig.woken.clear()
    rig.settle()
    assert len(looks) == 1 and rig.mended == 1 and rig.journal.count_pending() == 102


def test_a_new_one_that_cannot_be_opened_at_once_is_told_when_it_is(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_: object, **__: object) -> None:
        raise StorageError("another process holds it")

    for page in range(5, 40):
        overwrite(rig.path, page * PAGE, noise(PAGE))
    rig.journal.suspect = True
    with monkeypatch.context() as patched:
        patched.setattr(rig.journal, "open", locked)
        rig.settle()
    assert rig.mended == 0 and rig.mender.note == ""
    rig.now += EVERY_S
    rig.woken.clear()
    rig.settle()
    assert rig.mended == 1 and "it was damaged" in rig.mender.note


def test_the_hubs_loop_does_not_wait_for_the_new_one_to_be_checked(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object) -> None:
        raise AssertionError("this takes 20 s of a large journal")

    monkeypatch.setattr("soteirad.hub.journal.check_content", slow)
    rig.journal.suspect = True
    rig.settle()
    assert rig.journal.count_pending() == 102
