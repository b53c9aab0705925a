"""`soteirad events`: what the journal holds, in a terminal, as JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from soteirad.archive import NoJournalError, Wanted
from soteirad.columns import LOG_FIELDS
from soteirad.errors import SoteiraError
from soteirad.event import Event, iso_time, new_id
from soteirad.hub.journal import Journal
from soteirad.tools.events import list_events, moment, split
from soteirad.tools.present import archive_lines
from tests.daemon import soteirad, write_config

T0 = 1_800_000_000.0


def make(number: int, kind: str = "entered", camera: str = "porch", **more: Any) -> Event:
    at = T0 + 3600 * number
    return Event(new_id(at), kind, camera, iso_time(at), **{"label": "person", **more})  # type: ignore[arg-type]


EVENTS = [make(0, confidence=0.9), make(1, "left", dwell=4.0, why={"reason": "gone"}), make(2, "entered", "yard")]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, 1, {"porch": {"source": "rtsp://admin:geheim@h/s"}, "yard": {"source": "rtsp://h/y"}})


@pytest.fixture
def journal(tmp_path: Path, config: Path) -> Journal:
    (tmp_path / "state").mkdir()
    journal = Journal(tmp_path / "state" / "journal.sqlite3")
    journal.open()
    journal.append(EVENTS)
    journal.mark_published({event.id: "soteira/porch/event" for event in EVENTS[:2]})
    return journal


def test_a_complete_clip_is_a_line_only_for_those_who_ask(config: Path, journal: Journal) -> None:
    about = EVENTS[0]
    clip = f"porch/2027-01-15/{about.id}.mp4"
    journal.append([make(3, "recorded", about=about.id, clip=clip, why={"seconds": 12.3, "bytes": 4567})])
    assert [row.event for row in list_events(config, Wanted()).rows] == EVENTS
    (line,) = archive_lines(list_events(config, Wanted(types=["recorded"])))
    assert line == f"{iso_time(T0 + 10800)}  porch         recorded      person   {clip}  (not published yet)"


@pytest.mark.usefixtures("journal")
def test_there_is_one_line_for_each_event_the_newest_last(config: Path) -> None:
    assert archive_lines(list_events(config, Wanted())) == [
        f"{iso_time(T0)}  porch         entered       person   0.90",
        f"{iso_time(T0 + 3600)}  porch         left          person    after 4.0 s (gone)",
        f"{iso_time(T0 + 7200)}  yard          entered       person  (not published yet)",
    ]


def test_with_one_camera_its_name_is_not_repeated_and_a_line_is_a_line(tmp_path: Path, journal: Journal) -> None:
    config = write_config(tmp_path, 1, {"porch": {"source": "clip.mp4"}})
    journal.append([make(9, "answered", question="hat", answer="a\x1b[2J\nb", media_time=3.0)])
    (line,) = archive_lines(list_events(config, Wanted(limit=1)))
    assert line == f"{iso_time(T0 + 9 * 3600)}  answered      person     hat: a [2J b  (not published yet)"


@pytest.mark.usefixtures("journal")
def test_the_command_filters_and_gives_a_table_with_the_logs_columns_and_a_document_as_published(config: Path) -> None:
    shown = soteirad("events", "-c", config, "--camera", "porch, yard", "--type", "entered", "--since",
                     iso_time(T0 + 1))  # fmt: skip
    assert (shown.returncode, shown.stderr) == (0, "") and shown.stdout.count("\n") == 1 and "yard" in shown.stdout
    found = json.loads(json.dumps(list_events(config, Wanted(limit=2)).document()))["events"]
    assert [item["event"]["id"] for item in found] == [event.id for event in EVENTS[1:]]
    assert [(item["seq"], item["published"]) for item in found] == [(2, True), (3, False)]
    table = soteirad("events", "-c", config, "--csv")
    rows = list(csv.reader(io.StringIO(table.stdout)))
    assert tuple(rows[0]) == LOG_FIELDS and [row[-1] for row in rows[1:]] == [event.id for event in EVENTS]
    assert "geheim" not in table.stdout + shown.stdout
    nothing = soteirad("events", "-c", config, "--label", "cat")
    assert (nothing.returncode, nothing.stdout, nothing.stderr) == (0, "", "no such event\n")


def test_without_a_journal_it_says_so_in_one_line(config: Path) -> None:
    result = soteirad("events", "-c", config)
    assert result.returncode == 1 and result.stdout == "" and result.stderr.count("\n") == 1
    assert "there is no journal yet: it is made when the daemon runs" in result.stderr
    with pytest.raises(NoJournalError):
        list_events(config, Wanted())


@pytest.mark.usefixtures("journal")
@pytest.mark.parametrize(("wanted", "text"), [
    (Wanted(cameras=["hall"]), "--camera hall: .* has no such camera: use one of porch, yard"),
    (Wanted(types=["arrived"]), "--type arrived: there is no such event: use one of entered, left"),
])  # fmt: skip
def test_a_name_that_means_nothing_is_told_with_those_that_do(config: Path, wanted: Wanted, text: str) -> None:
    with pytest.raises(SoteiraError, match=text):
        list_events(config, wanted)


def test_a_time_is_so_long_ago_or_a_day_or_an_iso_time() -> None:
    assert [moment("--since", text, T0) for text in ("90s", "30m", "2h", "1.5 d", "1w")] == [
        T0 - 90, T0 - 1800, T0 - 7200, T0 - 129_600, T0 - 604_800
    ]  # fmt: skip
    assert moment("--since", "2027-01-15T08:00:00Z") == T0 == moment("--since", "2027-01-15T10:00+02:00")
    day, hour = moment("--since", "2026-11-22"), moment("--since", "2026-11-22T18:30")
    assert day is not None and hour is not None and hour - day == 18.5 * 3600
    assert moment("--since", None) is None
    assert moment("--since", "999999w", T0) == 0.0
    for text in ("yesterday", "2x", "2026-13-01", "", "0001-01-01"):
        with pytest.raises(SoteiraError, match="--until: this is no time: write how long ago"):
            moment("--until", text)


def test_several_words_are_divided_by_commas() -> None:
    assert (split("a, b,,c "), split(""), split(None)) == (("a", "b", "c"), (), ())
