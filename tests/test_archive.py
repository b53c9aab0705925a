"""The archive: a real journal is read while it is written, and after."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from soteirad.archive import Archive, NoJournalError, Wanted
from soteirad.errors import StorageError
from soteirad.event import Event, clip_id, iso_time, new_id
from soteirad.hub.answer_book import AnswerBook
from soteirad.hub.ask_record import AskRecord
from soteirad.hub.journal import Journal
from tests.hub.damaged import fill

T0 = 1_800_000_000.0


def make(kind: str, at: float = 0.0, camera: str = "porch", label: str | None = "person",
         zones: tuple[str, ...] = ()) -> Event:  # fmt: skip
    time = T0 + at
    return Event(new_id(time), kind, camera, iso_time(time), label=label, zones=zones)  # type: ignore[arg-type]


EVENTS = (
    make("entered", 0, zones=("step", "path")),
    make("entered", 10, "yard", "cat"),
    make("left", 20),
    make("scene_changed", 30, "yard", None),
    make("entered", 40, "yard", zones=("path",)),
)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.sqlite3", clock=lambda: T0 + 100)
    journal.open()
    journal.append(EVENTS)
    yield journal
    journal.close()


def found(folder: Path, **wanted: object) -> list[int]:
    with Archive(folder / "journal.sqlite3") as archive:
        return [EVENTS.index(row.event) for row in archive.find(Wanted(**wanted))]  # type: ignore[arg-type]


def test_events_come_newest_first_with_what_the_journal_knows_of_them(journal: Journal, tmp_path: Path) -> None:
    journal.mark_published({EVENTS[0].id: "soteira/porch/event"})
    with Archive(tmp_path / "journal.sqlite3") as archive:
        rows = archive.find(Wanted())
    assert [row.event for row in rows] == [*reversed(EVENTS)] and [row.seq for row in rows] == [5, 4, 3, 2, 1]
    assert (rows[-1].recorded_at, rows[-1].published_at, rows[-1].topic) == (T0 + 100, T0 + 100, "soteira/porch/event")
    assert (rows[0].published_at, rows[0].topic) == (None, None)


@pytest.mark.usefixtures("journal")
def test_each_filter_keeps_what_it_says_and_together_they_all_have_to_hold(tmp_path: Path) -> None:
    assert found(tmp_path, cameras=["yard"]) == [4, 3, 1]
    assert found(tmp_path, labels=["cat"]) == [1]
    assert found(tmp_path, labels=["cat", "person"]) == [4, 2, 1, 0]
    assert found(tmp_path, types=["left", "scene_changed"]) == [3, 2]
    assert found(tmp_path, zones=["step"]) == [0] and found(tmp_path, zones=["path", "step"]) == [4, 0]
    assert found(tmp_path, cameras={"yard"}, labels={"person"}, types={"entered"}, zones={"path"}) == [4]
    assert found(tmp_path, cameras=["yard' OR 1 --"]) == []


@pytest.mark.usefixtures("journal")
def test_times_go_by_the_event_and_places_by_the_journal(tmp_path: Path) -> None:
    assert found(tmp_path, since=T0 + 10, until=T0 + 30) == [2, 1]
    assert found(tmp_path, since=T0 + 40) == [4] and found(tmp_path, until=T0) == []
    assert found(tmp_path, before=4, limit=2) == [2, 1] and found(tmp_path, after=3) == [4, 3]


def test_what_the_daemon_writes_meanwhile_is_seen_by_the_next_look(journal: Journal, tmp_path: Path) -> None:
    with Archive(tmp_path / "journal.sqlite3") as archive:
        assert len(archive.find(Wanted())) == 5
        with journal.transaction() as db:
            db.execute("DELETE FROM events WHERE seq = 1")
            assert len(archive.find(Wanted())) == 5, "it waits for nobody, and sees nothing half done"
        assert len(archive.find(Wanted())) == 4


def test_it_can_write_nothing(journal: Journal, tmp_path: Path) -> None:
    with Archive(tmp_path / "journal.sqlite3") as archive, pytest.raises(StorageError, match="readonly"):
        archive._rows("DELETE FROM events", ())
    assert len(journal.last_events(9)) == 5


def test_answers_are_found_by_the_event_they_are_about_and_by_their_own(journal: Journal, tmp_path: Path) -> None:
    about = EVENTS[0].id
    first = AskRecord(new_id(T0), "porch", "parcel", "A parcel?", "entered", iso_time(T0), event_id=about)
    second = replace(first, id=new_id(T0), question="hat", state="answered", answer=True)
    other = replace(first, id=new_id(T0), event_id=None)
    AnswerBook(journal).write([first, second, other], [], T0)
    with Archive(tmp_path / "journal.sqlite3") as archive:
        assert archive.answers([event.id for event in EVENTS]) == {about: [first, second]}
        assert archive.answers([second.id]) == {second.id: [second]}
        plan = archive._rows(
            "EXPLAIN QUERY PLAN SELECT record FROM answers WHERE json_extract(record, '$.event_id') = ? OR id = ?",
            ("a", "a"),
        )
    assert any("askings" in row[-1] for row in plan), "not each answer is read for each event"


def test_a_clip_that_is_complete_is_found_by_every_event_that_names_it_and_is_listed_only_if_asked_for(
    journal: Journal, tmp_path: Path
) -> None:
    entered = make("entered", 60)
    path = f"porch/2027-01-15/{entered.id}.mp4"
    visit = [replace(entered, clip=path), replace(make("left", 61), clip=path)]
    own = make("left", 62)
    own = replace(own, clip=f"porch/2027-01-15/{own.id}.mp4")
    odd = [replace(make("entered", 63), clip=text) for text in ("", "x.mp4", "../" * 30, f"/porch/{path}")]
    recorded = Event(clip_id(entered.id), "recorded", "porch", entered.time, about=entered.id, clip=path)
    journal.append([*visit, own, *odd, recorded])
    with Archive(tmp_path / "journal.sqlite3") as archive:
        assert archive.recorded([*visit, own, *odd, *EVENTS]) == {event.id: recorded for event in visit}
        assert archive.recorded([recorded]) == {recorded.id: recorded} and archive.recorded([]) == {}
        assert archive.recorded([replace(visit[0], clip=f"porch/2027-01-15/{'7' * 26}.mp4")]) == {}
        assert recorded not in [row.event for row in archive.find(Wanted())]
        assert [row.event for row in archive.find(Wanted(types=["recorded"]))] == [recorded]
        assert len(archive.find(Wanted(types=["recorded", "entered"]))) == 1 + 3 + 1 + len(odd)


def test_a_journal_of_before_there_were_questions_has_no_answers(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    with closing(Journal(path)) as journal:
        journal.open()
        journal.append(EVENTS)
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE answers")
        db.execute("PRAGMA user_version = 3")
    with Archive(path) as archive:
        assert len(archive.find(Wanted())) == 5 and archive.answers([EVENTS[0].id]) == {}


def test_without_a_journal_it_says_so_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(NoJournalError, match=r"journal\.sqlite3: there is no journal yet"):
        Archive(tmp_path / "journal.sqlite3").open()
    assert [*tmp_path.iterdir()] == []


def test_a_file_that_is_none_of_ours_or_of_a_newer_version_is_told(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    path.write_text("no database\n" * 500, encoding="utf-8")
    with pytest.raises(StorageError, match="not a journal"):
        Archive(path).open()
    path.write_bytes(b"")
    with pytest.raises(StorageError, match="no journal"):
        Archive(path).open()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageError, match="newer Soteira"):
        Archive(path).open()


AS_NOBODY = """
import os, sys
from pathlib import Path
from soteirad.archive import Archive, Wanted
from soteirad.errors import StorageError
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    with Archive(Path(sys.argv[1])) as archive:
        print(len(archive.find(Wanted())))
except StorageError as error:
    print(error)
"""


def as_nobody(path: Path) -> str:
    command = [sys.executable, "-c", AS_NOBODY, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_may_read_but_not_write_can_look_and_who_may_not_is_told() -> None:
    with TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder, path = Path(name), Path(name) / "journal.sqlite3"
        journal = Journal(path)
        journal.open()
        journal.append(EVENTS)
        for file in folder.iterdir():
            file.chmod(0o644)
        folder.chmod(0o755)
        assert as_nobody(path) == "5", "beside the daemon"
        journal.close()
        assert as_nobody(path) == "5", "with nobody else"
        path.chmod(0o600)
        assert "it may not be read: do this as root, or as the user soteirad runs as" in as_nobody(path)
        folder.chmod(0o700)
        assert "it may not be read" in as_nobody(path)


@pytest.mark.parametrize("change", [
    "UPDATE events SET recorded_at = 'abc' WHERE seq = 3",
    "UPDATE events SET payload = '[1]' WHERE seq = 3",
    "UPDATE answers SET record = json_remove(record, '$.id')",
])  # fmt: skip
def test_a_value_that_cannot_be_in_its_column_is_told_in_one_line(tmp_path: Path, change: str) -> None:
    path = tmp_path / "journal.sqlite3"
    ids = [event.id for event in fill(path, 20, 10)]
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE answers SET record = json_set(record, '$.event_id', ?)", (ids[0],))
        db.execute(change)
    with Archive(path) as archive, pytest.raises(StorageError, match="cannot read"):
        archive.find(Wanted(limit=1000))
        archive.answers(ids)
