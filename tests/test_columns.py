"""Events as rows of a table that a spreadsheet opens."""

from __future__ import annotations

import pytest

from soteirad.columns import LOG_FIELDS, cells, log_row
from soteirad.event import Event, iso_time

T0 = 1_800_000_000.0


def answered(answer: object, because: str = "") -> Event:
    return Event("01M80GR3W7ZFDTXZJGYFTM8T6X", "answered", "porch", iso_time(T0), question="parcel",
                 answer=answer, why={"because": because, "trigger": None})  # type: ignore[arg-type]  # fmt: skip


def test_each_column_of_the_log_holds_what_its_name_says() -> None:
    event = Event("01M80GR3W7ZFDTXZJGYFTM8T6X", "left", "porch", iso_time(T0), label="person", track_id=4,
                  confidence=0.8, box=(1, 2, 3, 4), zones=("step", "path"), dwell=2.5, why={"reason": "gone"},
                  snapshot="porch/2027-01-15/01M80GR3W7ZFDTXZJGYFTM8T6X.jpg")  # fmt: skip
    row = dict(zip(LOG_FIELDS, log_row(7, T0 + 1, event), strict=True))
    assert (row["seq"], row["recorded"], row["time"]) == (7, iso_time(T0 + 1), iso_time(T0))
    assert (row["zones"], row["dwell"], row["reason"], row["trigger"], row["answer"]) == ("step path", 2.5, "gone",
                                                                                        None, None)  # fmt: skip
    assert [row[name] for name in ("x1", "y1", "x2", "y2")] == [1, 2, 3, 4] and row["snapshot"] == event.snapshot
    assert LOG_FIELDS[0] == "seq" and LOG_FIELDS[-1] == "id", "the log finds its end by them"


def test_a_clip_that_is_complete_has_a_row_like_others_with_its_path() -> None:
    event = Event("01M80GR3W7ZFDTXZJGYFTM8T6Y", "recorded", "porch", iso_time(T0), label="person", track_id=4,
                  clip="porch/2027-01-15/01M80GR3W7ZFDTXZJGYFTM8T6X.mp4", about="01M80GR3W7ZFDTXZJGYFTM8T6X",
                  why={"seconds": 12.3, "bytes": 5})  # fmt: skip
    assert cells(event, ["event_type", "clip", "about"]) == ["recorded", event.clip, event.about]


@pytest.mark.parametrize(
    ("answer", "cell"), [(True, "yes"), (False, "no"), (None, "unsure"), (-3.5, -3.5), ("two", "two")]
)
def test_an_answer_is_written_as_people_say_it_and_numbers_as_numbers(answer: object, cell: object) -> None:
    assert cells(answered(answer), ["answer"]) == [cell]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r\n@x", "\uff1d1"])
def test_text_from_outside_is_never_a_formula(text: str) -> None:
    answer, because = cells(answered(text, text), ["answer", "because"])
    assert answer == because and answer.startswith("'")


def test_a_row_is_one_line() -> None:
    assert cells(answered("a\r\nb\x00c\u2028d"), ["answer"]) == ["a  b c d"]
