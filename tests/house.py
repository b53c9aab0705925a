"""Fixtures: a real broker, a subscriber that was there all along, real daemons, clips. The conftest imports them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import clips
from tests.brokers import Mosquitto, Subscriber
from tests.daemon import ROOT, Daemon
from tests.rtsp_server import RtspServer

MODEL = "nanodet-g-416"
StartDaemon = Callable[..., Daemon]
MakeCamera = Callable[[], RtspServer]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path / "broker")
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def listener(broker: Mosquitto) -> Iterator[Subscriber]:
    subscriber = Subscriber(broker)
    subscriber.start()
    yield subscriber
    subscriber.stop()


@pytest.fixture
def start_daemon() -> Iterator[StartDaemon]:
    """Start daemons, and end at teardown what a failed test left of them."""
    started: list[Daemon] = []

    def start(config: Path, *options: str) -> Daemon:
        started.append(Daemon(config, *options))
        return started[-1].start()

    yield start
    for daemon in started:
        daemon.clean_up()


@pytest.fixture
def make_camera() -> Iterator[MakeCamera]:
    """Make cameras, and end them at teardown."""
    made: list[RtspServer] = []

    def make() -> RtspServer:
        made.append(RtspServer())
        return made[-1]

    yield make
    for server in made:
        server.kill()


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """A copy of the default model with its card, to be damaged; the card does not vouch for the file."""
    folder = tmp_path / "models"
    shutil.copytree(ROOT / "models", folder)
    card = folder / f"{MODEL}.yaml"
    card.write_text(re.sub(r", sha256: [0-9a-f]{64}", "", card.read_text(encoding="utf-8")), encoding="utf-8")
    return folder


@pytest.fixture
def misfit_card(model_folder: Path) -> Path:
    """A card that speaks of a larger input than its model has."""
    card = model_folder / f"{MODEL}.yaml"
    card.write_text(card.read_text(encoding="utf-8").replace("width: 416", "width: 640"), encoding="utf-8")
    return card


@pytest.fixture(scope="session")
def visit_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _clip(tmp_path_factory, "visit", clips.VISIT)


@pytest.fixture(scope="session")
def entry_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _clip(tmp_path_factory, "entry", clips.ENTRY)


@pytest.fixture(scope="session")
def standing_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _clip(tmp_path_factory, "standing", clips.STANDING)


@pytest.fixture(scope="session")
def leaving_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _clip(tmp_path_factory, "leaving", clips.LEAVING)


def _clip(factory: pytest.TempPathFactory, name: str, spans: clips.Spans) -> Path:
    """Cut a clip once for all folders of tests."""
    path = factory.getbasetemp() / f"{name}.mp4"
    return path if path.exists() else clips.cut(path, spans)
