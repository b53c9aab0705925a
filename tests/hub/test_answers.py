"""Answers: a real journal, a real server, and what is told and journaled of each question."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from soteirad.config.question import AD_HOC
from soteirad.errors import StorageError
from soteirad.event import iso_time, new_id
from soteirad.hub import answers as answers_module
from soteirad.hub.answers import GONE, NEWS_EVERY_S, STATUS_EVERY_S
from soteirad.hub.ask_record import AskRecord, answer_payload, answered_event
from soteirad.llm.pool import STOPPED
from tests.hub.asking import CARS, PARCEL, START, Desk, ask, config
from tests.llm_server import LlmServer, answer, delay, status

DETAILS = {"event_id": "01M80GR3W7ZFDTXZJGYFTM8T6X", "label": "person", "zones": ("step",)}


# What comes of a question.


def test_a_question_is_pending_then_answered_and_the_answer_is_told_journaled_and_an_event(
    desk: Desk, server: LlmServer
) -> None:
    server.then(answer("yes", 0.92, "a brown box"))
    desk.answers.configure(config(desk.folder, server))
    one = ask(**DETAILS)
    told = desk.ask(**vars(one))
    assert desk.states() == ["pending", "answered"]
    pending = desk.told[0][2]
    assert pending["answer"] is None and "answered" not in pending and pending["id"] == one.id
    assert {key: told[key] for key in ("id", "camera", "question", "ask", "on", "time", "answer", "confidence",
                                       "because", "model", "server", "calls", "event_id", "label", "zones")} == {
        "id": one.id, "camera": "porch", "question": "parcel", "ask": PARCEL["ask"], "on": "left", "time": one.time,
        "answer": True, "confidence": 0.92, "because": "a brown box", "model": "qwen-served", "server": server.host,
        "calls": 1, "event_id": DETAILS["event_id"], "label": "person", "zones": ("step",),
    }  # fmt: skip
    assert told["answered"] == {"id": one.id, "time": one.time} and told["sent_tokens"] > told["answered_tokens"] > 0
    (event,) = desk.events
    assert (event.id, event.event_type, event.camera, event.question, event.answer) == (
        one.id, "answered", "porch", "parcel", True)  # fmt: skip
    assert (event.about, event.label, event.zones, event.time) == (DETAILS["event_id"], "person", ("step",), one.time)
    assert event.why == {"on": "left", "because": "a brown box", "model": "qwen-served"}
    assert event.confirmed is not None and event.confirmed > "2026", "what counts as late begins with the answer"
    assert desk.journal.last_events(1) == [event]
    record = desk.record(one.id)
    assert record is not None and answer_payload(record, record) == told


def test_the_model_is_told_the_question_and_the_cameras_name(desk: Desk, server: LlmServer) -> None:
    desk.answers.configure(config(desk.folder, server))
    desk.ask(**DETAILS)
    (asked,) = server.asked()
    assert "Camera: Front porch." in asked.text and "person left (zone step)" in asked.text
    assert f"Question: {PARCEL['ask']}" in asked.text and asked.pictures[0].shape == (48, 64, 3)


def test_an_unsure_model_makes_the_answer_null_and_not_the_one_before(desk: Desk, server: LlmServer) -> None:
    server.then(answer("yes"), answer("unsure", 0.2, "it is dark"))
    desk.answers.configure(config(desk.folder, server))
    assert desk.ask(grey=10)["answer"] is True
    told = desk.ask(grey=200)
    assert (told["state"], told["answer"], told["because"]) == ("answered", None, "it is dark")
    assert told["answered"]["id"] == told["id"] and desk.events[1].answer is None
    assert "answer" not in desk.events[1].payload()


def test_a_question_that_failed_says_why_and_the_last_answer_stands(desk: Desk, server: LlmServer) -> None:
    server.then(answer("yes", 0.9, "a box"), status(401))
    desk.answers.configure(config(desk.folder, server))
    before = desk.ask(grey=10)
    told = desk.ask(grey=200)
    assert told["state"] == "failed" and "it refuses us (HTTP 401)" in told["reason"]
    assert (told["answer"], told["because"], told["answered"]["id"]) == (True, "a box", before["id"])
    assert told["id"] != before["id"] and len(desk.events) == 1
    record = desk.record(told["id"])
    assert record is not None and (record.state, record.answer, record.calls) == ("failed", None, 1)


def test_a_budget_that_is_spent_is_told_and_is_no_event(desk: Desk, server: LlmServer) -> None:
    desk.answers.configure(config(desk.folder, server, budget={"per_minute": 1}))
    desk.ask(grey=10)
    told = desk.ask(grey=200)
    assert told["state"] == "skipped_budget" and "llm.budget.per_minute is spent" in told["reason"]
    assert len(server.asked()) == len(desk.events) == 1


def test_what_gives_way_to_more_urgent_questions_says_so(desk: Desk, server: LlmServer) -> None:
    server.then(delay(30.0))
    desk.answers.configure(config(desk.folder, server, queue=1))
    desk.answers.take("porch", ask("cars", grey=1))
    server.wait_for(1)
    desk.answers.take("porch", ask(on="interval", grey=50))
    desk.answers.take("porch", ask(AD_HOC, on="command", text="Who is there?"))
    assert desk.states() == ["pending", "skipped_stale"]
    assert desk.last()["reason"] == "more urgent questions waited"
    server.released.set()
    desk.until(lambda: desk.open == 0)
    assert desk.states(AD_HOC) == ["pending", "answered"]


def test_a_question_of_a_camera_or_a_name_that_is_gone_is_not_asked(desk: Desk, server: LlmServer) -> None:
    desk.answers.configure(config(desk.folder, server))
    desk.answers.take("porch", ask("weather"))
    desk.answers.take("yard", ask())
    desk.answers.take("yard", ask(AD_HOC, on="command", text="Who?"))
    desk.answers.configure(config(desk.folder, None))
    desk.answers.take("porch", ask())
    assert desk.told == [] and desk.open == 0 and server.asked() == []


# Late and overtaking answers.


def test_an_answer_that_was_overtaken_does_not_replace_the_newer_one(desk: Desk, server: LlmServer) -> None:
    server.then(delay(30.0, answer("no")), answer("yes"))
    desk.answers.configure(config(desk.folder, server, workers=2))
    first, second = ask(grey=10), ask(grey=200)
    desk.answers.take("porch", first)
    server.wait_for(1)
    desk.answers.take("porch", second)
    desk.until(lambda: desk.open == 1)
    assert (desk.last()["id"], desk.last()["answer"]) == (second.id, True)
    server.released.set()
    desk.until(lambda: desk.open == 0)
    assert (desk.last()["id"], desk.last()["state"], desk.last()["answer"]) == (second.id, "answered", True)
    assert [event.id for event in desk.events] == [second.id, first.id], "each answer is an event"
    record = desk.record(first.id)
    assert record is not None and (record.state, record.answer) == ("answered", False)


def test_an_older_answer_is_news_while_the_newer_question_is_still_pending(desk: Desk, server: LlmServer) -> None:
    server.then(delay(0.2, answer("no")), delay(30.0, answer("yes")))
    desk.answers.configure(config(desk.folder, server, workers=2))
    first, second = ask(grey=10), ask(grey=200)
    desk.answers.take("porch", first)
    server.wait_for(1)
    desk.answers.take("porch", second)
    desk.until(lambda: desk.open == 1)
    told = desk.last()
    assert (told["id"], told["state"]) == (second.id, "pending")
    assert (told["answer"], told["answered"]["id"]) == (False, first.id)
    server.released.set()
    desk.until(lambda: desk.open == 0)
    assert (desk.last()["state"], desk.last()["answer"]) == ("answered", True)


def test_an_older_question_that_fails_late_is_no_news(desk: Desk, server: LlmServer) -> None:
    server.then(delay(30.0, status(401)), answer("yes"))
    desk.answers.configure(config(desk.folder, server, workers=2))
    desk.answers.take("porch", ask(grey=10))
    server.wait_for(1)
    second = ask(grey=200)
    desk.answers.take("porch", second)
    desk.until(lambda: desk.open == 1)
    server.released.set()
    desk.until(lambda: desk.open == 0)
    assert (desk.last()["id"], desk.last()["state"]) == (second.id, "answered")


def test_a_clock_that_was_set_back_does_not_keep_new_answers_away(desk: Desk, server: LlmServer) -> None:
    server.then(answer("yes"), answer("no"))
    desk.answers.configure(config(desk.folder, server))
    desk.ask(grey=10, moment=START + 1e6)
    desk.restart()
    desk.answers.configure(config(desk.folder, server))
    told = desk.ask(grey=200, moment=START - 1e6)
    assert (told["state"], told["answer"]) == ("answered", False)


def test_what_answered_other_words_is_no_answer_to_these(desk: Desk, server: LlmServer) -> None:
    server.then(answer("A man."), status(401), answer("It is shut."))
    desk.answers.configure(config(desk.folder, server))
    assert desk.ask(AD_HOC, on="command", text="Who is there?")["answer"] == "A man."
    told = desk.ask(AD_HOC, on="command", text="Is the gate open?")
    assert (told["state"], told["ask"], told["answer"]) == ("failed", "Is the gate open?", None)
    assert "answered" not in told
    assert desk.ask(AD_HOC, on="command", text="Is the gate open?")["answer"] == "It is shut."


# Duplicates.


def test_a_picture_like_the_last_one_is_not_asked_about_and_the_answer_stands(desk: Desk, server: LlmServer) -> None:
    server.then(answer("yes"))
    desk.answers.configure(config(desk.folder, server))
    before = desk.ask(grey=100)
    told = desk.ask(grey=102)
    assert (told["state"], told["answer"], told["answered"]["id"]) == ("skipped_duplicate", True, before["id"])
    assert 0.97 <= told["similarity"] < 1 and told["reason"] == "the picture is like the last one that was sent"
    assert len(server.asked()) == len(desk.events) == 1
    record = desk.record(told["id"])
    assert record is not None and record.state == "skipped_duplicate" and record.answer is None


def test_another_question_or_another_camera_is_no_duplicate(desk: Desk, server: LlmServer) -> None:
    cameras = {name: {"source": f"rtsp://h/{name}"} for name in ("porch", "yard")}
    desk.answers.configure(config(desk.folder, server, cameras=cameras))
    desk.ask()
    desk.ask("cars")
    desk.answers.take("yard", ask())
    desk.until(lambda: desk.open == 0)
    assert len(server.asked()) == 3


def test_a_question_that_was_put_in_other_words_is_no_duplicate(desk: Desk, server: LlmServer) -> None:
    desk.answers.configure(config(desk.folder, server))
    desk.ask()
    desk.answers.configure(config(desk.folder, server, [{**PARCEL, "ask": "Is there a letter?"}, CARS]))
    assert desk.ask()["state"] == "answered" and len(server.asked()) == 2


def test_who_asks_by_command_is_answered_whatever_the_picture(desk: Desk, server: LlmServer) -> None:
    desk.answers.configure(config(desk.folder, server))
    for _ in range(2):
        assert desk.ask(on="command")["state"] == "answered"
    assert desk.ask(on="interval")["state"] == "skipped_duplicate", "but the answer stands for others"
    assert len(server.asked()) == 2


@pytest.mark.parametrize("what", ["failed", "skipped_budget"])
def test_a_picture_that_nobody_judged_is_no_ground_for_leaving_the_next_one(
    desk: Desk, server: LlmServer, what: str
) -> None:
    if what == "failed":
        server.then(status(401))
    desk.answers.configure(config(desk.folder, server, budget={"per_minute": 1 if what == "skipped_budget" else None}))
    if what == "skipped_budget":
        desk.ask("cars")
    assert desk.ask()["state"] == what
    desk.answers.configure(config(desk.folder, server, budget={"per_minute": None}))
    assert desk.ask()["state"] == "answered"


# Another run.


def test_what_an_earlier_run_left_pending_failed_and_says_why(desk: Desk, server: LlmServer) -> None:
    server.then(answer("yes"), delay(30.0))
    desk.answers.configure(config(desk.folder, server))
    before = desk.ask(grey=10)
    under_way = ask(grey=200)
    desk.answers.take("porch", under_way)
    server.wait_for(2)
    desk.step()
    desk.restart(kill=True)
    desk.answers.configure(config(desk.folder, server))
    told = desk.last()
    assert (told["id"], told["state"], told["reason"]) == (under_way.id, "failed", STOPPED)
    assert (told["answer"], told["answered"]["id"]) == (True, before["id"])
    desk.step()
    record = desk.record(under_way.id)
    assert record is not None and record.state == "failed" and desk.book.pending() == []


def test_an_answer_whose_event_was_journaled_is_an_answer_after_a_crash(desk: Desk, server: LlmServer) -> None:
    server.then(delay(30.0, answer("yes", 0.8, "a box")))
    desk.answers.configure(config(desk.folder, server))
    one = ask()
    desk.answers.take("porch", one)
    server.wait_for(1)
    desk.step()
    server.released.set()
    while not desk.step():  # the event is in the journal, the answer's own record would follow
        pass
    record = desk.record(one.id)
    assert record is not None and record.state == "pending"
    desk.restart(kill=True)
    desk.answers.configure(config(desk.folder, server))
    told = desk.last()
    assert (told["state"], told["answer"], told["confidence"], told["because"], told["model"]) == (
        "answered", True, 0.8, "a box", "qwen-served")  # fmt: skip
    assert told["answered"]["id"] == one.id and "reason" not in told
    desk.step()
    assert (record := desk.record(one.id)) is not None and (record.state, record.answer) == ("answered", True)


def test_an_answer_is_not_on_disk_before_its_event_is(desk: Desk, server: LlmServer) -> None:
    """Or a crash in between would lose the event, and no later run would know."""
    server.then(answer("yes"))
    desk.answers.configure(config(desk.folder, server))
    one = ask()
    desk.answers.take("porch", one)
    events = None
    while not events:
        events = desk.answers.step(0.0)
        record = desk.record(one.id)
        assert record is None or record.state == "pending"
    desk.journal_events(events)
    desk.step()
    record = desk.record(one.id)
    assert record is not None and record.state == "answered"


def test_a_stop_ends_what_is_under_way_and_what_waits_and_the_disk_has_it(desk: Desk, server: LlmServer) -> None:
    server.then(delay(30.0))
    desk.answers.configure(config(desk.folder, server))
    under_way, waits = ask(grey=10), ask("cars")
    desk.answers.take("porch", under_way)
    server.wait_for(1)
    desk.answers.take("porch", waits)
    assert desk.answers.stop(5.0) == []
    assert desk.states() == desk.states("cars") == ["pending", "failed"]
    assert desk.last()["reason"] == desk.last("cars")["reason"] == STOPPED
    assert {r.state for i in (under_way.id, waits.id) if (r := desk.record(i)) is not None} == {"failed"}
    desk.answers.take("porch", ask())
    assert desk.step() == [] and desk.open == 0 and len(server.asked()) == 1, "nothing is asked afterwards"


def test_an_answer_that_came_just_before_the_stop_is_not_lost(desk: Desk, server: LlmServer) -> None:
    server.then(answer("yes"))
    desk.answers.configure(config(desk.folder, server))
    one = ask()
    desk.answers.take("porch", one)
    assert desk.answers._pool is not None
    while desk.answers._outcomes.empty():
        server.wait_for(1)
    events = desk.answers.stop(5.0)
    assert [event.id for event in events] == [one.id]
    assert (record := desk.record(one.id)) is None or record.state == "pending", "its event comes first"
    desk.journal_events(events)
    desk.restart(kill=True)
    desk.answers.configure(config(desk.folder, server))
    assert (desk.last()["state"], desk.last()["answer"]) == ("answered", True)


def test_the_last_answers_are_told_again_by_the_next_run(desk: Desk, server: LlmServer) -> None:
    server.then(answer("yes"))
    desk.answers.configure(config(desk.folder, server))
    before = desk.ask()
    desk.restart()
    desk.answers.configure(config(desk.folder, server))
    assert [(camera, name) for camera, name, _ in desk.told] == [("porch", "parcel")]
    assert {**before, "zones": ()} == {**desk.last(), "zones": ()}
    desk.answers.configure(config(desk.folder, server))
    assert len(desk.told) == 2, "the broker may be another one"


def test_what_was_spent_stays_spent_over_a_restart(desk: Desk, server: LlmServer) -> None:
    desk.answers.configure(config(desk.folder, server, budget={"per_hour": 2}))
    desk.ask(grey=10)
    desk.ask(grey=200)
    desk.restart()
    desk.answers.configure(config(desk.folder, server, budget={"per_hour": 2}))
    assert desk.ask(grey=100)["state"] == "skipped_budget" and len(server.asked()) == 2
    assert desk.answers.status()["left"]["per_hour"] == 0


# A disk that fails.


class Broken:
    """A disk that fails until it is mended."""

    def __init__(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        self._write = desk.book.write
        self.broken = True
        monkeypatch.setattr(desk.book, "write", self.write)

    def write(self, *arguments: Any) -> None:
        if self.broken:
            raise StorageError("the disk is full")
        self._write(*arguments)


def test_while_the_disk_fails_records_and_calls_are_kept_and_written_later(
    desk: Desk, server: LlmServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    desk.answers.configure(config(desk.folder, server))
    disk = Broken(desk, monkeypatch)
    told = [desk.ask(grey=grey) for grey in (10, 100, 200)]
    assert [one["state"] for one in told] == ["answered"] * 3, "questions are answered all the same"
    assert len(desk.events) == 3 and desk.record(told[0]["id"]) is None
    assert caplog.text.count("the disk is full") == 1
    disk.broken = False
    desk.step()
    assert {r.state for one in told if (r := desk.record(one["id"])) is not None} == {"answered"}
    assert len(desk.book.calls()) == 3


def test_what_waits_for_a_failing_disk_has_an_end(
    desk: Desk, server: LlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers_module, "MOST_UNSAVED", 2)
    desk.answers.configure(config(desk.folder, server))
    disk = Broken(desk, monkeypatch)
    told = [desk.ask(grey=grey) for grey in (10, 100, 200)]
    disk.broken = False
    desk.step()
    assert [desk.record(one["id"]) is not None for one in told] == [False, True, True]


def test_pictures_that_cannot_be_kept_are_told_once_however_well_the_journal_does(
    desk: Desk, server: LlmServer, caplog: pytest.LogCaptureFixture
) -> None:
    (desk.folder / "state").mkdir()
    (desk.folder / "state" / "answers").write_text("in the way")
    desk.answers.configure(config(desk.folder, server))
    for grey in (10, 100, 200):
        assert desk.ask(grey=grey)["state"] == "answered"
    assert caplog.text.count("answers/porch/parcel: pictures cannot be kept: Not a directory") == 1


# Another configuration.


def test_what_waits_is_asked_at_the_new_servers_and_what_is_under_way_is_finished(
    desk: Desk, server: LlmServer
) -> None:
    server.then(delay(30.0, answer("yes")))
    desk.answers.configure(config(desk.folder, server))
    under_way, waits = ask(), ask("cars")
    desk.answers.take("porch", under_way)
    server.wait_for(1)
    desk.answers.take("porch", waits)
    with LlmServer(answer(3)) as other:
        desk.answers.configure(config(desk.folder, other))
        desk.until(lambda: desk.open == 1)
        assert (desk.last("cars")["answer"], desk.last("cars")["server"]) == (3, other.host)
        server.released.set()
        desk.until(lambda: desk.open == 0)
        assert (desk.last()["id"], desk.last()["answer"], desk.last()["server"]) == (under_way.id, True, server.host)
        assert len(server.asked()) == 1 and {event.id for event in desk.events} == {under_way.id, waits.id}


def test_without_llm_nothing_is_asked_any_more_and_with_it_again_there_is_the_same_budget(
    desk: Desk, server: LlmServer
) -> None:
    server.then(delay(30.0))
    desk.answers.configure(config(desk.folder, server, budget={"per_day": 2}))
    under_way, waits = ask(), ask("cars")
    desk.answers.take("porch", under_way)
    server.wait_for(1)
    desk.answers.take("porch", waits)
    desk.answers.configure(config(desk.folder, None))
    desk.step()
    assert (gone := desk.record(waits.id)) is not None and (gone.state, gone.reason) == ("skipped_stale", GONE)
    count = len(desk.statuses)
    server.released.set()
    desk.until(lambda: desk.open == 0)
    assert desk.events == [] and len(desk.statuses) == count, "nobody wants to know any more"
    assert (record := desk.record(under_way.id)) is not None and record.state == "answered"
    desk.answers.configure(config(desk.folder, server, budget={"per_day": 2}))
    assert desk.answers.status()["left"]["per_day"] == 1


def test_a_question_that_is_taken_out_is_not_asked_any_more_and_the_others_are(desk: Desk, server: LlmServer) -> None:
    server.then(delay(30.0))
    desk.answers.configure(config(desk.folder, server))
    under_way, gone, stays = ask(), ask(grey=200), ask("cars")
    desk.answers.take("porch", under_way)
    server.wait_for(1)
    desk.answers.take("porch", gone)
    desk.answers.take("porch", stays)
    desk.answers.configure(config(desk.folder, server, [{**PARCEL, "enabled": False}, CARS]))
    server.released.set()
    desk.until(lambda: desk.open == 0)
    assert ["parcel?" in asked.text for asked in server.asked()] == [True, False]
    assert [event.id for event in desk.events] == [stays.id]
    record = desk.record(gone.id)
    assert record is not None and (record.state, record.calls) == ("skipped_stale", 0)
    assert record.reason == GONE


def test_what_waits_and_is_taken_out_is_not_asked_at_new_servers_either(desk: Desk, server: LlmServer) -> None:
    server.then(delay(30.0))
    desk.answers.configure(config(desk.folder, server))
    desk.answers.take("porch", ask())
    server.wait_for(1)
    gone = ask(grey=200)
    desk.answers.take("porch", gone)
    desk.answers.take("porch", ask("cars"))
    with LlmServer(always=answer(2)) as other:
        desk.answers.configure(config(desk.folder, other, [CARS]))
        server.released.set()
        desk.until(lambda: desk.open == 0)
        assert ["cars?" in asked.text for asked in other.asked()] == [True]
    record = desk.record(gone.id)
    assert record is not None and record.reason == GONE


def test_other_cameras_or_questions_leave_the_servers_and_what_waits_alone(desk: Desk, server: LlmServer) -> None:
    server.then(delay(30.0))
    desk.answers.configure(config(desk.folder, server))
    pool = desk.answers._pool
    desk.answers.take("porch", ask())
    server.wait_for(1)
    desk.answers.take("porch", ask("cars"))
    desk.answers.configure(config(desk.folder, server, [PARCEL, CARS, {"name": "x", "ask": "What is there?"}]))
    assert desk.answers._pool is pool
    server.released.set()
    desk.until(lambda: desk.open == 0)
    assert {*desk.states()} == {*desk.states("cars")} == {"pending", "answered"} and len(server.asked()) == 2


def test_it_is_told_once_whose_pictures_are_sent_where(
    desk: Desk, server: LlmServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    desk.answers.configure(config(desk.folder, server))
    desk.answers.configure(config(desk.folder, server))
    assert caplog.text.count(f"pictures of porch are sent to {server.host} (qwen) when there is a question") == 1
    desk.answers.configure(config(desk.folder, server, workers=2))
    assert caplog.text.count(f"sent to {server.host}") == 1
    with LlmServer() as other:
        desk.answers.configure(config(desk.folder, other))
    assert caplog.text.count(f"sent to {other.host}") == 1, "somebody else receives them now"
    desk.answers.configure(config(desk.folder, None))
    assert caplog.text.count("sent to") == 2


# Pictures that are kept.


def kept(desk: Desk, question: str = "parcel") -> list[str]:
    return sorted(path.name for path in (desk.folder / "state" / "answers" / "porch" / question).glob("*"))


def test_the_pictures_of_the_last_answers_are_kept_and_the_oldest_go(desk: Desk, server: LlmServer) -> None:
    desk.answers.configure(config(desk.folder, server, [{**PARCEL, "keep": 2}, CARS]))
    shots = ask(grey=10).shots + ask(grey=200).shots
    told = [desk.ask(shots=shots, grey=grey) for grey in (10, 100, 200)]
    assert kept(desk) == [f"{one['id']}-{number}.jpg" for one in told[1:] for number in (1, 2)]
    folder = desk.folder / "state" / "answers" / "porch" / "parcel"
    assert (folder / kept(desk)[0]).read_bytes() == shots[0].jpeg
    assert (folder / kept(desk)[1]).read_bytes() == shots[1].jpeg != shots[0].jpeg


def test_keep_0_keeps_none_and_removes_what_was_kept(desk: Desk, server: LlmServer) -> None:
    desk.answers.configure(config(desk.folder, server))
    desk.ask(grey=10)
    assert len(kept(desk)) == 1
    desk.answers.configure(config(desk.folder, server, [{**PARCEL, "keep": 0}, CARS]))
    desk.ask(grey=200)
    assert kept(desk) == []


def test_pictures_without_an_answer_are_not_kept(desk: Desk, server: LlmServer) -> None:
    server.then(status(401))
    desk.answers.configure(config(desk.folder, server))
    assert desk.ask()["state"] == "failed" and kept(desk) == []
    assert desk.ask(AD_HOC, on="command", text="../../etc?")["state"] == "answered"
    assert len(kept(desk, AD_HOC)) == 1


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "", ".", "a b", "/etc"])
def test_no_question_and_no_camera_has_a_name_that_leaves_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"name|cameras"):
        config(tmp_path, "http://127.0.0.1:1/v1", [{**PARCEL, "name": name}])
    with pytest.raises(ValueError, match="cameras"):
        config(tmp_path, "http://127.0.0.1:1/v1", cameras={name: {"source": "a.mp4"}})


# How it is.


def test_the_status_says_what_is_left_what_came_of_questions_and_how_the_servers_are(
    desk: Desk, server: LlmServer
) -> None:
    server.then(answer("yes"), status(404))
    desk.answers.configure(config(desk.folder, server))
    desk.ask(grey=10)
    desk.ask(grey=11)
    desk.ask(grey=200)
    found = desk.answers.status()
    assert found == {
        "state": "ok", "left": {"per_minute": 8, "per_hour": 98, "per_day": 298, "tokens_per_day": None},
        "answered": 1, "skipped_duplicate": 1, "skipped_budget": 0, "skipped_stale": 0, "failed": 1,
        "waiting": 0, "asking": 0, "dropped": 0,
        "providers": [{"server": server.host, "model": "qwen", "state": "closed"}],
    }  # fmt: skip


def test_a_spent_budget_and_failing_servers_are_states(desk: Desk, server: LlmServer) -> None:
    server.then(*[status(401)] * 5)
    desk.answers.configure(config(desk.folder, server, budget={"per_minute": 5, "per_hour": 6}))
    for grey in (0, 50, 100, 150):
        desk.ask(grey=grey)
    assert desk.answers.status()["state"] == "ok"
    desk.ask(grey=200)
    assert desk.answers.status()["state"] == "failing", "which is worse than a spent budget"
    desk.answers.configure(config(desk.folder, server, budget={"per_minute": 5, "per_hour": 6}, workers=2))
    assert desk.answers.status()["state"] == "ok", "the minute is over before anybody looks"
    desk.answers.configure(config(desk.folder, server, budget={"per_hour": 5}, workers=2))
    assert desk.answers.status()["state"] == "spent"


def test_one_server_that_answers_is_enough(desk: Desk, server: LlmServer) -> None:
    with LlmServer(always=status(401)) as first:
        providers = [{"base_url": one.url, "model": "m"} for one in (first, server)]
        desk.answers.configure(config(desk.folder, server, providers=providers, budget={"per_minute": None}))
        for grey in (0, 50, 100, 150, 200):
            desk.ask(grey=grey)
        found = desk.answers.status()
        assert [provider["state"] for provider in found["providers"]] == ["open", "closed"]
        assert found["state"] == "ok"


def test_the_status_is_told_now_and_then_and_sooner_while_there_are_questions(desk: Desk, server: LlmServer) -> None:
    desk.answers.configure(config(desk.folder, server))
    count = lambda: len(desk.statuses)  # noqa: E731
    desk.step(100.0)
    assert count() == 1, "at once after the configuration"
    desk.step(100.0 + STATUS_EVERY_S - 0.1)
    assert count() == 1
    desk.step(100.0 + STATUS_EVERY_S)
    assert count() == 2
    desk.answers.take("porch", ask())
    now = 100.0 + STATUS_EVERY_S + NEWS_EVERY_S
    desk.step(now - 0.1)
    assert count() == 2
    desk.step(now)
    assert count() == 3


# Questions that cannot even be asked.


@pytest.mark.parametrize(("name", "text", "asked"), [("parcel", "", PARCEL["ask"]), (AD_HOC, "Who?", "Who?")])
def test_a_refused_question_failed_and_the_last_answer_stands(
    desk: Desk, server: LlmServer, name: str, text: str, asked: str
) -> None:
    desk.answers.configure(config(desk.folder, server))
    before = desk.ask(name, on="command", text=text)
    desk.answers.refuse("porch", name, text, "no frames come from this camera at the moment")
    told = desk.last(name)
    assert (told["state"], told["ask"], told["on"]) == ("failed", asked, "command")
    assert told["reason"] == "no frames come from this camera at the moment"
    assert told["answered"]["id"] == before["id"] and len(desk.events) == 1
    desk.step()
    assert (record := desk.record(told["id"])) is not None and record.state == "failed"
    assert desk.answers.status()["failed"] == 1


def test_a_refused_question_that_is_none_any_more_leaves_no_trace(desk: Desk, server: LlmServer) -> None:
    desk.answers.configure(config(desk.folder, server))
    desk.answers.refuse("porch", "weather", "", "why not")
    desk.answers.refuse("yard", "parcel", "", "why not")
    assert desk.told == []


# What is told and journaled, as such.


def test_an_event_tells_only_what_there_is() -> None:
    record = AskRecord(new_id(START), "porch", "parcel", "Is there?", "interval", iso_time(START), "answered",
                       answer=None, because="dark", model="m")  # fmt: skip
    payload = answered_event(record, START + 5).payload()
    assert payload == {
        "id": record.id, "event_type": "answered", "camera": "porch", "time": iso_time(START), "question": "parcel",
        "confirmed": iso_time(START + 5), "zones": (), "why": {"on": "interval", "because": "dark", "model": "m"},
    }  # fmt: skip


def test_answers_of_earlier_days_are_forgotten_but_for_the_last(desk: Desk, server: LlmServer) -> None:
    desk.answers.configure(config(desk.folder, server))
    told = [desk.ask(grey=grey) for grey in (10, 100, 200)]
    with sqlite3.connect(desk.folder / "journal.sqlite3") as db:
        db.execute("UPDATE answers SET recorded_at = recorded_at - 8 * 86400")
    desk.answers.prune(7)
    assert [desk.record(one["id"]) is not None for one in told] == [False, False, True]
