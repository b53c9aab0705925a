"""Events: what is written can be read, ids that sort and repeat, and times."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ulid import ULID

from soteirad.event import EVENT_TYPES, Event, clip_id, epoch_time, iso_time, namer_of_clip, new_id, replay_id

texts = st.text(max_size=20)
numbers = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | numbers | texts
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)
pixels = st.integers(0, 4000)
events = st.builds(
    Event, id=texts, event_type=st.sampled_from(EVENT_TYPES), camera=texts, time=texts,
    confirmed=st.none() | texts, label=st.none() | texts, track_id=st.none() | st.integers(0, 10**6),
    confidence=st.none() | numbers, box=st.none() | st.tuples(pixels, pixels, pixels, pixels),
    frame_size=st.none() | st.tuples(pixels, pixels), zones=st.lists(texts, max_size=3).map(tuple),
    dwell=st.none() | numbers, media_time=st.none() | numbers, why=st.dictionaries(texts, json_values, max_size=3),
    latency_ms=st.dictionaries(texts, numbers, max_size=3), snapshot=st.none() | texts, clip=st.none() | texts,
)  # fmt: skip
milliseconds = st.integers(0, 4_000_000_000_000)


@given(events)
def test_an_event_survives_the_way_through_json(event: Event) -> None:
    assert Event.from_payload(json.loads(json.dumps(event.payload()))) == event


def test_fields_that_do_not_apply_are_left_out_and_zones_are_always_told() -> None:
    event = Event("1", "source_lost", "porch", "2026-11-21T23:18:56.123Z")
    assert event.payload() == {
        "id": "1", "event_type": "source_lost", "camera": "porch", "time": "2026-11-21T23:18:56.123Z", "zones": (),
    }  # fmt: skip


def test_zero_is_a_value_and_not_left_out() -> None:
    payload = Event("1", "left", "porch", "t", track_id=0, confidence=0.0, dwell=0.0, media_time=0.0).payload()
    assert [payload[k] for k in ("track_id", "confidence", "dwell", "media_time")] == [0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "payload",
    [{"id": "1"}, {"id": "1", "event_type": "left", "camera": "c", "time": "t", "colour": "red"}, [], "text", None, 5],
    ids=["a field is missing", "a field too many", "a list", "a text", "nothing", "a number"],
)
def test_what_is_no_event_is_a_type_error(payload: Any) -> None:
    with pytest.raises(TypeError):
        Event.from_payload(payload)


# Times


@given(milliseconds)
def test_a_time_in_milliseconds_survives_the_way_through_text(ms: int) -> None:
    text = iso_time(ms / 1000)
    assert round(epoch_time(text) * 1000) == ms
    assert iso_time(epoch_time(text)) == text


@given(st.floats(0, 4e9))
def test_a_time_is_told_to_the_millisecond(epoch: float) -> None:
    assert abs(epoch_time(iso_time(epoch)) - epoch) <= 0.001


@given(milliseconds, milliseconds)
def test_times_as_texts_sort_as_times(a: int, b: int) -> None:
    assert (iso_time(a / 1000) < iso_time(b / 1000)) == (a < b)


def test_times_are_utc_with_milliseconds() -> None:
    moment = datetime(2026, 11, 21, 23, 18, 56, 123_000, tzinfo=timezone.utc)
    assert iso_time(moment.timestamp()) == "2026-11-21T23:18:56.123Z"
    assert iso_time(0.0) == "1970-01-01T00:00:00.000Z"


# Ids


@given(milliseconds, st.integers(2, 10**9))
def test_new_ids_sort_by_time(ms: int, later: int) -> None:
    """Two milliseconds apart: a float's last bit may cost one."""
    assert new_id(ms / 1000) < new_id((ms + later) / 1000)


def test_a_new_id_holds_its_time_and_is_another_each_time() -> None:
    assert ULID.from_str(new_id(1_800_000_000.25)).timestamp == pytest.approx(1_800_000_000.25, abs=0.002)
    assert len({new_id(1_800_000_000.25) for _ in range(100)}) == 100


def test_whole_seconds_are_seconds_too() -> None:
    assert ULID.from_str(new_id(1_800_000_000)).timestamp == pytest.approx(1_800_000_000)


@given(texts, st.floats(0, 1e7), texts)
def test_a_replays_id_is_a_ulid_that_is_the_same_every_time(clip: str, media_time: float, what: str) -> None:
    found = replay_id(clip, media_time, what)
    assert found == replay_id(clip, media_time, what)
    assert str(ULID.from_str(found)) == found
    assert ULID.from_str(found).timestamp == pytest.approx(media_time, abs=0.001)


def test_a_replays_id_differs_with_the_clip_the_moment_and_the_event() -> None:
    ids = {replay_id("a", 1.0, "x"), replay_id("b", 1.0, "x"), replay_id("a", 1.001, "x"), replay_id("a", 1.0, "y")}
    assert len(ids) == 4


def test_a_replays_ids_never_change_between_releases() -> None:
    assert replay_id("0" * 64, 12.345, "entered:1") == "0000000C1SBN38P8HKA642ZMG5"


@given(st.integers(0, 10**9), st.integers(1, 10**9))
def test_a_replays_ids_sort_by_media_time(ms: int, later: int) -> None:
    assert replay_id("clip", ms / 1000, "a") < replay_id("clip", (ms + later) / 1000, "b")


def test_who_named_a_clip_is_known_from_its_path_and_from_nothing_else() -> None:
    event_id = new_id(1_800_000_000.0)
    assert namer_of_clip(f"porch/2027-01-15/{event_id}.mp4") == event_id
    for odd in (None, 3, "", f"{event_id}.mp4", f"porch/2027-01-15/{event_id}-2.mp4", f"../2027-01-15/{event_id}.mp4",
                f"porch/2027-01-15/{event_id.lower()}.mp4", f"porch/2027-01-15/{event_id}.mp4\n"):  # fmt: skip
        assert namer_of_clip(odd) is None


@given(st.integers(0, 4_000_000_000), st.integers(0, 4_000_000_000))
def test_each_event_has_one_id_for_its_clip_with_its_own_time_and_no_other_has_it(one: int, other: int) -> None:
    first, second = new_id(one), new_id(other)
    assert clip_id(first) == clip_id(first) not in (first, clip_id(second))
    assert ULID.from_str(clip_id(first)).timestamp == ULID.from_str(first).timestamp
