"""The journal's tables: how they are made, how those of an earlier version become today's, and what SQLite's errors
mean to an owner."""

from __future__ import annotations

import logging
import shlex
import sqlite3
from pathlib import Path

from soteirad.errors import DamagedError, StorageError, StorageRefused
from soteirad.hub.backup import back_up, backup_of, backups

logger = logging.getLogger(__name__)

_SCHEMA = (
    """CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        camera TEXT NOT NULL,
        event_type TEXT NOT NULL,
        recorded_at REAL NOT NULL,
        published_at REAL,
        topic TEXT,
        payload TEXT NOT NULL)""",
    "CREATE INDEX outbox ON events (seq) WHERE published_at IS NULL",
    """CREATE TABLE visits (
        visit INTEGER PRIMARY KEY,
        camera TEXT NOT NULL,
        track_id INTEGER NOT NULL,
        opened_by TEXT NOT NULL,
        opening TEXT NOT NULL,
        closed_by TEXT,
        closed_at REAL,
        reason TEXT)""",
    # Track ids begin at 1 again in a new camera process, so only open visits are unique.
    "CREATE UNIQUE INDEX open_visits ON visits (camera, track_id) WHERE closed_at IS NULL",
    # The event that opened a visit stays as long as the visit is open, whatever the limits say.
    """CREATE VIEW prunable AS SELECT seq, recorded_at, published_at FROM events
        WHERE id NOT IN (SELECT opened_by FROM visits WHERE closed_at IS NULL)""",
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    "INSERT INTO meta (key, value) VALUES ('dropped', 0)",
)
_UPGRADES: tuple[tuple[str, ...], ...] = (
    # 1 -> 2: what was changed over MQTT, and what lies retained at the broker (NOTE: entities of a device, as JSON).
    (
        "CREATE TABLE overrides (camera TEXT, setting TEXT, value TEXT NOT NULL, PRIMARY KEY (camera, setting))",
        "CREATE TABLE retained (topic TEXT PRIMARY KEY, note TEXT NOT NULL)",
    ),
    # 2 -> 3: which visits an event closed is asked for each event that is published in Frigate's format.
    ("CREATE INDEX closings ON visits (closed_by)",),
    # 3 -> 4: what was asked and what became of it (record: JSON), and each call that counts for the budget.
    (
        """CREATE TABLE answers (
            id TEXT PRIMARY KEY,
            camera TEXT NOT NULL,
            question TEXT NOT NULL,
            state TEXT NOT NULL,
            recorded_at REAL NOT NULL,
            record TEXT NOT NULL)""",
        "CREATE INDEX latest_answers ON answers (camera, question)",
        "CREATE INDEX last_answered ON answers (camera, question) WHERE state = 'answered'",
        "CREATE INDEX pending_answers ON answers (state) WHERE state = 'pending'",
        "CREATE TABLE calls (id TEXT PRIMARY KEY, at REAL NOT NULL, tokens INTEGER NOT NULL)",
    ),
    # 4 -> 5: what was asked about an event is looked up for each event that is shown, and what is old every minute.
    (
        "CREATE INDEX askings ON answers (json_extract(record, '$.event_id'))",
        "CREATE INDEX ages ON events (recorded_at)",
        "CREATE INDEX closed_visits ON visits (closed_at)",
    ),
    # 5 -> 6: events name their clips, and a `recorded` tells of one: earlier versions would take both for damage.
    (),
)
"""What turns the schema of one version into that of the next; a new journal goes through all of them."""
SCHEMA_VERSION = 1 + len(_UPGRADES)

_REMEDIES = (
    ("readonly", "it is read-only for this user; give the file and its folder to the user soteirad runs as"),
    ("unable to open", "its folder is missing or not writable for the user soteirad runs as"),
    ("disk is full", "the disk is full; free some space (nothing that was committed is lost)"),
    ("disk I/O error", "the disk refuses it: it is full (`df`), fails (`dmesg`) or has become read-only (`mount`)"),
    ("locked", "another process holds it; is a second soteirad running?"),
)
_DAMAGE = ("malformed", "not a database", "Could not decode")
"""Of SQLITE_CORRUPT and SQLITE_NOTADB, and of text in a row that is none."""


def prepare(db: sqlite3.Connection, path: Path, upgrade: bool = True) -> int:
    """Make the tables, or bring those of an earlier version up to date; returns which version there was, 0 for none.

    Without `upgrade` only today's are taken. Raises StorageError and sqlite3.Error; then nothing was changed.
    """
    # The lock comes before the look: another process may open a new journal along with the daemon.
    db.execute("BEGIN IMMEDIATE")
    version = version_of(db, path)
    if version == SCHEMA_VERSION:  # nothing to write, which a full disk would not take
        db.execute("ROLLBACK")
        return version
    if version == 0:
        make_tables(db)
    elif not upgrade:
        raise StorageError(f"{path}: an earlier Soteira wrote this journal: start the daemon, which upgrades it")
    else:
        back_up(path, version)
        _upgrade(db, version)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    db.execute("COMMIT")
    if version:
        logger.info("%s: upgraded from schema %d to %d; what it was before is in %s", path, version, SCHEMA_VERSION,
                    backup_of(path, version).name)  # fmt: skip
    return version


def check_owner(db: sqlite3.Connection, path: Path) -> None:
    """See that a database is empty or ours. Raises StorageError and sqlite3.Error."""
    if version_of(db, path) == 0 and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise StorageRefused(f"{path}: the database of another program: choose another path")


def make_tables(db: sqlite3.Connection) -> None:
    """Make today's tables, within the transaction under way."""
    for statement in _SCHEMA:
        db.execute(statement)
    _upgrade(db, 1)


def _upgrade(db: sqlite3.Connection, version: int) -> None:
    for upgrade in _UPGRADES[version - 1 :]:
        for statement in upgrade:
            db.execute(statement)


def version_of(db: sqlite3.Connection, path: Path) -> int:
    """Return the version of the tables, 0 if there are none of ours. Raises StorageError if this program is too old."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA_VERSION:
        raise StorageRefused(
            f"{path}: a newer Soteira wrote this journal (schema {version}, this one knows up to "
            f"{SCHEMA_VERSION}): install that version again{_way_back(path)}, or move the file away to begin a new one"
        )
    return version


def _way_back(path: Path) -> str:
    """Return how to go back to the copy that was made before the upgrade, if there is one."""
    backup = next((file for version, file in backups(path) if version <= SCHEMA_VERSION), None)
    if backup is None:
        return ""
    # A log that a killed daemon left would be taken for the copy's.
    log, shared, old, new = (shlex.quote(str(name)) for name in (f"{path}-wal", f"{path}-shm", backup, path))
    return (f", or go back to what it was before the upgrade with `sudo rm -f {log} {shared} && "
            f"sudo cp {old} {new}`")  # fmt: skip


def explained(path: Path, error: sqlite3.Error) -> StorageError:
    """Return what an owner is told about an error of SQLite."""
    text = str(error)
    if isinstance(error, sqlite3.DatabaseError) and any(sign in text for sign in _DAMAGE):
        return damaged(path, ", or not a journal at all" if "not a database" in text else "")
    remedy = next((remedy for sign, remedy in _REMEDIES if sign in text), "check the disk and the file")
    return StorageError(f"{path}: {text}: {remedy}")


def damaged(path: Path, what: str = "") -> DamagedError:
    """Return what an owner is told about a damaged journal."""
    return DamagedError(f"{path}: it is damaged{what}: the daemon saves what can be read, and begins a new one")
