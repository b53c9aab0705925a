"""What a new configuration changes while something is asked, and what is told after it: a real journal and server."""

from __future__ import annotations

from typing import Any

import pytest

from soteirad.config import Config
from tests.hub.asking import CARS, PARCEL, START, Desk, ask, config
from tests.llm_server import LlmServer, answer, delay, status


def masked(desk: Desk, server: LlmServer, mask: list[list[float]], **camera: Any) -> Config:
    return config(desk.folder, server, cameras={"porch": {"source": "rtsp://h/porch", "privacy_mask": mask, **camera}})


ALL_BLACK = [[0, 0, 1, 0, 1, 1, 0, 1]]


@pytest.mark.parametrize("change", [{"mask": ALL_BLACK}, {"mask": [], "enabled": False},
                                    {"mask": [], "source": "rtsp://h/yard"}])  # fmt: skip
def test_pictures_from_before_a_mask_a_source_or_a_switch_was_changed_are_not_sent(
    desk: Desk, server: LlmServer, change: dict[str, Any]
) -> None:
    server.then(delay(0.5))
    desk.answers.configure(masked(desk, server, []))
    asks = [ask(grey=grey) for grey in (0, 80, 160)]
    for one in asks:
        desk.answers.take("porch", one)
    server.wait_for(1)
    desk.answers.configure(masked(desk, server, **change))
    desk.until(lambda: desk.open == 0)
    assert len(server.asked()) == 1, "what waited shows what is not to be seen any more"
    assert [desk.record(one.id).state for one in asks] == ["answered", "skipped_stale", "skipped_stale"]  # type: ignore[union-attr]
    assert desk.events == [], "an answer about it is no news either"


def test_what_was_withdrawn_once_is_of_no_interest_to_further_reloads(desk: Desk, server: LlmServer) -> None:
    server.then(delay(0.5))
    desk.answers.configure(config(desk.folder, server))
    desk.answers.take("porch", ask("cars"))
    server.wait_for(1)
    gone = ask(grey=7)
    desk.answers.take("porch", gone)
    desk.answers.configure(config(desk.folder, server, [CARS]))
    desk.answers.configure(config(desk.folder, server, [CARS], workers=2))
    desk.until(lambda: desk.open == 0)
    assert len(server.asked()) == 1
    assert (record := desk.record(gone.id)) is not None and record.state == "skipped_stale"


def test_an_answer_of_another_kind_is_never_told_under_a_question_that_was_changed(
    desk: Desk, server: LlmServer
) -> None:
    desk.answers.configure(config(desk.folder, server))
    assert isinstance(desk.ask("parcel")["answer"], bool)
    number = {**PARCEL, "answer": "number"}
    server.then(delay(0.3))
    late = ask("parcel", grey=1)
    desk.answers.take("porch", late)
    server.wait_for(2)
    desk.answers.configure(config(desk.folder, server, [number]))
    told = desk.told[-1][2]
    assert (told["kind"], told["answer"], told["state"]) == ("number", None, "failed")
    desk.until(lambda: desk.open == 0)
    assert desk.told[-1][2] == told, "the answer to the former question says nothing"
    assert [event.id for event in desk.events if event.id == late.id] == []
    again = desk.ask("parcel", grey=1)
    assert again["state"] == "answered" and isinstance(again["answer"], (int, float)), "it is no duplicate"
    desk.restart()
    desk.answers.configure(config(desk.folder, server))
    assert desk.told[-1][2]["answer"] is None and desk.told[-1][2]["kind"] == "yes_no"


def test_what_was_left_out_for_a_picture_that_then_got_no_answer_says_so(desk: Desk, server: LlmServer) -> None:
    server.then(delay(0.3, status(401)))
    desk.answers.configure(config(desk.folder, server))
    first, second = ask(grey=5), ask(grey=5)
    for one in (first, second):
        desk.answers.take("porch", one)
    assert desk.told[-1][2]["state"] == "skipped_duplicate"
    desk.until(lambda: desk.open == 0)
    record = desk.record(second.id)
    assert record is not None and record.state == "failed" and "as the one before" in str(record.reason)
    assert desk.told[-1][2]["id"] == second.id and desk.told[-1][2]["state"] == "failed"


def test_after_a_run_with_the_clock_ahead_the_last_answer_is_the_last_that_was_given(
    desk: Desk, server: LlmServer
) -> None:
    server.then(answer("yes"), answer("no"))
    desk.answers.configure(config(desk.folder, server))
    desk.ask(moment=START + 1e8)
    desk.ask(grey=9, moment=START)
    desk.restart()
    desk.answers.configure(config(desk.folder, server))
    assert [told["answer"] for _, question, told in desk.told if question == "parcel"] == [False]
