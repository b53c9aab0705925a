"""The page's place in the hub: its server comes, moves and goes."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from websockets.sync.client import ClientConnection, connect

from soteirad.config import Config
from soteirad.hub.desk import Facts
from soteirad.hub.fleet import camera_jobs
from soteirad.hub.page import Page
from soteirad.hub.reception import Reception
from soteirad.hub.supervisor import CameraProcess
from soteirad.messages import CameraStatus, ShowVideo, StreamName, VideoBegan, VideoOverlay, VideoPiece
from soteirad.web.token import token_file
from tests.brokers import free_port
from tests.hub.test_fleet import FakeContext
from tests.waiting import wait_until


def config(folder: Path, port: int) -> Config:
    return Config.model_validate({
        "cameras": {"porch": {"source": "clip.mp4"}}, "storage": {"path": str(folder)},
        "web": {"listen": f"127.0.0.1:{port}"},
    })  # fmt: skip


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_port_that_was_taken_at_a_reload_is_tried_again_at_the_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before, after = config(tmp_path, free_port()), config(tmp_path, free_port())
    page = Page(before, tmp_path / "soteira.yaml", lambda: None)
    page.bind()
    page.start()
    try:
        with socket.socket() as other:
            other.bind(after.web.address)
            other.listen()
            page.move(after, 2.0)
            assert "there is no page now" in caplog.text and "another program listens there" in caplog.text
        page.move(after, 2.0)
        assert listens(after.web.address[1]) and not listens(before.web.address[1])
    finally:
        page.stop(2.0)


class Shown:
    """Notes what a camera process is told, turn by turn."""

    name = "porch"

    def __init__(self) -> None:
        self.told: list[tuple[bool, bool]] = []
        self.videos: list[frozenset[StreamName]] = []

    def show(self, wanted: bool, again: bool = False) -> None:
        self.told.append((wanted, again))

    def show_video(self, streams: frozenset[StreamName]) -> frozenset[StreamName]:
        self.videos.append(streams)
        return streams


def test_whoever_begins_to_look_gets_the_latest_frame_of_a_slow_camera_that_others_look_at(tmp_path: Path) -> None:
    house = config(tmp_path, free_port())
    page, camera = Page(house, tmp_path / "soteira.yaml", lambda: None), Shown()
    page.desk.configure(house, house)
    for _ in range(2):
        page.desk.viewer(["porch"])
        for _ in range(2):
            page.step([cast(CameraProcess, camera)], Facts())
    assert camera.told == [(True, True), (True, False)] * 2


def test_a_camera_is_asked_for_the_video_that_is_watched_and_for_none_when_nobody_does(tmp_path: Path) -> None:
    house = config(tmp_path, free_port())
    page, camera = Page(house, tmp_path / "soteira.yaml", lambda: None), Shown()
    page.desk.configure(house, house)
    step = [cast(CameraProcess, camera)]
    viewer = page.desk.video("porch", "source", lambda: None)
    page.step(step, Facts())
    page.desk.videos.take("porch", VideoBegan("source", "avc1.42c01e", b"head", (640, 360)))
    viewer.close()
    page.step(step, Facts())
    assert camera.videos == [{"source"}, frozenset()]
    assert not page.desk.video("porch", "source", lambda: None).next(), "what it does not send any more is forgotten"


class House:
    """A page with one camera, of whose process there is only the end of its pipe; each `turn` is one of the hub's."""

    def __init__(self, folder: Path, context: FakeContext) -> None:
        self.config = config(folder, free_port())
        self.context = context
        self.page = Page(self.config, folder / "soteira.yaml", lambda: None)
        self.desk = self.page.desk
        self.desk.configure(self.config, self.config)
        rest: Any = SimpleNamespace(bulletin=SimpleNamespace(status=lambda *_: None))
        self.reception = Reception(rest, rest, rest, self.desk)
        job = camera_jobs(self.config, {self.config.cameras["porch"].detector: None}, Path("spool"), "info")["porch"]
        self.camera = CameraProcess(job, cast(Any, context), lambda: None)
        self.camera.start(lost=False)

    def turn(self) -> list[Any]:
        """Do what the hub does; returns what the camera's process was told."""
        messages, closed = self.camera.receive()
        for message in messages:
            self.reception.take(self.camera, message)
        if closed:
            self.desk.status("porch", False, self.camera.ended(restart=True))
        self.page.step([self.camera], Facts())
        end, told = self.context.processes[-1].end, []
        while end is not None and not end.closed and end.poll():
            told.append(end.recv())
        return told

    def say(self, *messages: Any) -> None:
        """Let the camera's process say something, and the hub hear it."""
        end = self.context.processes[-1].end
        assert end is not None
        for message in messages:
            end.send(message)
        wait_until(lambda: self.camera._inbox.qsize() >= len(messages))
        self.turn()

    def watch(self, **options: Any) -> ClientConnection:
        """Watch from a browser, so to say."""
        token = token_file(self.config.storage.path).read_text(encoding="ascii").strip()
        return connect(f"ws://127.0.0.1:{self.config.web.address[1]}/api/cameras/porch/live", proxy=None,
                       additional_headers={"Authorization": f"Bearer {token}"}, **options)  # fmt: skip


def test_when_a_cameras_process_dies_whoever_watches_hears_why_and_sees_it_begin_anew(tmp_path: Path) -> None:
    house = House(tmp_path, FakeContext())
    house.page.bind()
    house.page.start()
    began = VideoBegan("source", "avc1.42c01e", b"head", (640, 360))
    try:
        with house.watch() as viewer:
            assert house.turn() == [ShowVideo(frozenset({"source"}))] and house.turn() == []
            house.say(CameraStatus(True), began, VideoPiece("source", b"K1", True), VideoPiece("source", b"p2", False),
                      VideoOverlay({"source": 0.04}, {"tracks": []}))  # fmt: skip
            found = [viewer.recv(timeout=10) for _ in range(5)]
            assert json.loads(found[0])["kind"] == "start" and found[1:4] == [b"head", b"K1", b"p2"]
            assert json.loads(found[4]) == {"kind": "overlay", "at": 0.04, "values": {"tracks": []}}
            cast(Any, house.context.processes[-1].end).close()
            wait_until(lambda: house.camera._inbox.qsize() > 0)
            house.turn()
            told = json.loads(viewer.recv(timeout=10))
            assert told["kind"] == "gone" and "the camera process ended" in told["reason"]
            assert house.turn() == []
            house.camera.start(lost=False)
            assert house.turn() == [ShowVideo(frozenset({"source"}))], "the new process knows nothing of it"
            house.say(CameraStatus(True), began, VideoPiece("source", b"K3", True))
            found = [viewer.recv(timeout=10) for _ in range(3)]
            assert json.loads(found[0])["kind"] == "start" and found[1:] == [b"head", b"K3"]
            house.camera.closing = True
            house.say(VideoPiece("source", b"K4", True))
            assert house.desk.videos.watched("porch") == {"source"}
            house.desk.status("porch", False, "it does not answer")
            assert json.loads(viewer.recv(timeout=10)) == {"kind": "gone", "reason": "it does not answer"}, (
                "what may be masked by now is not shown"
            )
        wait_until(lambda: not house.desk.videos.watched("porch"))
        assert house.turn() == [ShowVideo(frozenset())]
    finally:
        house.page.stop(2.0)


def test_a_browser_that_does_not_read_loses_pictures_up_to_a_key_frame_and_another_gets_every_one(
    tmp_path: Path,
) -> None:
    house = House(tmp_path, FakeContext())
    house.page.bind()
    house.page.start()
    count, size = 80, 200_000
    try:
        with house.watch() as quick, house.watch(max_queue=1) as slow:
            house.desk.videos.take("porch", VideoBegan("source", "avc1.42c01e", b"head", (640, 360)))
            assert json.loads(quick.recv(timeout=10))["kind"] == "start" and quick.recv(timeout=10) == b"head"
            for index in range(count):
                name = b"%s%03d" % (b"p" if index % 10 else b"K", index)
                house.desk.videos.take("porch", VideoPiece("source", name + bytes(size), index % 10 == 0))
                assert cast(bytes, quick.recv(timeout=10))[:4] == name
            assert json.loads(slow.recv(timeout=10))["kind"] == "start" and slow.recv(timeout=10) == b"head"
            numbers, last = [], -1
            while last != count - 1:
                name = cast(bytes, slow.recv(timeout=10))[:4]
                number = int(name[1:])
                assert number == last + 1 or (number > last and name[:1] == b"K")
                numbers.append(number)
                last = number
            assert len(numbers) < count, "16 MB do not wait for anybody"
    finally:
        house.page.stop(2.0)


def test_a_token_that_cannot_be_kept_costs_the_page_and_not_the_watch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = config(tmp_path, free_port())
    token_file(tmp_path).mkdir()
    page = Page(house, tmp_path / "soteira.yaml", lambda: None)
    page.bind()
    page.start()
    assert "there is no page now" in caplog.text and "the token of the page cannot be written" in caplog.text
    assert not listens(house.web.address[1])
    token_file(tmp_path).rmdir()
    page.move(house, 2.0)
    try:
        assert listens(house.web.address[1])
    finally:
        page.stop(2.0)
