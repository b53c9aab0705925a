"""The uplink and its spool: no event is lost, whatever the hub does; over a real pipe."""

from __future__ import annotations

import json
import multiprocessing
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from soteirad.config.schema import camera_from
from soteirad.errors import StorageError
from soteirad.event import Event
from soteirad.messages import (
    Adjust,
    CameraStatus,
    Committed,
    Confirmed,
    LiveFrame,
    Picture,
    Preview,
    Stop,
    StreamName,
    TakePicture,
    VideoBegan,
    VideoOverlay,
    VideoPiece,
    VideoStopped,
)
from soteirad.spool import Spool
from soteirad.uplink import MAX_LIVE, MAX_PICTURES, MOST_OVERLAYS, MOST_VIDEO, Uplink
from tests.waiting import PATIENCE_S, wait_until


def event(number: int) -> Event:
    return Event(f"{number:04d}", "entered", "porch", "2027-01-15T08:00:00.000Z", label="person", box=(1, 2, 3, 4))


class Rig:
    """An uplink and the hub's end of its pipe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "spool"
        self.spool = Spool(self.folder)
        self.spool.create()
        self.hub, self._camera = multiprocessing.Pipe()
        self.stop = threading.Event()
        self.uplink = Uplink(self._camera, self.stop, self.spool)
        self.uplink.start()

    def receive(self, count: int) -> list[object]:
        found = []
        for _ in range(count):
            assert self.hub.poll(PATIENCE_S), "the uplink sent nothing"
            found.append(self.hub.recv())
        return found

    def spooled(self) -> list[str]:
        return [e.id for e in self.spool.read()]

    def end(self) -> None:
        for end in (self.hub, self._camera):
            end.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.end()


def commit(hub: Connection, *numbers: int) -> None:
    hub.send(Committed(tuple(event(n).id for n in numbers)))


def test_messages_arrive_in_the_order_in_which_they_were_sent(rig: Rig) -> None:
    rig.uplink.send(CameraStatus(True))
    rig.uplink.confirm(event(1))
    rig.uplink.picture(Picture("0001", "porch/1.jpg", b"jpeg"))
    assert rig.receive(3) == [CameraStatus(True), Confirmed(event(1)), Picture("0001", "porch/1.jpg", b"jpeg")]


def test_an_event_that_the_hub_committed_is_forgotten(rig: Rig) -> None:
    for number in (1, 2, 3):
        rig.uplink.confirm(event(number))
    rig.receive(3)
    commit(rig.hub, 1, 2, 3)
    rig.uplink.close(PATIENCE_S)
    assert rig.spooled() == []


def test_what_the_hub_did_not_commit_before_it_died_is_in_the_spool(rig: Rig) -> None:
    for number in (1, 2, 3):
        rig.uplink.confirm(event(number))
    rig.receive(3)
    commit(rig.hub, 2)
    rig.hub.close()
    assert rig.stop.wait(PATIENCE_S), "a dead hub stops the camera"
    rig.uplink.close(PATIENCE_S)
    assert rig.spool.read() == [event(1), event(3)]


def test_an_event_that_is_confirmed_after_the_hub_died_is_in_the_spool(rig: Rig) -> None:
    rig.hub.close()
    assert rig.stop.wait(PATIENCE_S)
    rig.uplink.confirm(event(1))
    rig.uplink.close(PATIENCE_S)
    assert rig.spooled() == ["0001"]


def test_an_event_that_waits_for_its_commit_is_spooled_meanwhile_and_forgotten_after_it(rig: Rig) -> None:
    rig.uplink.confirm(event(1))
    rig.receive(1)
    wait_until(lambda: rig.spooled() == ["0001"])
    commit(rig.hub, 1)
    wait_until(lambda: rig.spooled() == [])
    rig.uplink.close(PATIENCE_S)
    assert rig.spooled() == []


def test_a_stop_from_the_hub_stops_the_camera(rig: Rig) -> None:
    rig.hub.send(Stop())
    assert rig.stop.wait(PATIENCE_S)
    rig.uplink.confirm(event(1))
    assert rig.receive(1) == [Confirmed(event(1))]
    commit(rig.hub, 1)
    rig.uplink.close(PATIENCE_S)
    assert rig.spooled() == []


def test_a_stalled_hub_costs_pictures_beyond_twenty_but_no_event(rig: Rig) -> None:
    """Each picture is larger than the pipe, so the first one blocks until the hub reads again."""
    jpeg = bytes(1_000_000)
    for number in range(30):
        rig.uplink.picture(Picture(f"{number:04d}", "path", jpeg))
        rig.uplink.confirm(event(number))
    received = rig.receive(30 + MAX_PICTURES)
    pictures = [m.event_id for m in received if isinstance(m, Picture)]
    assert pictures == [f"{n:04d}" for n in range(MAX_PICTURES)]
    assert [m.event for m in received if isinstance(m, Confirmed)] == [event(n) for n in range(30)]
    rig.uplink.picture(Picture("again", "path", b""))
    assert rig.receive(1) == [Picture("again", "path", b"")]


def test_when_the_hub_is_gone_that_is_told_once_and_after_all_is_in_the_spool(tmp_path: Path) -> None:
    found: list[list[str]] = []
    spool = Spool(tmp_path / "spool")
    spool.create()
    hub, camera = multiprocessing.Pipe()
    stop = threading.Event()
    uplink = Uplink(camera, stop, spool, lambda: found.append([e.id for e in spool.read()]))
    uplink.start()
    for number in (1, 2):
        uplink.confirm(event(number))
    for _ in range(2):
        assert hub.poll(PATIENCE_S)
        hub.recv()
    hub.close()
    wait_until(lambda: found)
    assert stop.is_set()
    uplink.close(PATIENCE_S)
    assert found == [["0001", "0002"]]
    camera.close()


def test_a_hub_that_only_says_stop_is_not_gone(tmp_path: Path) -> None:
    gone = threading.Event()
    spool = Spool(tmp_path / "spool")
    spool.create()
    hub, camera = multiprocessing.Pipe()
    stop = threading.Event()
    uplink = Uplink(camera, stop, spool, gone.set)
    uplink.start()
    hub.send(Stop())
    assert stop.wait(PATIENCE_S)
    uplink.close(PATIENCE_S)
    assert not gone.is_set()
    hub.close()
    camera.close()


def test_a_hub_that_is_gone_is_told_even_if_nothing_can_be_spooled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_event: Event) -> None:
        raise StorageError("the disk is full")

    gone = threading.Event()
    spool = Spool(tmp_path / "spool")
    spool.create()
    monkeypatch.setattr(spool, "write", fail)
    hub, camera = multiprocessing.Pipe()
    uplink = Uplink(camera, threading.Event(), spool, gone.set)
    uplink.start()
    uplink.confirm(event(1))
    hub.close()
    assert gone.wait(PATIENCE_S)
    camera.close()


def test_wishes_arrive_in_order_and_stop_nothing(rig: Rig) -> None:
    wishes = [Adjust(camera_from({"source": "rtsp://h/s", "detect": on})) for on in (False, True)]
    sent = [wishes[0], TakePicture(), wishes[1], TakePicture()]
    for wish in sent:
        rig.hub.send(wish)
    wait_until(lambda: rig.uplink.wishes.qsize() == 4)
    assert [rig.uplink.wishes.get() for _ in sent] == sent
    assert not rig.stop.is_set()


def test_a_wish_between_two_answers_keeps_neither_from_arriving(rig: Rig) -> None:
    rig.uplink.confirm(event(1))
    rig.uplink.confirm(event(2))
    rig.receive(2)
    commit(rig.hub, 1)
    rig.hub.send(TakePicture())
    commit(rig.hub, 2)
    rig.uplink.close(PATIENCE_S)
    assert rig.spooled() == [] and rig.uplink.wishes.qsize() == 1


def test_previews_count_as_pictures_for_a_stalled_hub(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    jpeg = bytes(1_000_000)
    for _ in range(MAX_PICTURES + 5):
        rig.uplink.picture(Preview(jpeg))
    assert [r.getMessage() for r in caplog.records] == ["the hub is slow: a preview is dropped"] * 5
    assert rig.receive(MAX_PICTURES) == [Preview(jpeg)] * MAX_PICTURES
    rig.uplink.picture(Preview(b"again"))
    assert rig.receive(1) == [Preview(b"again")]


def test_pictures_for_the_page_take_no_place_from_an_events_and_are_dropped_quietly(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    large = LiveFrame({}, bytes(1_000_000))
    for _ in range(MAX_PICTURES + 5):
        rig.uplink.picture(large)
    rig.uplink.picture(Picture("0001", "path", b""))
    assert rig.receive(MAX_LIVE + 1) == [large] * MAX_LIVE + [Picture("0001", "path", b"")]
    assert [r for r in caplog.records if r.levelname == "WARNING"] == []
    rig.uplink.picture(large)
    assert rig.receive(1) == [large]


# The spool


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "spool")
    spool.create()
    return spool


def test_a_spool_that_cannot_be_written_is_told_once_and_what_it_could_not_take_at_the_end(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.folder.rmdir()
    rig.folder.write_text("not a folder", encoding="utf-8")
    for number in (1, 2, 3):
        rig.uplink.confirm(event(number))
    for _ in range(3):
        rig.uplink._write_overdue(0.0)
    rig.uplink.close(0.2)
    told, end = [record.getMessage() for record in caplog.records]
    assert "cannot be spooled" in told and end == "the disk took 3 events neither from the hub nor from here"


def test_spooled_events_come_back_as_they_were_in_the_order_in_which_they_were_written(spool: Spool) -> None:
    for number in (3, 1, 2):
        spool.write(event(number))
    assert spool.read() == [event(3), event(1), event(2)]
    spool.forget({"0002", "never there"})
    spool.forget(())
    assert spool.read() == [event(3), event(1)]


@pytest.mark.parametrize(
    "content",
    [b"", b'{"id": "00', b"\xff\xfe\x00", b"[]", b"7", b'{"id": "0001"}', b'{"colour": "red"}'],
    ids=["empty", "half", "binary", "a list", "a number", "fields missing", "unknown field"],
)
def test_a_file_that_holds_no_event_is_set_aside_and_hides_no_other(
    spool: Spool, tmp_path: Path, content: bytes
) -> None:
    spool.write(event(2))
    broken = tmp_path / "spool" / "0001.json"
    broken.write_bytes(content)
    assert spool.read() == [event(2)]
    assert not broken.exists()
    assert broken.with_suffix(".broken").read_bytes() == content
    assert spool.read() == [event(2)]


def test_a_spooled_file_is_the_events_payload_as_json(spool: Spool, tmp_path: Path) -> None:
    spool.write(event(1))
    assert json.loads(next((tmp_path / "spool").glob("*-0001.json")).read_text(encoding="utf-8"))["label"] == "person"


def piece(number: int, key: bool = False, size: int = 1_000_000, stream: StreamName = "source") -> VideoPiece:
    return VideoPiece(stream, number.to_bytes(4, "big") + bytes(size), key)


def test_video_arrives_as_it_was_sent(rig: Rig) -> None:
    sent = [VideoBegan("source", "avc1.42c01e", b"head", (64, 48)), piece(1, True), piece(2, size=10),
            VideoOverlay({"source": 1.5}, {"boxes": []}), VideoStopped("source", "gone")]  # fmt: skip
    for message in sent:
        rig.uplink.video(message)
    assert rig.receive(5) == sent


def test_a_slow_hub_loses_video_up_to_the_next_key_picture_and_no_event(rig: Rig) -> None:
    """Each piece is larger than the pipe, so the first one blocks until the hub reads again."""
    for number in range(10):
        rig.uplink.video(piece(number, key=number == 0))
    rig.uplink.confirm(event(1))
    received = rig.receive(4)
    assert received == [*(piece(number, key=number == 0) for number in range(3)), Confirmed(event(1))]
    wait_until(lambda: rig.uplink._video == 0)
    rig.uplink.video(piece(10))
    rig.uplink.video(piece(11, stream="detail"))
    rig.uplink.video(piece(12, key=True))
    rig.uplink.video(piece(13))
    assert rig.receive(3) == [piece(11, stream="detail"), piece(12, key=True), piece(13)]


def test_a_key_picture_larger_than_all_that_may_wait_passes_alone(rig: Rig) -> None:
    large = piece(1, True, MOST_VIDEO + 1)
    rig.uplink.video(large)
    rig.uplink.video(piece(2))
    assert rig.receive(1) == [large]


def test_overlays_that_nobody_reads_are_left_out(rig: Rig) -> None:
    rig.uplink.video(piece(0, True))
    for number in range(MOST_OVERLAYS + 10):
        rig.uplink.video(VideoOverlay({"source": float(number)}, {}))
    rig.uplink.send(CameraStatus(True))
    received = rig.receive(MOST_OVERLAYS + 2)
    assert received[-1] == CameraStatus(True)
    rig.uplink.video(VideoOverlay({}, {}))
    assert rig.receive(1) == [VideoOverlay({}, {})]


def test_an_event_is_kept_here_alone_until_the_hub_or_the_disk_has_it(rig: Rig) -> None:
    assert not rig.uplink.kept("0001")
    rig.uplink.confirm(event(1))
    rig.receive(1)
    wait_until(lambda: not rig.uplink.kept("0001"))
    assert rig.spooled() == ["0001"]
    commit(rig.hub, 1)
    wait_until(lambda: rig.spooled() == [])
    assert not rig.uplink.kept("0001")
