"""The writer of one clip: what of a feed is in its files, whatever the feed does."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from soteirad.errors import SourceError
from soteirad.video import clip_writer
from soteirad.video.clip_file import finish, whole_of
from soteirad.video.clip_writer import LATE_S, MOST_PARTS, ClipWriter
from soteirad.video.piece import Piece
from tests.played import pictures
from tests.video.fed import SOUND, Fed, encoded, shows


def times_in(writer: ClipWriter) -> list[list[float]]:
    """Return the times of the pictures in each file, seconds from its beginning, once all is closed and finished."""
    found = []
    for part in writer.parts:
        finish(part)
        found.append([at for at, _ in pictures(whole_of(part))])
    return found


def test_a_clip_reaches_from_the_key_picture_before_its_beginning_to_its_end(tmp_path: Path) -> None:
    fed = Fed()
    fed.come(9.0)
    writer = ClipWriter(fed.order(8.3, 12.0), tmp_path, fed.feed, sound=True)
    while not writer.done:
        writer.step(fed.now)
        fed.come(fed.now + 1.0)
    (part,) = writer.parts
    facts = finish(part)
    assert facts.note["begins"] == "2023-11-14T22:13:23.000Z", "8.3 s - 5 s, and the key picture before that: 3 s"
    shown = pictures(whole_of(part))
    assert all(shows(picture, 3.0 + at) for at, picture in shown)
    assert shown[-1][0] == pytest.approx(9.0, abs=0.11)


@pytest.mark.parametrize(("held_up", "begins"), [(0.0, "23.000"), (0.6, "23.000"), (9.0, "32.000")])
def test_a_first_picture_that_was_held_up_on_its_way_does_not_move_the_beginning(
    tmp_path: Path, held_up: float, begins: str
) -> None:
    """Not by a little: what is further apart is of a clock that jumped."""
    fed = Fed()
    for piece in encoded(100)[30:]:
        fed.feed.put(piece._replace(time=piece.time + held_up * (piece.time == 3.0)))
    writer = ClipWriter(fed.order(8.0, 20.0, begins=0.0), tmp_path, fed.feed, sound=True)
    writer.step(30.0)
    assert finish(writer.parts[0]).note["begins"] == f"2023-11-14T22:13:{begins}Z"


def test_a_clip_that_is_longer_than_the_ring_has_all_of_its_pictures(tmp_path: Path) -> None:
    fed = Fed(seconds=3.0)
    fed.come(3.0)
    writer = ClipWriter(fed.order(3.0, 20.0, begins=0.0), tmp_path, fed.feed, sound=True)
    while not writer.done:
        writer.step(fed.now)
        fed.come(fed.now + 1.0)
    assert len(times_in(writer)[0]) == 201


def test_a_writer_that_was_held_up_longer_than_the_ring_goes_on_with_a_key_picture_after_a_gap(tmp_path: Path) -> None:
    fed = Fed(seconds=2.0)
    fed.come(2.0)
    writer = ClipWriter(fed.order(2.0, 12.0, begins=0.0), tmp_path, fed.feed, sound=True)
    writer.step(fed.now)
    fed.come(8.5)
    writer.step(fed.now)
    writer.close()
    (times,) = times_in(writer)
    gaps = [later - sooner for sooner, later in pairwise(times) if later - sooner > 0.15]
    assert len(gaps) == 1 and gaps[0] >= 3.0 and times[-1] == pytest.approx(8.4, abs=0.02)


def test_a_clip_of_which_nothing_comes_is_done_when_its_time_is_over(tmp_path: Path) -> None:
    fed = Fed()
    writer = ClipWriter(fed.order(8.0, 12.0), tmp_path, fed.feed, sound=True)
    writer.step(12.0 + LATE_S)
    assert not writer.done
    writer.step(12.1 + LATE_S)
    assert writer.done and not writer.parts and not list(tmp_path.rglob("*"))


def test_another_connection_with_the_same_format_goes_on_in_the_same_file(tmp_path: Path) -> None:
    fed = Fed()
    fed.come(5.0)
    writer = ClipWriter(fed.order(5.0, 12.0), tmp_path, fed.feed, sound=True)
    writer.step(fed.now)
    fed.now = 8.0
    fed.come(13.0, connection=2)
    writer.step(fed.now)
    (times,) = times_in(writer)
    assert writer.done and len(times) == 50 + 41
    assert times[50] - times[49] == pytest.approx(3.1, abs=0.2), "the pause is in it"


def test_another_format_begins_another_file_of_the_same_clip(tmp_path: Path) -> None:
    fed = Fed()
    fed.come(5.0)
    order = fed.order(5.0, 12.0)
    writer = ClipWriter(order, tmp_path, fed.feed, sound=True)
    writer.step(fed.now)
    fed.come(13.0, size=(128, 96))
    writer.step(fed.now)
    name = order.note["id"]
    assert [whole_of(part).name for part in writer.parts] == [f"{name}.mp4", f"{name}-2.mp4"]
    first, second = times_in(writer)
    assert len(first) == 50 and len(second) == 71


def test_a_camera_that_changes_its_format_all_the_time_fills_no_folder(tmp_path: Path) -> None:
    fed = Fed(seconds=200.0)
    fed.come(1.0)
    for second in range(1, MOST_PARTS + 1):
        fed.come(second + 1.0, size=(96 + 32 * (second % 2), 64))
    writer = ClipWriter(fed.order(1.0, 500.0, begins=0.0), tmp_path, fed.feed, sound=True)
    writer.step(fed.now)
    assert writer.done and len(writer.parts) == MOST_PARTS == len(list(tmp_path.rglob("*.part")))


def test_a_key_picture_that_makes_no_sense_costs_the_time_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed, tries = Fed(), []
    make = clip_writer.ClipFile

    def refuse_once(*arguments: object) -> object:
        tries.append(arguments)
        if len(tries) == 1:
            raise SourceError("its parameter sets cannot be read")
        return make(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(clip_writer, "ClipFile", refuse_once)
    fed.come(6.0)
    writer = ClipWriter(fed.order(5.0, 5.5, begins=0.0), tmp_path, fed.feed, sound=True)
    writer.step(fed.now)
    (times,) = times_in(writer)
    assert len(times) == 46 and len(tries) == 2


@pytest.mark.parametrize("wanted", [True, False])
def test_sound_is_in_every_file_of_a_clip_if_it_is_wanted(tmp_path: Path, wanted: bool) -> None:
    fed = Fed()

    def come(until: float, size: tuple[int, int]) -> None:
        for tenth in range(round(fed.now * 10), round(until * 10)):
            fed.come((tenth + 1) / 10, size)
            fed.feed.put(Piece(b"\x01\x18\x20\x07", tenth / 10, tenth / 10, tenth / 10, True, 1, SOUND))

    come(4.0, (96, 64))
    writer = ClipWriter(fed.order(4.0, 9.0, begins=0.0), tmp_path, fed.feed, sound=wanted)
    writer.step(fed.now)
    come(6.0, (128, 96))
    writer.step(fed.now)
    writer.close()
    assert [finish(part).audio for part in writer.parts] == [wanted, wanted]
