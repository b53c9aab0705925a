"""The mailbox: the newest frame only, messages first, and a count of what was dropped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soteirad.capture.frame import Frame
from soteirad.event import Event
from soteirad.gates.objects import LabelFilter
from soteirad.mailbox import DetailPicture, Mailbox, SourceOffline, SourceOnline
from soteirad.pipeline import Pipeline, PipelineSettings
from tests.capture.made import frame_of

PICTURE = np.zeros((48, 64, 3), np.uint8)


def frame(index: int) -> Frame:
    return frame_of(PICTURE, index=index)


def test_only_the_newest_frame_is_kept_and_the_older_ones_are_counted() -> None:
    mailbox = Mailbox()
    frames = [frame(i) for i in range(4)]
    for one in frames:
        mailbox.put_frame(one)
    assert mailbox.take(0) is frames[3]
    assert mailbox.take(0) is None
    assert mailbox.dropped == 3


def test_of_frames_that_are_not_due_only_the_times_are_kept_for_the_next_take() -> None:
    choosy = Mailbox(lambda time: time >= 2.0)
    for number in range(2):
        choosy.put_frame(replace(frame(number), time=float(number)))
    assert choosy.take(0.0) is None and choosy.passed == [0.0, 1.0]
    choosy.put_frame(replace(frame(2), time=2.0))
    assert choosy.take(0.0) is not None and choosy.passed == [] and choosy.dropped == 0


def test_a_damaged_frame_comes_through_whatever_its_time() -> None:
    choosy = Mailbox(lambda _: False)
    choosy.put_frame(replace(frame(0), corrupt=True))
    assert isinstance(choosy.take(0.0), Frame) and choosy.passed == []


def playing(due: Callable[[float], bool] | None, rate: float, stalled: tuple[float, float]) -> tuple[list[float], int]:
    """Return the times at which 20 s of a live camera with `rate` frames a second are analysed, and how many it counts.

    The gate thread takes nothing while it is `stalled`; without `due` it is woken by every frame.
    """
    pipeline = Pipeline(PipelineSettings({0: LabelFilter()}, fps=10, detect=False))
    mailbox, analysed = Mailbox(pipeline.due if due is None else due), []
    for number in range(int(20 * rate)):
        time = number / rate
        mailbox.put_frame(replace(frame(number), time=time))
        if stalled[0] <= time < stalled[1]:
            continue
        mail = mailbox.take(0.0)
        for passed in mailbox.passed:
            pipeline.pass_over(passed)
        if isinstance(mail, Frame) and pipeline.wants(mail):
            analysed.append(mail.time)
    return analysed, pipeline.counters.frames + mailbox.dropped


@pytest.mark.parametrize("rate", [12, 15, 24, 25, 30])
@pytest.mark.parametrize("stalled", [(21.0, 21.0), (10.1, 10.5), (10.1, 10.15), (3.0, 9.0)])
def test_the_same_frames_are_analysed_as_if_each_had_woken_the_gate_thread(
    rate: float, stalled: tuple[float, float]
) -> None:
    spared, woken = playing(None, rate, stalled), playing(lambda _: True, rate, stalled)
    assert spared == woken
    assert spared[1] == 20 * rate


def test_messages_come_before_frames_and_in_their_order() -> None:
    mailbox, newest = Mailbox(), frame(1)
    mailbox.put(SourceOnline())
    mailbox.put_frame(newest)
    mailbox.put(SourceOnline())
    assert [mailbox.take(0) for _ in range(3)] == [SourceOnline(), SourceOnline(), newest]


def test_a_lost_source_takes_the_frame_that_waits_with_it() -> None:
    mailbox = Mailbox()
    mailbox.put_frame(frame(0))
    mailbox.put(SourceOffline("gone"))
    assert mailbox.take(0) == SourceOffline("gone")
    assert mailbox.take(0) is None


def test_a_frame_that_comes_after_the_loss_is_kept() -> None:
    mailbox, later = Mailbox(), frame(1)
    mailbox.put(SourceOffline("gone"))
    mailbox.put_frame(later)
    assert mailbox.take(0) == SourceOffline("gone")
    assert mailbox.take(0) is later


@pytest.mark.parametrize(
    "act",
    [lambda m: m.put(SourceOnline()), lambda m: m.put_frame(frame(0))],
    ids=["message", "frame"],
)
def test_whoever_waits_is_woken(act: Callable[[Mailbox], None]) -> None:
    mailbox, done = Mailbox(), threading.Event()

    def wait() -> None:
        mailbox.take(3600)
        done.set()

    threading.Thread(target=wait, daemon=True).start()
    for _ in range(500):
        if done.wait(0.02):
            break
        act(mailbox)
    assert done.is_set()


@given(st.lists(st.sampled_from(["frame", "message", "take"]), max_size=60))
def test_every_frame_is_either_taken_dropped_or_waiting(acts: list[str]) -> None:
    mailbox, taken = Mailbox(), 0
    for index, act in enumerate(acts):
        if act == "frame":
            mailbox.put_frame(frame(index))
        elif act == "message":
            mailbox.put(SourceOnline())
        else:
            taken += isinstance(mailbox.take(0), Frame)
    while (mail := mailbox.take(0)) is not None:
        taken += isinstance(mail, Frame)
    assert taken + mailbox.dropped == acts.count("frame")


def test_a_detail_picture_comes_in_its_turn_and_outlives_its_source() -> None:
    mailbox = Mailbox()
    detail = DetailPicture(Event("1", "entered", "porch", "2027-01-15T08:00:00.000Z"), b"jpeg", frame(7))
    mailbox.put(SourceOnline())
    mailbox.put(detail)
    mailbox.put_frame(frame(0))
    mailbox.put(SourceOffline("gone"))
    assert [mailbox.take(0) for _ in range(4)] == [SourceOnline(), detail, SourceOffline("gone"), None]
    assert mailbox.dropped == 1, "the frame that went with its source is counted"
