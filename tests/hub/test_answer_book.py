"""The answer book in a journal on disk."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from soteirad.errors import StorageError
from soteirad.event import Event, iso_time, new_id
from soteirad.hub.answer_book import AnswerBook
from soteirad.hub.ask_record import AskRecord
from soteirad.hub.journal import DAY_S, Journal

NOW = 1_795_000_000.0


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.sqlite3")
    journal.open()
    yield journal
    journal.close()


@pytest.fixture
def book(journal: Journal) -> AnswerBook:
    return AnswerBook(journal)


def record(second: int = 0, **fields: object) -> AskRecord:
    at = NOW + second
    whole = AskRecord(new_id(at), "porch", "parcel", "Is there a parcel?", "left", iso_time(at))
    return replace(whole, **fields)  # type: ignore[arg-type]


FULL = record(
    state="answered", event_id="e", label="person", zones=("step", "lawn"), answer=True, confidence=0.5, because="ü 😀",
    reason="r", similarity=0.98, model="m", server="s:1", latency_ms=1.5, sent_tokens=3, answered_tokens=4, calls=2,
)  # fmt: skip


@pytest.mark.parametrize(
    "one", [record(), FULL, *(record(answer=a) for a in (False, 0, 2.5, "text", ""))], ids=lambda one: repr(one.answer)
)
def test_a_record_comes_back_from_the_disk_as_it_was(book: AnswerBook, one: AskRecord) -> None:
    book.write([replace(one, state="answered")], [], NOW)
    (newest, answered) = book.latest("porch", "parcel")
    assert newest == answered == replace(one, state="answered")


def test_a_payload_has_the_answer_always_and_other_fields_only_when_they_apply() -> None:
    one = record(3)
    assert one.payload() == {
        "id": one.id, "camera": "porch", "question": "parcel", "ask": "Is there a parcel?", "on": "left",
        "time": iso_time(NOW + 3), "state": "pending", "kind": "text", "answer": None, "calls": 0,
    }  # fmt: skip
    assert FULL.payload().keys() == FULL.__dict__.keys()


def test_a_record_of_a_newer_version_is_read_without_what_this_one_does_not_know() -> None:
    data = json.loads(json.dumps({**FULL.payload(), "mood": "good"}))
    assert AskRecord.from_payload(data) == FULL


def test_a_record_that_is_written_again_takes_the_place_of_the_former(book: AnswerBook) -> None:
    one = record()
    book.write([one, record(1, question="cars")], [], NOW)
    assert {r.id for r in book.pending()} == {one.id, book.pending()[1].id}
    done = replace(one, state="failed", reason="why")
    book.write([done], [], NOW + 5)
    assert book.latest("porch", "parcel") == (done, None) and [r.question for r in book.pending()] == ["cars"]


def test_what_is_pending_comes_in_the_order_of_its_writing_whatever_the_clock_said(book: AnswerBook) -> None:
    records = [record(second) for second in (3, 1, 2)]
    book.write([*records, record(0, state="failed"), record(4, state="answered")], [], NOW)
    assert [r.time for r in book.pending()] == [iso_time(NOW + second) for second in (3, 1, 2)]


def test_the_newest_and_the_newest_answer_are_those_of_that_question_of_that_camera(book: AnswerBook) -> None:
    mine = [record(1, state="answered", answer=True), record(2, state="failed"), record(3, state="skipped_budget")]
    others = [record(4, camera="yard", state="answered"), record(5, question="cars", state="answered")]
    book.write([*mine, *others], [], NOW)
    assert book.latest("porch", "parcel") == (mine[2], mine[0])
    assert book.latest("yard", "parcel") == (others[0], others[0])
    assert book.latest("nowhere", "parcel") == book.latest("porch", "x' OR 1=1 --") == (None, None)


def test_calls_count_for_a_day_and_are_corrected_by_their_id(book: AnswerBook) -> None:
    book.write([], [("a", NOW - DAY_S - 1, 1), ("b", NOW - DAY_S + 1, 2), ("c", NOW, 3)], NOW)
    assert book.calls() == [(NOW - DAY_S + 1, 2), (NOW, 3)]
    book.write([], [("c", NOW - 1, 30)], NOW)
    assert book.calls() == [(NOW - DAY_S + 1, 2), (NOW - 1, 30)]
    book.write([], [], NOW + 2)
    assert book.calls() == [(NOW - 1, 30)]


def test_events_are_found_by_their_ids(book: AnswerBook, journal: Journal) -> None:
    event = Event(id=new_id(NOW), event_type="answered", camera="porch", time=iso_time(NOW), question="parcel",
                  answer=3, why={"because": "x"})  # fmt: skip
    journal.append([event])
    assert book.events([event.id, new_id(NOW)]) == {event.id: json.loads(json.dumps(event.payload()))}
    assert book.events([]) == {}


def test_old_records_are_pruned_but_for_the_last_answer_to_each_question(book: AnswerBook) -> None:
    old = [record(1, state="answered"), record(2, state="answered"), record(3, state="failed"),
           record(4, question="cars", state="answered"), record(5, camera="yard", state="failed")]  # fmt: skip
    new = record(6, state="failed")
    book.write(old, [], NOW - 7 * DAY_S - 1)
    book.write([new], [], NOW - 7 * DAY_S + 1)
    book.prune(7, NOW)
    assert book.latest("porch", "parcel") == (new, old[1])
    assert book.latest("porch", "cars") == (old[3], old[3])
    assert book.latest("yard", "parcel") == (None, None)
    assert len(book._read("SELECT record FROM answers")) == 3


def test_all_of_a_write_is_undone_when_a_part_of_it_fails(book: AnswerBook) -> None:
    with pytest.raises(StorageError):
        book.write([record()], [("a", NOW, None)], NOW)  # type: ignore[list-item]
    assert book.pending() == [] and book.calls() == []


def test_a_disk_that_fails_is_a_storage_error_in_each_method(book: AnswerBook, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "journal.sqlite3") as db:
        db.execute("DROP TABLE answers")
        db.execute("DROP TABLE calls")
    for action in (lambda: book.write([record()], [], NOW), book.calls, book.pending,
                   lambda: book.latest("porch", "parcel"), lambda: book.prune(1, NOW)):  # fmt: skip
        with pytest.raises(StorageError, match="journal"):
            action()
