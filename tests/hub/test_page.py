"""The page's place in the hub: its server comes, moves and goes."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import cast

import pytest

from soteirad.config import Config
from soteirad.hub.desk import Facts
from soteirad.hub.page import Page
from soteirad.hub.supervisor import CameraProcess
from soteirad.web.token import token_file
from tests.brokers import free_port


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

    def show(self, wanted: bool, again: bool = False) -> None:
        self.told.append((wanted, again))


def test_whoever_begins_to_look_gets_the_latest_frame_of_a_slow_camera_that_others_look_at(tmp_path: Path) -> None:
    house = config(tmp_path, free_port())
    page, camera = Page(house, tmp_path / "soteira.yaml", lambda: None), Shown()
    page.desk.configure(house, house)
    for _ in range(2):
        page.desk.viewer(["porch"])
        for _ in range(2):
            page.step([cast(CameraProcess, camera)], Facts())
    assert camera.told == [(True, True), (True, False)] * 2


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
