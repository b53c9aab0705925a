"""Is the journal damaged? What SQLite does not notice, or would make worse, is looked at before it opens the file."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from soteirad.errors import DamagedError, StorageError, StorageRefused
from soteirad.hub.carve import FRAME_HEADER, MAGIC, WAL_HEADER, read_wal_header, wal_checksum
from soteirad.hub.salvage import MOST_SEQ, MOST_TIME, readable, readable_event, readable_note, readable_record
from soteirad.hub.tables import SCHEMA_VERSION, damaged, explained

CHECK_S = 20.0
"""A file that takes longer to check is used as it is: what is wrong with it will be met."""
MOST_LOG = 64_000_000
"""A longer log is not checked: no run of ours leaves one."""
_TEXT_BYTES = 4096
_WRONG_KINDS = (
    ("SELECT 1 FROM sqlite_sequence WHERE name = 'events' AND (typeof(seq) != 'integer' OR seq < 0 OR seq > ?)",
     (MOST_SEQ,)),
    ("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM meta WHERE key = 'dropped' AND typeof(value) = 'integer')", ()),
    # Text is beyond every number, so these take the index.
    ("SELECT 1 FROM events WHERE recorded_at > ?", (MOST_TIME,)),
    ("SELECT 1 FROM events WHERE recorded_at < 0", ()),
    ("SELECT 1 FROM visits WHERE closed_at > ?", (MOST_TIME,)),
    ("SELECT 1 FROM calls WHERE typeof(at) NOT IN ('real', 'integer') OR typeof(tokens) != 'integer'", ()),
)  # fmt: skip
"""What finds a number where none is, or one that cannot be: SQLite takes anything in any column."""
_EVERY_STEPS = 10_000
"""SQLite's steps between two looks at the clock."""


def check_file(journal: Path) -> None:
    """Look at the files as they lie there. Raises DamagedError; StorageRefused for a file that was never a journal."""
    log = journal.with_name(f"{journal.name}-wal")
    try:
        head = _head(journal)
        log_size = log.stat().st_size if log.exists() else 0
        if not head:
            if log_size > WAL_HEADER:  # SQLite would delete the log
                raise damaged(journal, ": it is missing or empty, and its log is not")
            return
        if not head.startswith(MAGIC):
            if not log_size and _is_text(head):
                raise StorageRefused(f"{journal}: file is not a database: it is not a journal; move it away, and a new "
                                     "one is made at the next start")  # fmt: skip
            raise damaged(journal, ": its beginning is lost")
        if 0 < log_size <= MOST_LOG and log_is_broken(log):
            raise damaged(journal, ": its log has a gap")
    except OSError as error:
        raise StorageError(f"{journal}: it cannot be read: {error.strerror}: check the disk and the file") from error


def newer_version(journal: Path) -> bool:
    """Say whether the beginning of the file says that a newer Soteira wrote it. Raises OSError."""
    head = _head(journal)
    return head.startswith(MAGIC) and SCHEMA_VERSION < int.from_bytes(head[60:64], "big") <= SCHEMA_VERSION + 1000


def check_content(db: sqlite3.Connection, journal: Path) -> None:
    """Let SQLite check the whole file, and read what has to be read soon. Raises DamagedError and sqlite3.Error."""
    deadline = time.monotonic() + CHECK_S
    db.set_progress_handler(lambda: time.monotonic() > deadline, _EVERY_STEPS)
    try:
        for (said,) in db.execute("PRAGMA integrity_check(1)"):
            if said != "ok":
                raise damaged(journal)
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise
    finally:
        db.set_progress_handler(None, 0)
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version:
        _read(db, journal, readable_event, "SELECT payload FROM events WHERE published_at IS NULL"
                                           " UNION ALL SELECT opening FROM visits WHERE closed_at IS NULL")  # fmt: skip
    if version == SCHEMA_VERSION:
        _read(db, journal, readable, "SELECT value FROM overrides")
        _read(db, journal, str, "SELECT topic FROM retained UNION ALL SELECT camera || setting FROM overrides")
        _read(db, journal, readable_note, "SELECT note FROM retained")
        _read(db, journal, readable_record, "SELECT record FROM answers WHERE state = 'pending'")
        for query, values in _WRONG_KINDS:
            if db.execute(query, values).fetchone() is not None:
                raise damaged(journal, ": it holds a number that cannot be")


def is_sound(journal: Path) -> bool:
    """Read everything once more, on a connection of its own. Raises StorageError if it cannot be read at all."""
    try:
        check_file(journal)
        with closing(sqlite3.connect(f"{journal.absolute().as_uri()}?mode=rw", uri=True)) as db:
            check_content(db, journal)
            _read(db, journal, readable_event, "SELECT payload FROM events UNION ALL SELECT opening FROM visits")
            _read(db, journal, readable_record, "SELECT record FROM answers")
            _read(db, journal, float, "SELECT recorded_at FROM events")
    except DamagedError:
        return False
    except sqlite3.Error as error:
        found = explained(journal, error)
        if isinstance(found, DamagedError):
            return False
        raise found from error
    return True


def log_is_broken(log: Path) -> bool:
    """Say whether what was committed to a write-ahead log lies behind something that cannot be read. Raises OSError.

    SQLite takes that for the log's end, and overwrites it.
    """
    with log.open("rb") as file:
        header = read_wal_header(file.read(WAL_HEADER))
        if header is None or not header.intact:
            return log.stat().st_size > WAL_HEADER
        checksum, whole, committed = header.checksum, True, False
        while len(head := file.read(FRAME_HEADER)) == FRAME_HEADER:
            page = file.read(header.page_size)
            if head[8:16] != header.salts:
                whole = False
                continue
            if whole and len(page) == header.page_size:
                checksum = wal_checksum(head[:8] + page, header.big_endian, checksum)
                whole = checksum == (int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big"))
                if whole:
                    continue
            committed = committed or head[4:8] != b"\0\0\0\0"
    return committed


def _read(db: sqlite3.Connection, journal: Path, parse: Callable[[Any], object], query: str) -> None:
    for (value,) in db.execute(query):
        try:
            parse(value)
        except (ValueError, TypeError, AttributeError) as error:
            raise damaged(journal, ": it holds something that cannot be read") from error


def _head(journal: Path) -> bytes:
    try:
        with journal.open("rb") as file:
            return file.read(_TEXT_BYTES)
    except FileNotFoundError:
        return b""


def _is_text(data: bytes) -> bool:
    try:
        text = data.decode("utf-8", "strict" if len(data) < _TEXT_BYTES else "ignore")
    except UnicodeDecodeError:
        return False
    return all(char.isprintable() or char in "\t\r\n" for char in text)
