"""The feed: each follower at its own pace, and who falls behind is told so."""

from __future__ import annotations

import threading

from soteirad.video.feed import Feed
from tests.video.made import encoded, moved
from tests.waiting import PATIENCE_S


def test_a_follower_gets_each_piece_once() -> None:
    feed, pieces = Feed(60.0), encoded(30)
    assert feed.begin(0.0) is None and feed.newest is None
    following, found = 0, []
    for index, piece in enumerate(pieces):
        feed.put(piece)
        if index % 7 == 0:
            reading = feed.read(following)
            following = reading.next
            found += reading.pieces
            assert not reading.lost
    assert [*found, *feed.read(following).pieces] == list(pieces)
    assert feed.newest == pieces[-1].time and feed.bytes > sum(len(piece.data) for piece in pieces)


def test_who_falls_behind_is_told_and_nobody_else_loses_anything() -> None:
    feed, pieces = Feed(1.0), encoded(30)
    quick, found = 0, 0
    for round_ in range(4):
        for piece in moved(pieces, round_ * 3.0):
            feed.put(piece)
            reading = feed.read(quick)
            quick, found = reading.next, found + len(reading.pieces)
            assert not reading.lost
    slow = feed.read(0)
    assert found == 120 and slow.lost and slow.next == 120 and slow.pieces[0].key


def test_waiting_ends_with_the_piece() -> None:
    feed = Feed()
    assert not feed.wait(0, 0.01)
    thread = threading.Timer(0.05, lambda: feed.put(encoded(10)[0]))
    thread.start()
    assert feed.wait(0, PATIENCE_S)
    assert not feed.wait(1, 0.01)


def test_nothing_is_left_of_what_was_cleared() -> None:
    feed = Feed(60.0)
    for piece in encoded(10):
        feed.put(piece)
    feed.clear()
    assert (feed.begin(float("inf")), feed.bytes, feed.newest) == (None, 0, None)
    assert feed.read(3).lost
