"""Live video: what is sent, put together, is a file that plays, at the times that the stream tells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from soteirad.messages import VideoBegan, VideoPiece, VideoStopped
from soteirad.video.feed import Feed
from soteirad.video.live_stream import LiveStream, Message
from soteirad.video.piece import PictureFormat, Piece
from tests.video.made import B_FRAMES, CLOSED, OPEN_GOPS, as_rtp, encoded, moved, shown

Stamped = Callable[[Iterable[Piece]], list[Piece]]


class Rig:
    """A stream whose steps a test takes."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.feed = Feed(seconds)
        self.shown: Feed | str = self.feed
        self.sent: list[Message] = []
        self.faults: list[Exception] = []
        self.stream = LiveStream("source", lambda: self.shown, lambda _: False, self.sent.append, self.faults.append)

    def give(self, pieces: Iterable[Piece]) -> list[float]:
        """Send pieces one after the other; return when each of them is shown, as the stream says."""
        told = []
        for piece in pieces:
            self.feed.put(piece)
            self.stream.step()
            at = self.stream.at(piece.pts, piece.time)
            if at is not None:
                told.append(at)
        return told

    def save(self, path: Path, sent: Sequence[Message] | None = None) -> Path:
        """Put the last head and what came after it in a file."""
        data = b""
        for message in self.sent if sent is None else sent:
            if isinstance(message, VideoBegan):
                data = message.head
            elif isinstance(message, VideoPiece):
                data += message.data
        path.write_bytes(data)
        return path


@pytest.mark.parametrize("stamped", [list, as_rtp])
@pytest.mark.parametrize(("codec", "params"), [("h264", CLOSED), ("h264", B_FRAMES), ("hevc", B_FRAMES)])
def test_head_and_pieces_are_a_file_that_plays_at_the_times_told(tmp_path: Path, codec: str, params: str,
                                                                 stamped: Stamped) -> None:  # fmt: skip
    rig = Rig()
    told = rig.give(stamped(encoded(40, params, codec)))
    began = [message for message in rig.sent if isinstance(message, VideoBegan)]
    pieces = [message for message in rig.sent if isinstance(message, VideoPiece)]
    found = shown(rig.save(tmp_path / "live.mp4"))
    assert len(began) == 1 and len(pieces) == 39, "the last picture waits for the next one"
    assert [piece.key for piece in pieces] == [piece.key for piece in encoded(40, params, codec)[:-1]]
    assert [time for time, _ in found] == pytest.approx(sorted(told[:-1]), abs=0.001)
    assert began[0].size == (96, 64) and began[0].codec.startswith("avc1." if codec == "h264" else "hvc1.")
    assert not rig.faults


def test_a_newcomer_begins_with_the_last_key_picture(tmp_path: Path) -> None:
    rig = Rig(60.0)
    for piece in encoded(35):
        rig.feed.put(piece)
    rig.stream.step()
    assert isinstance(rig.sent[0], VideoBegan) and isinstance(rig.sent[1], VideoPiece) and rig.sent[1].key
    assert shown(rig.save(tmp_path / "live.mp4"))[0][1] == 30


def test_a_newcomer_in_an_open_group_gets_a_key_picture_first(tmp_path: Path) -> None:
    pieces = encoded(40, OPEN_GOPS)
    begin = [index for index, piece in enumerate(pieces) if piece.key][1]
    rig = Rig()
    rig.give(as_rtp(pieces[begin:]))
    sent = [message for message in rig.sent if isinstance(message, VideoPiece)]
    assert sent[0].key and not sent[1].key
    assert [index for _, index in shown(rig.save(tmp_path / "live.mp4"))][:3] == [12, 13, 14]


def test_what_is_lost_on_the_way_up_to_a_key_picture_is_a_gap_and_no_damage(tmp_path: Path) -> None:
    rig = Rig()
    rig.give(encoded(40))
    kept = [*rig.sent[:8], *rig.sent[21:]]
    assert isinstance(kept[8], VideoPiece) and kept[8].key
    found = [index for _, index in shown(rig.save(tmp_path / "live.mp4", kept))]
    assert found == [*range(7), *range(20, 39)]


def test_another_format_begins_anew_from_zero(tmp_path: Path) -> None:
    rig = Rig()
    rig.give(encoded(20))
    rig.give(moved(encoded(20, size=(64, 48)), 2.0))
    began = [message for message in rig.sent if isinstance(message, VideoBegan)]
    assert [message.size for message in began] == [(96, 64), (64, 48)]
    found = shown(rig.save(tmp_path / "live.mp4"))
    assert found[0] == (0.0, 0) and len(found) == 19


def test_who_falls_behind_begins_anew_with_a_key_picture(tmp_path: Path) -> None:
    rig = Rig()
    rig.give(encoded(15))
    for piece in moved(encoded(35), 1.5):
        rig.feed.put(piece)
    rig.stream.step()
    assert isinstance(rig.sent[-5], VideoBegan)
    assert [index for _, index in shown(rig.save(tmp_path / "live.mp4"))] == [30, 31, 32, 33]


def test_key_pictures_that_make_no_sense_are_said_once_and_the_next_good_one_is_shown() -> None:
    rig, key = Rig(), encoded(10)[0]
    bad = key._replace(data=b"\0\0\0\1\x65", format=PictureFormat("h264", b"\0\0\0\1\x67\x42"))
    rig.give([bad, bad, bad])
    assert [type(message) for message in rig.sent] == [VideoStopped]
    rig.give(moved(encoded(10), 1.0))
    assert isinstance(rig.sent[1], VideoBegan) and isinstance(rig.sent[2], VideoPiece)
    assert not rig.faults


def test_why_there_is_no_video_is_said_once() -> None:
    rig = Rig()
    rig.give(encoded(10))
    rig.shown = "gone"
    rig.stream.stop()
    count = len(rig.sent)
    rig.stream.step()
    assert len(rig.sent) == count, "who was stopped sends nothing"
    other = Rig()
    other.shown = "no picture"
    for _ in range(2):
        other.stream._ended.wait = lambda _: True  # type: ignore[method-assign, assignment]
        other.stream.step()
    assert other.sent == [VideoStopped("source", "no picture")]


def test_the_thread_ends() -> None:
    rig = Rig()
    for piece in encoded(20):
        rig.feed.put(piece)
    rig.stream.start()
    rig.stream.stop()
    rig.stream._thread.join(10.0)
    assert not rig.stream._thread.is_alive() and not rig.faults
