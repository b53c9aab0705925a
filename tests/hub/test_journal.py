"""The journal, on a real disk."""

from __future__ import annotations

import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import soteirad
from soteirad.errors import StorageError
from soteirad.event import Event, iso_time, new_id
from soteirad.hub.answer_book import AnswerBook
from soteirad.hub.ask_record import AskRecord
from soteirad.hub.backup import backups
from soteirad.hub.journal import Journal, Pruned
from soteirad.hub.tables import SCHEMA_VERSION

T0 = 1_800_000_000.0
DAY = 86400.0


class Clock:
    def __init__(self, now: float = T0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.db", clock)
    journal.open()
    yield journal
    journal.close()


def make(kind: str, track: int | None = 1, camera: str = "porch", at: float = T0, **more: object) -> Event:
    fields: dict[str, object] = {
        "label": "person",
        "track_id": track,
        "box": (1, 2, 30, 40),
        "frame_size": (640, 360),
    }
    if kind == "scene_changed":
        fields = {}
    fields.update(more)
    return Event(id=new_id(at), event_type=kind, camera=camera, time=iso_time(at), **fields)  # type: ignore[arg-type]


@contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    """The file as SQLite itself sees it."""
    with closing(sqlite3.connect(path)) as db, db:
        yield db


def reopened(journal: Journal, tmp_path: Path) -> Journal:
    journal.close()
    again = Journal(tmp_path / "journal.db")
    again.open()
    return again


def test_events_come_back_whole_and_in_the_order_they_were_written_not_in_clock_order(
    journal: Journal, tmp_path: Path
) -> None:
    events = [make("entered", track=n, at=T0 - 100 * n, zones=("step",), confidence=0.5) for n in range(1, 6)]
    assert journal.append(events[:3]) == [e.id for e in events[:3]]
    journal.append(events[3:])
    again = reopened(journal, tmp_path)
    assert [entry.event for entry in again.pending(10)] == events
    assert [entry.recorded_at for entry in again.pending(10)] == [T0] * 5
    assert again.last_events(2) == events[3:]
    again.close()


def test_an_event_that_is_appended_twice_is_in_the_journal_once_and_acknowledged_both_times(
    journal: Journal,
) -> None:
    event = make("entered")
    assert journal.append([event]) == [event.id]
    assert journal.append([event, event]) == [event.id, event.id]
    assert journal.count_pending() == 1


def test_an_entered_that_is_resent_after_its_left_does_not_open_the_visit_again(journal: Journal) -> None:
    entered, left = make("entered"), make("left", why={"reason": "gone"})
    journal.append([entered])
    journal.append([left])
    journal.append([entered])
    assert journal.open_visits() == []


def test_pending_pages_past_what_is_in_flight_and_forgets_what_was_published(journal: Journal) -> None:
    journal.append([make("entered", track=n) for n in range(1, 8)])
    first = journal.pending(3)
    assert [e.seq for e in journal.pending(3, after_seq=first[-1].seq)] == [e.seq + 3 for e in first]
    journal.mark_published({first[0].event.id: "soteira/porch/event", first[2].event.id: "soteira/porch/event"})
    assert journal.count_pending() == 5
    assert journal.pending(1)[0].seq == first[1].seq


def test_publishing_is_remembered_with_its_topic(journal: Journal, tmp_path: Path) -> None:
    journal.append([make("entered")])
    journal.mark_published({journal.pending(1)[0].event.id: "soteira/porch/event/late"})
    again = reopened(journal, tmp_path)
    assert again.count_pending() == 0
    again.close()
    with raw(tmp_path / "journal.db") as db:
        assert db.execute("SELECT published_at, topic FROM events").fetchall() == [(T0, "soteira/porch/event/late")]


def test_a_seq_is_never_used_twice_even_after_pruning_everything(journal: Journal, clock: Clock) -> None:
    journal.append([make("left")])
    seq = journal.pending(1)[0].seq
    clock.now += 30 * DAY
    journal.prune(7, 7, 100)
    journal.append([make("left")])
    assert journal.pending(1)[0].seq > seq


def test_visits_open_with_entered_or_present_and_close_with_left(journal: Journal) -> None:
    one, two, other = make("entered", 1), make("present", 2, label="car"), make("entered", 1, camera="yard")
    journal.append([one, two, other])
    assert journal.open_visits() == [one, two, other]
    assert journal.open_visits("porch") == [one, two]
    journal.append([make("left", 1)])
    assert journal.open_visits() == [two, other]


def test_scene_changed_closes_the_visits_of_its_camera_only_and_writes_no_left(journal: Journal) -> None:
    other = make("entered", 1, camera="yard")
    journal.append([make("entered", 1), make("entered", 2), other])
    journal.append([make("scene_changed", why={"closed_tracks": [1, 2]})])
    assert journal.open_visits() == [other]
    assert [e.event_type for e in journal.last_events(10)].count("left") == 0


def test_open_visits_are_closed_with_a_left_that_says_why(journal: Journal, tmp_path: Path) -> None:
    journal.append([make("entered", 7, at=T0 - 12.5, zones=("step",)), make("entered", 1, camera="yard")])
    again = reopened(journal, tmp_path)
    (left,) = again.close_open_visits("restart", T0, camera="porch")
    assert (left.event_type, left.camera, left.label, left.track_id) == ("left", "porch", "person", 7)
    assert (left.box, left.frame_size, left.zones) == ((1, 2, 30, 40), (640, 360), ("step",))
    assert (left.time, left.dwell, left.why) == (iso_time(T0), None, {"reason": "restart"})
    assert again.last_events(1) == [left]
    assert [e.camera for e in again.close_open_visits("restart", T0)] == ["yard"]
    assert again.close_open_visits("restart", T0) == []
    again.close()


def test_a_new_camera_process_may_use_the_track_ids_of_the_old_one_again(journal: Journal) -> None:
    journal.append([make("entered", 1)])
    journal.close_open_visits("restart", T0, camera="porch")
    second = make("entered", 1)
    journal.append([second])
    assert journal.open_visits() == [second]


def test_a_visit_whose_left_was_lost_gives_way_to_a_new_one_with_the_same_track(journal: Journal) -> None:
    second = make("entered", 1)
    journal.append([make("entered", 1), second])
    assert journal.open_visits() == [second]


def test_prune_removes_published_events_by_age_and_does_not_count_them(journal: Journal, clock: Clock) -> None:
    journal.append([make("left", n) for n in range(3)])
    journal.mark_published({e.event.id: "t" for e in journal.pending(2)})
    clock.now += 5 * DAY
    assert journal.prune(7, 7, 100).dropped == 0
    assert len(journal.last_events(10)) == 3
    clock.now += 2 * DAY
    fresh = make("left", 9)
    journal.append([fresh])
    clock.now += 1
    assert journal.prune(7, 7, 100).dropped == 1  # the one that was never published
    assert journal.last_events(10) == [fresh]
    assert journal.count_dropped() == 1


def test_beyond_its_limit_the_outbox_loses_the_oldest_and_counts_them_across_restarts(
    journal: Journal, tmp_path: Path
) -> None:
    events = [make("left", n) for n in range(10)]
    journal.append(events)
    assert journal.prune(7, 7, 6).dropped == 4
    assert [e.event for e in journal.pending(10)] == events[4:]
    assert journal.prune(7, 7, 6).dropped == 0
    again = reopened(journal, tmp_path)
    assert again.prune(7, 7, 5).dropped == 1
    assert again.count_dropped() == 5
    again.close()


def test_prune_never_takes_an_open_visit_or_the_event_that_opened_it(journal: Journal, clock: Clock) -> None:
    parked = make("entered", 1, label="car")
    journal.append([parked, make("entered", 2), make("left", 2)])
    clock.now += 40 * DAY
    assert journal.prune(7, 7, 0).dropped == 2
    assert journal.last_events(10) == [parked]
    (left,) = journal.close_open_visits("restart", clock.now)
    assert left.label == "car"
    assert journal.prune(7, 7, 1).dropped == 1


def test_every_id_that_a_killed_process_reported_as_written_is_in_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    code = (
        "import sys; from pathlib import Path\n"
        "from soteirad.event import Event, iso_time, new_id\n"
        "from soteirad.hub.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1])); journal.open()\n"
        "n = 0\n"
        "while True:\n"
        "    n += 1\n"
        "    batch = [Event(id=new_id(1e9 + n), event_type='entered' if n % 2 else 'left', camera=f'c{k}',\n"
        "                   time=iso_time(1e9 + n), label='person', track_id=n // 2)\n"
        "             for k in range(n % 4 + 1)]\n"
        "    print('\\n'.join(journal.append(batch)), flush=True)\n"
    )
    root = str(Path(soteirad.__file__).parent.parent)
    writer = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert writer.stdout is not None
    reported = [writer.stdout.readline().strip() for _ in range(60)]
    writer.kill()
    rest = writer.stdout.read().split("\n")  # the last line may be cut
    writer.wait()
    reported += [line for line in rest[:-1] if line]
    journal = Journal(path)
    journal.open()
    present = [entry.event.id for entry in journal.pending(100_000)]
    assert present[: len(reported)] == reported
    journal.append([make("entered")])
    journal.close()


def test_a_write_that_the_disk_refuses_is_undone_as_a_whole_and_the_journal_goes_on(
    journal: Journal, tmp_path: Path
) -> None:
    kept = make("entered", 1)
    journal.append([kept])
    huge = [make("left", 1), make("entered", 2, why={"text": "x" * 300_000})]
    size = (tmp_path / "journal.db-wal").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 8192, hard))
    try:
        with pytest.raises(StorageError, match=r"journal\.db"):
            journal.append(huge)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert journal.last_events(10) == [kept]
    assert journal.open_visits() == [kept]
    assert journal.append(huge) == [e.id for e in huge]


def test_a_full_disk_is_called_a_full_disk(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mount.returncode:
        pytest.skip("a file system of 300 kB cannot be mounted here (needs root)")
    try:
        journal = Journal(folder / "journal.db")
        journal.open()
        written = 0
        with pytest.raises(StorageError, match="disk is full; free some space"):
            for n in range(1000):
                journal.append([make("left", n, why={"text": "x" * 2000})])
                written += 1
        assert journal.count_pending() == written > 0
        journal.close()
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="folder does not exist: create it"):
        Journal(tmp_path / "no" / "journal.db").open()


def test_a_file_that_is_no_database_is_refused_with_the_remedy_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_text("cameras: {porch: {source: rtsp://x}}\n" * 100)
    with pytest.raises(StorageError, match=r"not a journal; move it away"):
        Journal(path).open()
    assert path.read_text().startswith("cameras")


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "home-assistant.db"
    with raw(path) as db:
        db.execute("CREATE TABLE events (event_id INTEGER)")
    with pytest.raises(StorageError, match="another program"):
        Journal(path).open()


def test_a_journal_of_a_newer_version_is_refused_with_the_remedy(journal: Journal, tmp_path: Path) -> None:
    journal.close()
    with raw(tmp_path / "journal.db") as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(StorageError, match=r"newer Soteira wrote this journal.*install that version again"):
        Journal(tmp_path / "journal.db").open()


def test_an_event_of_a_newer_version_is_a_storage_error_not_a_crash(journal: Journal, tmp_path: Path) -> None:
    journal.append([make("entered")])
    with raw(tmp_path / "journal.db") as db:
        db.execute('UPDATE events SET payload = \'{"id": "x", "colour": "red"}\'')
    with pytest.raises(StorageError, match="cannot read"):
        journal.pending(1)


def test_a_damaged_file_is_a_storage_error_with_the_remedy(journal: Journal, tmp_path: Path) -> None:
    journal.append([make("left", n, why={"text": "x" * 500}) for n in range(200)])
    journal.close()
    path = tmp_path / "journal.db"
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))
    broken = Journal(path)
    with pytest.raises(StorageError, match="damaged"):
        broken.open()
        broken.last_events(1000)
    broken.close()


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder of root's, seen by a process that is not root (as the daemon is)."""
    folder = Path(tempfile.mkdtemp(prefix="soteira-journal-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def as_nobody(path: Path) -> StorageError:
    """Open the journal without the right to write and return the error."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(StorageError) as caught:
            Journal(path).open()
    finally:
        if root:
            os.seteuid(0)
    return caught.value


def test_a_folder_that_may_not_be_written_is_a_storage_error_with_the_remedy(nobody: Path) -> None:
    nobody.chmod(0o555)
    assert "not writable for the user soteirad runs as" in str(as_nobody(nobody / "journal.db"))


def test_a_read_only_journal_is_a_storage_error_with_the_remedy(nobody: Path) -> None:
    journal = Journal(nobody / "journal.db")
    journal.open()
    journal.append([make("entered")])
    journal.close()
    (nobody / "journal.db").chmod(0o444)
    nobody.chmod(0o555)
    message = str(as_nobody(nobody / "journal.db"))
    assert "the user soteirad runs as" in message


def test_a_second_daemon_that_holds_the_journal_is_named_as_the_cause(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soteirad.hub.journal.BUSY_TIMEOUT_S", 0.05)
    other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    second = Journal(tmp_path / "journal.db")
    with pytest.raises(StorageError, match="second soteirad"):
        second.open()
    other.execute("ROLLBACK")
    other.close()
    second.open()
    second.close()


def test_the_outbox_is_found_by_its_index_however_many_published_events_there_are(
    journal: Journal, tmp_path: Path
) -> None:
    with raw(tmp_path / "journal.db") as db:
        plan = db.execute(
            "EXPLAIN QUERY PLAN SELECT seq, payload FROM events"
            " WHERE published_at IS NULL AND seq > 5 ORDER BY seq LIMIT 20"
        ).fetchall()
    assert "INDEX outbox" in str(plan)


def test_a_journal_that_was_not_opened_is_a_bug_not_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="not open"):
        Journal(tmp_path / "journal.db").count_pending()


def test_the_journal_knows_whether_a_source_is_lost(journal: Journal) -> None:
    assert not journal.source_is_lost("porch")
    journal.append([make("source_lost", None, "porch"), make("source_lost", None, "yard")])
    assert journal.source_is_lost("porch")
    journal.append([make("source_restored", None, "porch"), make("entered", None, "porch")])
    assert not journal.source_is_lost("porch") and journal.source_is_lost("yard")


def test_the_openings_of_the_visits_that_an_event_closed_are_known_by_its_id(journal: Journal) -> None:
    first, second, other = make("entered", 1), make("present", 2), make("entered", 1, camera="yard")
    journal.append([first, second, other])
    assert journal.openings(first.id) == []
    left = make("left", 1, at=T0 + 5)
    journal.append([left])
    assert journal.openings(left.id) == [first]
    third = make("entered", 3, at=T0 + 6)
    changed = make("scene_changed", None, at=T0 + 7)
    journal.append([third, changed])
    assert journal.openings(changed.id) == [second, third]
    again = make("entered", 1, camera="yard", at=T0 + 8)
    journal.append([again])
    assert journal.openings(again.id) == [other]
    (closed,) = journal.close_open_visits("restart", T0 + 9)
    assert journal.openings(closed.id) == [again]
    assert journal.openings("never seen") == []


def test_which_visits_an_event_closed_is_found_without_reading_them_all(journal: Journal, tmp_path: Path) -> None:
    with raw(tmp_path / "journal.db") as db:
        (plan,) = db.execute("EXPLAIN QUERY PLAN SELECT opening FROM visits WHERE closed_by = 'x'").fetchall()
    assert "closings" in plan[-1]


VERSION_1 = (
    """CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, camera TEXT NOT NULL,
        event_type TEXT NOT NULL, recorded_at REAL NOT NULL, published_at REAL, topic TEXT, payload TEXT NOT NULL)""",
    "CREATE INDEX outbox ON events (seq) WHERE published_at IS NULL",
    """CREATE TABLE visits (
        visit INTEGER PRIMARY KEY, camera TEXT NOT NULL, track_id INTEGER NOT NULL, opened_by TEXT NOT NULL,
        opening TEXT NOT NULL, closed_by TEXT, closed_at REAL, reason TEXT)""",
    "CREATE UNIQUE INDEX open_visits ON visits (camera, track_id) WHERE closed_at IS NULL",
    """CREATE VIEW prunable AS SELECT seq, recorded_at, published_at FROM events
        WHERE id NOT IN (SELECT opened_by FROM visits WHERE closed_at IS NULL)""",
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    "INSERT INTO meta (key, value) VALUES ('dropped', 3)",
    "PRAGMA user_version = 1",
)


def version_1(path: Path, events: list[Event]) -> None:
    """Make a journal as the first version did, with visits that are open."""
    with raw(path) as db:
        db.execute("PRAGMA journal_mode = WAL")
        for statement in VERSION_1:
            db.execute(statement)
        for event in events:
            payload = json.dumps(event.payload())
            db.execute("INSERT INTO events (id, camera, event_type, recorded_at, payload) VALUES (?, ?, ?, ?, ?)",
                       (event.id, event.camera, event.event_type, T0, payload))  # fmt: skip
            db.execute("INSERT INTO visits (camera, track_id, opened_by, opening) VALUES (?, ?, ?, ?)",
                       (event.camera, event.track_id, event.id, payload))  # fmt: skip


def schema(path: Path) -> tuple[int, list[tuple[str, str]]]:
    with raw(path) as db:
        rows = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").fetchall()
        return db.execute("PRAGMA user_version").fetchone()[0], [(name, "".join(sql.split())) for name, sql in rows]


def test_a_journal_of_the_first_version_is_upgraded_and_loses_nothing(tmp_path: Path) -> None:
    events = [make("entered", 1), make("present", 2)]
    version_1(tmp_path / "journal.db", events)
    journal = Journal(tmp_path / "journal.db")
    journal.open()
    assert [entry.event for entry in journal.pending(9)] == events == journal.open_visits()
    assert (journal.count_dropped(), journal.overrides(), journal.retained()) == (3, {}, {})
    journal.replace_overrides({("porch", "detect"): False})
    journal.note_retained({"soteira/porch/state": {}})
    again = reopened(journal, tmp_path)
    assert (again.overrides(), again.retained()) == ({("porch", "detect"): False}, {"soteira/porch/state": {}})
    assert [e.track_id for e in again.close_open_visits("restart", T0)] == [1, 2]
    again.close()


def test_an_upgraded_journal_is_like_a_new_one(tmp_path: Path) -> None:
    version_1(tmp_path / "old.db", [])
    for name in ("old.db", "new.db"):
        journal = Journal(tmp_path / name)
        journal.open()
        journal.close()
    assert schema(tmp_path / "old.db") == schema(tmp_path / "new.db")
    assert schema(tmp_path / "new.db")[0] == SCHEMA_VERSION


VERSION_3 = (
    "CREATE TABLE overrides (camera TEXT, setting TEXT, value TEXT NOT NULL, PRIMARY KEY (camera, setting))",
    "CREATE TABLE retained (topic TEXT PRIMARY KEY, note TEXT NOT NULL)",
    "CREATE INDEX closings ON visits (closed_by)",
    "INSERT INTO overrides VALUES ('porch', 'detect', 'false')",
    "INSERT INTO retained VALUES ('soteira/porch/state', '{}')",
    "PRAGMA user_version = 3",
)


def version_3(path: Path, events: list[Event]) -> None:
    """Make a journal as the third version left it, the last one without questions."""
    version_1(path, events)
    with raw(path) as db:
        for statement in VERSION_3:
            db.execute(statement)


def test_a_journal_without_answers_is_upgraded_loses_nothing_and_takes_answers(tmp_path: Path) -> None:
    path, events = tmp_path / "journal.db", [make("entered", 1), make("present", 2)]
    version_3(path, events)
    before = schema(path)[1]
    journal = Journal(path)
    journal.open()
    assert (schema(path)[0], SCHEMA_VERSION) == (6, 6)
    new = [name for name, sql in schema(path)[1] if (name, sql) not in before]
    assert new == ["ages", "answers", "askings", "calls", "closed_visits", "last_answered", "latest_answers",
                   "pending_answers"]  # fmt: skip
    assert [entry.event for entry in journal.pending(9)] == events == journal.open_visits()
    assert (journal.overrides(), journal.retained()) == ({("porch", "detect"): False}, {"soteira/porch/state": {}})
    book = AnswerBook(journal)
    assert (book.pending(), book.calls(), book.latest("porch", "parcel")) == ([], [], (None, None))
    record = AskRecord("01M80GR3W7ZFDTXZJGYFTM8T6X", "porch", "parcel", "Is there?", "left", iso_time(T0))
    book.write([record], [("c", T0, 7)], T0)
    again = reopened(journal, tmp_path)
    assert AnswerBook(again).pending() == [record] and AnswerBook(again).calls() == [(T0, 7)]
    again.close()


def test_a_journal_that_was_upgraded_from_the_third_version_is_like_a_new_one(tmp_path: Path) -> None:
    version_3(tmp_path / "old.db", [])
    for name in ("old.db", "new.db"):
        journal = Journal(tmp_path / name)
        journal.open()
        journal.close()
    assert schema(tmp_path / "old.db") == schema(tmp_path / "new.db")


def test_the_last_answer_is_found_without_reading_them_all(journal: Journal, tmp_path: Path) -> None:
    with raw(tmp_path / "journal.db") as db:
        for state, index in (("", "latest_answers"), ("AND state = 'answered'", "last_answered")):
            where = f"camera = 'a' AND question = 'b' {state}"
            query = f"SELECT record FROM answers WHERE {where} ORDER BY rowid DESC LIMIT 1"  # noqa: S608 - no input
            (plan,) = db.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
            assert index in plan[-1]


def test_a_journal_that_may_name_clips_is_one_that_versions_without_clips_do_not_take_for_damaged(
    tmp_path: Path
) -> None:
    path, before = tmp_path / "journal.db", make("entered", 1)
    with closing(Journal(path)) as journal:
        journal.open()
        journal.append([before])
    with raw(path) as db:
        db.execute("PRAGMA user_version = 5")  # the last one without clips, whose tables are the same
    with closing(Journal(path)) as journal:
        journal.open()
        assert [entry.event for entry in journal.pending(9)] == [before]
    assert schema(path)[0] > 5, "which those refuse with the way back"
    assert [number for number, _ in backups(path)] == [5]


def test_an_upgrade_that_fails_leaves_the_first_version_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    version_1(path, [make("entered", 1)])
    before = schema(path)
    with monkeypatch.context() as patch:
        patch.setattr("soteirad.hub.tables._UPGRADES", (("CREATE TABLE overrides (x)", "CREATE TABLE meta (x)"),))
        with pytest.raises(StorageError, match="already exists"):
            Journal(path).open()
    assert schema(path) == before
    journal = Journal(path)
    journal.open()
    assert len(journal.open_visits()) == 1
    journal.close()


def test_a_newer_journal_is_not_touched(journal: Journal, tmp_path: Path) -> None:
    journal.close()
    path = tmp_path / "journal.db"
    with raw(path) as db:
        db.execute("CREATE TABLE future (x)")
        db.execute("DROP TABLE overrides")
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 7}")
    before = schema(path)
    with pytest.raises(StorageError, match=f"schema {SCHEMA_VERSION + 7}, this one knows up to {SCHEMA_VERSION}"):
        Journal(path).open()
    assert schema(path) == before


def test_overrides_come_back_with_their_kinds(journal: Journal, tmp_path: Path) -> None:
    overrides = {("porch", "detect"): False, ("porch", "min_score"): 0.1 + 0.2, ("yard", "motion_threshold"): 1e-4}
    journal.replace_overrides({("old", "enabled"): False})
    journal.replace_overrides(overrides)
    again = reopened(journal, tmp_path)
    assert again.overrides() == overrides and again.overrides()["porch", "detect"] is False
    again.replace_overrides({})
    assert again.overrides() == {}
    again.close()


def test_a_disk_that_refuses_new_overrides_keeps_the_former(journal: Journal) -> None:
    former = {("porch", "detect"): False}
    journal.replace_overrides(former)
    with pytest.raises(TypeError):
        journal.replace_overrides({("porch", "min_score"): 0.5, ("yard", "detect"): object()})
    assert journal.overrides() == former


def test_the_ledger_remembers_topics_with_their_newest_note_until_they_are_forgotten(
    journal: Journal, tmp_path: Path
) -> None:
    journal.note_retained({"a": {}, "b": {"x": "sensor"}})
    journal.note_retained({"b": {"x": "sensor", "y": "switch"}, "c\n'\u00e9": {}})
    again = reopened(journal, tmp_path)
    assert again.retained() == {"a": {}, "b": {"x": "sensor", "y": "switch"}, "c\n'\u00e9": {}}
    again.forget_retained(["a", "never there", "c\n'\u00e9"])
    again.forget_retained([])
    assert again.retained() == {"b": {"x": "sensor", "y": "switch"}}
    again.close()


def test_what_was_published_and_what_was_not_have_limits_of_their_own(journal: Journal, clock: Clock) -> None:
    published, waiting = make("left", 1, snapshot="porch/2027-01-15/a.jpg"), make("left", 2)
    journal.append([published, waiting])
    journal.mark_published({published.id: "t"})
    clock.now += 8 * DAY
    assert journal.prune(10, 9, 100) == Pruned(0, (), False)
    assert journal.prune(10, 7, 100) == Pruned(1, (), False)
    assert journal.last_events(9) == [published]
    assert journal.prune(7, 7, 100) == Pruned(0, ("porch/2027-01-15/a.jpg",), False)
    assert journal.last_events(9) == []


def test_much_is_deleted_in_several_turns(journal: Journal, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soteirad.hub.journal.MOST_PRUNED", 4)
    journal.append([make("left", n) for n in range(10)])
    clock.now += 8 * DAY
    assert [journal.prune(7, 7, 100).more for _ in range(3)] == [True, True, False]
    assert journal.last_events(9) == [] and journal.count_dropped() == 10


def test_what_follows_a_place_is_read_whether_or_not_it_was_published(journal: Journal) -> None:
    events = [make("left", n) for n in range(4)]
    journal.append(events)
    journal.mark_published({events[1].id: "t", "unknown": "t"})
    assert [entry.event for entry in journal.after(1, 2)] == events[1:3]
    assert journal.knows(events[0].id) and not journal.knows("unknown")


def test_visits_are_deleted_a_few_at_a_time_too(
    journal: Journal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for track in range(9):
        journal.append([make("entered", track), make("left", track)])
    with journal.transaction() as db:
        db.execute("DELETE FROM events")
    clock.now += 8 * DAY
    monkeypatch.setattr("soteirad.hub.journal.MOST_PRUNED", 4)
    left = []
    for more in (True, True, False):
        assert journal.prune(7, 7, 100).more is more
        left.append(journal.rows("SELECT count(*) FROM visits")[0][0])
    assert left == [5, 1, 0]


def test_a_prune_does_not_look_at_all_that_is_kept(journal: Journal, clock: Clock) -> None:
    events = [make("left", at=T0 + number) for number in range(3000)]
    journal.append(events)
    journal.mark_published({event.id: "t" for event in events})
    clock.now += 30 * DAY
    steps = [0]

    def count() -> int:
        steps[0] += 1
        return 0

    assert journal._db is not None
    journal._db.set_progress_handler(count, 100)
    assert not journal.prune(365, 7, 100_000).more
    assert steps[0] * 100 < 3000
