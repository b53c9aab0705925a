"""Wishes: pictures and answers that somebody wants now, from cameras that may not be there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from soteirad.config.question import AD_HOC
from soteirad.hub.commands import Change, Picture, Question, Restart
from soteirad.hub.fleet import Fleet
from soteirad.hub.wishes import MOST_ASKED, Wishes
from soteirad.messages import Inquire, TakePicture
from tests.hub.asking import Desk, config


class Camera:
    """A camera process as the fleet knows it: it takes so many wishes."""

    def __init__(self, name: str, room: int = 8, connected: bool = True) -> None:
        self.name = name
        self.connection = object() if connected else None
        self.got: list[TakePicture | Inquire] = []
        self._room = room

    def wish(self, wish: TakePicture | Inquire) -> bool:
        if len(self.got) < self._room:
            self.got.append(wish)
            return True
        return False


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    desk.answers.configure(config(tmp_path, "http://127.0.0.1:1/v1"))
    yield desk
    desk.close()


def fulfil(desk: Desk, cameras: list[Camera], *commands: Any, online: bool = True) -> None:
    Wishes(cast(Fleet, cameras), lambda _: online, desk.answers).fulfil(commands)


def test_a_picture_and_a_question_reach_the_process_of_their_camera(desk: Desk) -> None:
    porch, yard = Camera("porch"), Camera("yard")
    fulfil(desk, [porch, yard], Picture("porch"), Question("porch", "parcel"), Question("yard", AD_HOC, "Who?"))
    assert porch.got == [TakePicture(), Inquire("parcel")] and yard.got == [Inquire(AD_HOC, "Who?")]
    assert desk.told == [], "the camera asks, with its picture"


def test_the_same_wish_many_times_is_one_and_another_text_is_another(desk: Desk) -> None:
    porch = Camera("porch")
    wishes = [Picture("porch"), Question("porch", AD_HOC, "Who?")] * 50 + [Question("porch", AD_HOC, "What?")]
    fulfil(desk, [porch], *wishes)
    assert porch.got == [TakePicture(), Inquire(AD_HOC, "Who?"), Inquire(AD_HOC, "What?")]


def test_what_is_no_wish_is_left_to_others(desk: Desk) -> None:
    porch = Camera("porch")
    fulfil(desk, [porch], None, Restart(), Change("porch", "detect", True))
    assert porch.got == [] and desk.told == []


@pytest.mark.parametrize("why", ["no frames", "no process", "no camera"])
def test_a_question_to_a_camera_that_sees_nothing_failed_and_says_so(
    desk: Desk, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    cameras = [] if why == "no camera" else [Camera("porch", connected=why != "no process")]
    fulfil(desk, cameras, Question("porch", "parcel"), Picture("porch"), online=why != "no frames")
    told, sees = desk.last(), "no frames come from" if why == "no frames" else "nobody watches"
    assert (told["state"], told["reason"]) == ("failed", f"{sees} this camera at the moment")
    assert not any(camera.got for camera in cameras)
    assert f"porch: no picture: {sees} this camera at the moment" in caplog.text


def test_wishes_beyond_what_a_camera_takes_failed_and_say_so(desk: Desk) -> None:
    porch = Camera("porch", room=1)
    fulfil(desk, [porch], Question("porch", "parcel"), Question("porch", "cars"), Question("porch", AD_HOC, "Who?"))
    assert porch.got == [Inquire("parcel")]
    assert [(name, payload["state"], payload["reason"]) for _, name, payload in desk.told] == [
        (name, "failed", "too many wishes wait for this camera") for name in ("cars", AD_HOC)
    ]  # fmt: skip
    assert desk.last(AD_HOC)["ask"] == "Who?"


def test_questions_without_end_are_not_taken_and_told_of_once_in_a_minute(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    now = [1000.0]
    porch = Camera("porch", room=10_000)
    wishes = Wishes(cast(Fleet, [porch]), lambda _: True, desk.answers, lambda: now[0])
    for minute in (1, 2):
        for n in range(3 * MOST_ASKED):
            wishes.fulfil([Question("porch", AD_HOC, f"Question {n}?"), Picture("porch")])
        asked = [wish for wish in porch.got if isinstance(wish, Inquire)]
        assert len(asked) == minute * MOST_ASKED and asked[-1].text == f"Question {MOST_ASKED - 1}?"
        assert caplog.text.count("questions were sent in a minute") == minute
        now[0] += 60.0
    assert porch.got.count(TakePicture()) == 6 * MOST_ASKED and desk.told == []
