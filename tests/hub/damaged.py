"""Journals with all that they hold, and ways to damage them."""

from __future__ import annotations

import random
import shutil
from contextlib import closing
from pathlib import Path

from soteirad.archive import Archive, Row, Wanted
from soteirad.event import Event, iso_time, new_id
from soteirad.hub.answer_book import AnswerBook
from soteirad.hub.ask_record import AskRecord
from soteirad.hub.journal import Journal

T0 = 1_800_000_000.0
PAGE = 4096
TOPICS = {f"soteira/c{n}/state": {"entity": f"e{n}"} for n in range(30)}
SETTINGS = {("c1", "detect"): False, ("c2", "min_area"): 0.25}


def event(number: int, kind: str = "entered", camera: str = "", track: int | None = None) -> Event:
    """One event; its snapshot's path is the same for the same number."""
    at = T0 + number
    track = number // 2 + 1 if track is None else track
    return Event(id=new_id(at), event_type=kind, camera=camera or f"c{number // 2 % 3}", time=iso_time(at),  # type: ignore[arg-type]
                 label="person", track_id=track, box=(1, 2, 300, 400), frame_size=(1280, 720), zones=("gate",),
                 why={"trigger": "motion", "note": "x" * (number * 37 % 900)},
                 snapshot=f"c{number}/{number}.jpg")  # fmt: skip


def fill(path: Path, count: int = 400, published: int = 300, long_records: int = 3) -> list[Event]:
    """Write a journal with everything in it; the last events are not published, two visits are open."""
    events = [event(n, "left" if n % 2 else "entered") for n in range(count)]
    opened = [event(count, camera="c1", track=9001), event(count + 1, camera="c2", track=9002)]
    with closing(Journal(path, lambda: T0)) as journal:
        journal.open()
        for start in range(0, count, 20):
            journal.append(events[start : start + 20])
        journal.mark_published({e.id: "soteira/x/event" for e in events[:published]})
        journal.append(opened)
        journal.replace_overrides(SETTINGS)
        journal.note_retained(TOPICS)
        records = [AskRecord(new_id(T0 + n), "c1", "gate", "Is it open?", "event", iso_time(T0 + n), "answered",
                             because="y" * (9000 if n < long_records else 20)) for n in range(40)]  # fmt: skip
        AnswerBook(journal).write(records, [(r.id, T0, 100) for r in records], T0)
    return [*events, *opened]


def with_log(source: Path, target: Path, more: int = 60) -> list[Event]:
    """Copy a journal as a killed daemon leaves it: the last events are in its log only."""
    shutil.copy(source, target)
    journal = Journal(target, lambda: T0)
    journal.open()
    events = [event(5000 + n, "entered", "late", 7000 + n) for n in range(more)]
    for one in events:
        journal.append([one])
    keep = {end: target.with_name(target.name + end).read_bytes() for end in ("", "-wal")}
    journal.close()
    for end, data in keep.items():
        target.with_name(target.name + end).write_bytes(data)
    target.with_name(f"{target.name}-shm").unlink(missing_ok=True)
    return events


def overwrite(path: Path, offset: int, data: bytes) -> None:
    """Write over a part of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def noise(length: int, seed: int = 1) -> bytes:
    """Bytes that mean nothing."""
    return random.Random(seed).randbytes(length)


def rows(path: Path) -> dict[str, Row]:
    """Return what is in a journal, by id."""
    with Archive(path) as archive:
        return {row.event.id: row for row in archive.find(Wanted(limit=100_000))}


def pages_of_events(path: Path) -> dict[str, set[int]]:
    """Return on which pages of an undamaged file the bytes of each event's own row are (its id, as text)."""
    data = path.read_bytes()
    found: dict[str, set[int]] = {}
    for one in rows(path):
        places, at = set(), data.find(one.encode())
        while at >= 0:
            places.add(at // PAGE)
            at = data.find(one.encode(), at + 1)
        found[one] = places
    return found
