"""A house to be set up: a camera with a real stream, and a real broker that wants a password."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from unittest import mock

import pytest

from tests.brokers import Mosquitto, free_port
from tests.command import typed
from tests.init.driver import arranged
from tests.init.onvif_camera import Lens, OnvifCamera, Settings
from tests.init.typist import Typist
from tests.rtsp_server import RtspServer

CAMERA_PASSWORD = "c4m%41 @x"  # noqa: S105
BROKER_PASSWORD = "br0: ker#"  # noqa: S105


@dataclass(frozen=True)
class House:
    """What there is in it, and the folder in which `soteirad init` finds an installation."""

    root: Path
    camera: OnvifCamera
    broker: Mosquitto
    video: str
    """Without account."""
    group_port: int

    @property
    def config(self) -> Path:
        return self.root / "etc/soteira.yaml"

    def command(self, *words: str | Path) -> list[str]:
        arguments = words or ("--config", self.config)
        return ["-m", "tests.init.driver", str(self.root), str(self.group_port), *map(str, arguments)]

    def typist(self, *words: str | Path) -> Typist:
        return Typist(self.command(*words))

    def answered(self, text: str, *words: str | Path) -> CompletedProcess[str]:
        """Run it with a file of answers, and no terminal."""
        answers = self.root / "answers.yaml"
        answers.write_text(text, encoding="utf-8")
        environ = {"SOTEIRA_TEST_BROKER": BROKER_PASSWORD}
        with arranged(self.root, self.group_port), mock.patch.dict(os.environ, environ):
            return typed("init", *(words or ("--config", self.config)), "--answers", answers)

    def written(self) -> list[str]:
        """All that lies below /etc."""
        found = (self.root / "etc").rglob("*")
        return sorted(str(path.relative_to(self.root / "etc")) for path in found if path.is_file())


@pytest.fixture(scope="module")
def video(entry_clip: Path) -> Iterator[RtspServer]:
    server = RtspServer(user="viewer", password=CAMERA_PASSWORD)
    server.start(entry_clip, loop=True)
    yield server
    server.kill()


@pytest.fixture
def house(tmp_path: Path, video: RtspServer) -> Iterator[House]:
    (tmp_path / "etc").mkdir()
    url, port = video.url_for(), free_port()
    profiles = (Lens("main", "v", (2560, 1440), "H264", url), Lens("sub", "v", (640, 360), "H264", url))
    with Mosquitto(tmp_path / "broker", {"soteira": BROKER_PASSWORD}) as broker, \
            OnvifCamera(Settings(password=CAMERA_PASSWORD, profiles=profiles), port) as camera:  # fmt: skip
        yield House(tmp_path, camera, broker, url, port)
        assert not camera.complaints
