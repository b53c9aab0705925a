"""Video for those who watch: who gets what, in which order, and what is lost by whom."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from soteirad.config import CameraConfig
from soteirad.hub import video as limits
from soteirad.hub.video import Parts, Video, VideoViewer
from soteirad.messages import StreamName, VideoBegan, VideoOverlay, VideoPiece, VideoStopped

START = {"kind": "start", "codec": "avc1.42c01e", "width": 640, "height": 360, "encoded": False}


class Bench:
    """One camera, whose pieces have names; a capital letter begins a group of pictures."""

    def __init__(self) -> None:
        self.now = 0.0
        self.changes = 0
        self.video = Video(self._changed, lambda: self.now)

    def _changed(self) -> None:
        self.changes += 1

    def begin(self, head: bytes = b"head", stream: StreamName = "source") -> None:
        self.video.take("porch", VideoBegan(stream, "avc1.42c01e", head, (640, 360)))

    def send(self, names: str, size: int = 1, stream: StreamName = "source") -> None:
        for name in names:
            self.video.take("porch", VideoPiece(stream, name.encode() * size, name.isupper()))

    def overlay(self, at: float, stream: StreamName = "source") -> None:
        self.video.take("porch", VideoOverlay({stream: at}, {"looked": at}))

    def watch(self, stream: StreamName = "source", on_news: Callable[[], None] = lambda: None) -> VideoViewer:
        return self.video.watch("porch", stream, on_news)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def take(viewer: VideoViewer) -> list[Parts]:
    """Return all that waits."""
    found: list[Parts] = []
    while parts := viewer.next():
        found.append(parts)
    return found


def names(viewer: VideoViewer) -> str:
    """Return the names of all pieces that wait; `(` is a beginning, `o` stands for an overlay, `x` for a loss."""
    signs = {"start": "(", "overlay": "o", "gone": "x"}

    def sign(part: dict[str, Any] | bytes) -> str:
        return chr(part[0]) if isinstance(part, bytes) else signs[part["kind"]]

    return "".join(sign(parts[0]) for parts in take(viewer))


def test_the_beginning_comes_with_its_head_in_one_then_pieces_and_overlays_in_order(bench: Bench) -> None:
    viewer = bench.watch()
    bench.begin()
    bench.send("Aa")
    bench.overlay(0.04)
    bench.send("b")
    overlay = {"kind": "overlay", "at": 0.04, "values": {"looked": 0.04}}
    assert take(viewer) == [(START, b"head"), (b"A",), (b"a",), (overlay,), (b"b",)]


def test_a_newcomer_begins_with_the_last_key_frame_and_then_sees_what_all_see(bench: Bench) -> None:
    first = bench.watch()
    bench.begin()
    bench.send("AabcBde")
    second = bench.watch()
    bench.send("fCg")
    assert names(second) == "(BdefCg"
    assert names(first) == "(AabcBdefCg"


def test_a_stream_that_begins_anew_takes_the_place_of_all_that_waits_of_the_old_one(bench: Bench) -> None:
    viewer = bench.watch()
    bench.begin()
    bench.send("Aab")
    bench.begin(b"other")
    bench.send("xC")
    assert take(viewer) == [(START, b"other"), (b"C",)], "the first after a head is a key frame"
    assert names(bench.watch()) == "(C"


def test_a_camera_that_sends_too_much_between_two_key_frames_lets_newcomers_wait_for_the_next(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_KEPT", 3)
    first = bench.watch()
    bench.begin()
    bench.send("Aabc")
    second = bench.watch()
    bench.send("dBe")
    assert names(second) == "(Be" and names(first) == "(AabcdBe"


def test_who_is_late_goes_on_with_the_newest_key_frame_and_others_notice_nothing(bench: Bench) -> None:
    slow, quick = bench.watch(), bench.watch()
    bench.begin()
    bench.send("AabBcCd")
    assert names(quick) == "(AabBcCd" and slow.next() == (START, b"head")
    bench.now = limits.MOST_BEHIND_S - 1.0
    bench.send("eDf")
    bench.now = limits.MOST_BEHIND_S + 0.1
    bench.send("g")
    assert names(slow) == "Dfg" and names(quick) == "eDfg"


def test_who_is_late_and_has_no_key_frame_waiting_waits_for_the_next_one(bench: Bench) -> None:
    viewer = bench.watch()
    bench.begin()
    bench.send("Aab")
    bench.now = limits.MOST_BEHIND_S + 0.1
    bench.send("c")
    bench.overlay(0.1)
    assert names(viewer) == "(", "nor is anything drawn over pictures that were dropped"
    bench.send("deBf")
    assert names(viewer) == "Bf"


def test_too_many_bytes_are_dropped_like_too_old_ones_but_not_those_that_a_newcomer_begins_with(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_BEHIND", 10)
    watching = bench.watch()
    bench.begin()
    bench.send("Aaa", 5)
    assert names(watching) == "(", "what it was to have at most is exceeded before it took anything"
    newcomer = bench.watch()
    bench.send("bb", 5)
    assert names(newcomer) == "(Aaabb"
    bench.send("ccc", 5)
    assert names(newcomer) == ""
    bench.send("Bb", 5)
    assert names(newcomer) == "Bb"


def test_no_more_overlays_wait_than_pieces_and_the_newest_stay(bench: Bench) -> None:
    viewer = bench.watch()
    bench.begin()
    bench.send("Aa")
    for at in range(5):
        bench.overlay(float(at))
    found = take(viewer)
    assert [part["at"] for (part, *_) in found if isinstance(part, dict) and "at" in part] == [3.0, 4.0]
    bench.overlay(5.0)
    bench.overlay(6.0)
    assert [part["at"] for (part, *_) in take(viewer) if isinstance(part, dict)] == [6.0]


def test_overlays_are_for_the_stream_that_they_are_timed_for(bench: Bench) -> None:
    viewer = bench.watch()
    bench.begin()
    bench.send("A")
    bench.overlay(1.0, "detail")
    assert names(viewer) == "(A"


def test_a_loss_is_told_once_with_its_reason_and_nothing_of_before_is_shown_again(bench: Bench) -> None:
    viewer = bench.watch()
    bench.begin()
    bench.send("Aab")
    for _ in range(2):
        bench.video.take("porch", VideoStopped("source", "out of paper"))
    bench.send("cBd")
    bench.overlay(0.2)
    assert take(viewer) == [({"kind": "gone", "reason": "out of paper"},)]
    newcomer = bench.watch()
    assert take(newcomer) == [({"kind": "gone", "reason": "out of paper"},)]
    bench.begin()
    bench.send("E")
    assert names(viewer) == names(newcomer) == "(E"
    bench.video.take("porch", VideoStopped("source", "out of paper"))
    assert names(viewer) == "x"


def test_who_was_not_told_of_a_loss_in_time_hears_of_it_before_the_new_beginning(bench: Bench) -> None:
    viewer = bench.watch()
    for _ in range(3):
        bench.begin()
        bench.send("A")
        bench.video.gone("porch", "restarted")
    bench.begin()
    bench.send("B")
    assert names(viewer) == "x(B"


def test_a_stream_that_goes_on_though_the_camera_is_offline_is_shown_from_its_next_key_frame(bench: Bench) -> None:
    viewer = bench.watch("detail")
    bench.begin(stream="detail")
    bench.send("Aa", stream="detail")
    assert names(viewer) == "(Aa"
    bench.video.away("porch", "it does not answer")
    bench.video.away("porch", "the process has ended")
    assert take(viewer) == [({"kind": "gone", "reason": "it does not answer"},)]
    bench.send("bBc", stream="detail")
    assert names(viewer) == "(Bc"


def test_somebody_who_comes_while_a_camera_is_away_hears_why(bench: Bench) -> None:
    viewer = bench.video.watch("porch", "source", lambda: None, "it is switched off")
    assert take(viewer) == [({"kind": "gone", "reason": "it is switched off"},)]
    bench.begin()
    bench.send("A")
    assert names(viewer) == "(A"


def test_what_nobody_watches_is_forgotten_only_when_the_camera_was_told_to_send_it_no_more(bench: Bench) -> None:
    viewer = bench.watch()
    bench.begin()
    bench.send("Aa")
    assert bench.video.watched("porch") == {"source"} and len(bench.video) == 1
    viewer.close()
    viewer.close()
    assert bench.video.watched("porch") == frozenset() and len(bench.video) == 0 and viewer.closed
    bench.video.forget_unwatched("porch", {"source"})
    assert names(bench.watch()) == "(Aa", "it goes on, and begins no second time"
    other = Bench()
    other.watch().close()
    other.video.forget_unwatched("porch", ())
    other.begin()
    other.send("A")
    assert names(other.watch()) == ""


def test_what_comes_of_streams_that_nobody_asked_for_is_not_kept(bench: Bench) -> None:
    bench.begin()
    bench.send("Aa")
    bench.overlay(0.1)
    bench.video.gone("porch", "nobody asks")
    assert names(bench.watch()) == ""


def test_a_viewer_is_woken_once_for_all_that_comes_before_it_asks_again(bench: Bench) -> None:
    woken: list[int] = []
    viewer = bench.watch(on_news=lambda: woken.append(1))
    bench.begin()
    bench.send("Aab")
    assert len(woken) == 1
    assert viewer.next() and viewer.next()
    bench.send("c")
    assert len(woken) == 1, "it has not yet found that nothing waits"
    take(viewer)
    bench.send("d")
    assert len(woken) == 2


def test_the_end_of_all_wakes_and_closes_every_viewer(bench: Bench) -> None:
    woken: list[int] = []
    viewers = [bench.watch(on_news=lambda: woken.append(1)) for _ in range(3)]
    bench.video.close()
    assert all(viewer.closed and viewer.next() == () for viewer in viewers) and len(woken) == 3
    assert bench.video.watched("porch") == frozenset()


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ({}, None, "it is not in the configuration any more"),
        ({}, {"enabled": False}, "it is switched off"),
        ({}, {"privacy_mask": [[0.0, 0.0, 0.5, 0.0, 0.5, 0.5]]}, "its privacy mask was changed"),
        ({"source": "rtsp://10.0.0.8/a", "detail": "rtsp://10.0.0.8/b"}, {"source": "rtsp://10.0.0.8/a"}, None),
        ({}, {"name": "Front"}, None),
    ],
)
def test_a_change_of_the_configuration_that_takes_a_stream_away_or_masks_it_ends_what_is_shown(
    bench: Bench, before: dict[str, Any], after: dict[str, Any] | None, reason: str | None
) -> None:
    def camera(more: dict[str, Any]) -> CameraConfig:
        return CameraConfig.model_validate({"source": "clip.mp4", **more})

    source, detail = bench.watch(), bench.watch("detail")
    for stream in limits.STREAMS:
        bench.begin(stream=stream)
        bench.send("A", stream=stream)
    bench.video.change("porch", camera(before), None if after is None else camera(after))
    found = take(source)
    assert found == ([({"kind": "gone", "reason": reason},)] if reason else [(START, b"head"), (b"A",)])
    if "detail" in before:
        assert take(detail) == [({"kind": "gone", "reason": "it has no large stream any more"},)]
    assert names(bench.watch()) == ("x" if reason else "(A")


def test_random_pieces_never_make_a_slow_viewer_hold_more_than_it_may_nor_see_what_it_cannot_decode() -> None:
    dice = random.Random(7)
    for _ in range(20):
        bench = Bench()
        pieces: list[bytes] = []
        viewer, last, sent = bench.watch(), None, 0
        for index in range(300):
            bench.now += dice.random() * 0.3
            what = dice.random()
            if what < 0.03:
                bench.begin()
            elif what < 0.05:
                bench.video.take("porch", VideoStopped("source", str(dice.random())))
            elif what < 0.3:
                bench.overlay(bench.now)
            else:
                key = dice.random() < 0.15
                data = (b"K" if key else b"p") + index.to_bytes(2, "big") + bytes(dice.randrange(1_500_000))
                pieces.append(data[:3])
                bench.video.take("porch", VideoPiece("source", data, key))
            waiting = [item for item in viewer._waiting if not isinstance(item, dict)]
            assert sum(len(item.data) for item in waiting) == viewer._bytes <= limits.MOST_BEHIND
            assert len(viewer._waiting) - len(waiting) == viewer._overlays <= 30
            for _ in range(dice.choice((0, 0, 0, 1, 2, 5))):
                for part in viewer.next():
                    if isinstance(part, dict):
                        last = last if part["kind"] == "overlay" else None
                    elif part != b"head":
                        follows = last is not None and pieces.index(part[:3]) == last + 1
                        assert part[:1] == b"K" or follows, "after a head or a gap comes a key frame"
                        last, sent = pieces.index(part[:3]), sent + 1
        assert sent > 5
