"""Rows out of SQLite's files, held against what SQLite itself reads."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soteirad.hub.carve import carve
from tests.hub.damaged import fill, noise, overwrite, with_log

VALUES = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(max_size=9000),
                   st.binary(max_size=300))  # fmt: skip


def events_of(path: Path) -> set[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return set(db.execute("SELECT * FROM events").fetchall())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=30), page=st.sampled_from([512, 4096, 65536]))
def test_all_kinds_of_values_are_read_as_sqlite_reads_them(tmp_path: Path, rows: list[tuple[object, ...]],
                                                           page: int) -> None:  # fmt: skip
    path = tmp_path / "any.db"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"PRAGMA page_size = {page}")
        db.execute("CREATE TABLE t (a, b, c)")
        db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(a if not isinstance(a, str) else a.replace("\0", ""), b, c)
                                                          for a, b, c in rows])  # fmt: skip
    found = [cell.values for cell in carve(path) if len(cell.values) == 3]
    with closing(sqlite3.connect(path)) as db:
        expected = db.execute("SELECT * FROM t").fetchall()
    # A number that is whole is stored as one.
    assert sorted(map(repr, found)) == sorted(map(repr, expected)) or sorted(map(str, map(_plain, found))) == sorted(
        map(str, map(_plain, expected)))  # fmt: skip


def _plain(row: tuple[object, ...]) -> list[object]:
    return [float(v) if isinstance(v, (int, float)) else v for v in row]


def test_of_a_good_journal_every_row_is_found_once_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    fill(path)
    cells = [cell for cell in carve(path) if len(cell.values) == 8 and isinstance(cell.values[2], str)]
    assert {(cell.rowid, *cell.values[1:]) for cell in cells} == events_of(path)
    assert len(cells) == len(events_of(path)) and all(cell.sure for cell in cells)


def test_what_is_only_in_the_log_is_found(tmp_path: Path) -> None:
    fill(tmp_path / "before")
    events = with_log(tmp_path / "before", tmp_path / "journal.sqlite3")
    found = {cell.values[1] for cell in carve(tmp_path / "journal.sqlite3") if len(cell.values) == 8 and cell.sure}
    assert {event.id for event in events} <= found


@pytest.mark.parametrize("data", [b"", b"SQLite format 3\0", noise(40_000), bytes(40_000), b"x" * 4096])
def test_what_is_no_database_has_no_rows_and_is_no_error(tmp_path: Path, data: bytes) -> None:
    for name in ("alone", "alone-wal", "other-wal"):
        (tmp_path / name).write_bytes(data)
    assert [cell for name in ("alone", "other") for cell in carve(tmp_path / name) if len(cell.values) == 8] == []


def test_a_chain_of_pages_that_leads_in_a_circle_ends(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    fill(path)
    for page in range(2, path.stat().st_size // 4096):
        overwrite(path, page * 4096 - 4096, (page).to_bytes(4, "big"))
    assert all(len(cell.values) < 9 for cell in carve(path))
