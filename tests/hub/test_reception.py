"""The reception: what comes of a camera's messages."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from soteirad.config import Config
from soteirad.hub.desk import Desk
from soteirad.hub.reception import Reception
from soteirad.hub.supervisor import CameraProcess
from soteirad.messages import LiveFrame


def test_a_camera_that_is_being_replaced_shows_nothing_more_on_the_page(tmp_path: Path) -> None:
    config = Config.model_validate({"cameras": {"porch": {"source": "clip.mp4"}}})
    desk = Desk(tmp_path, lambda: None)
    desk.configure(config, config)
    rest: Any = SimpleNamespace(bulletin=None)  # live frames are for the desk alone
    reception = Reception(rest, rest, rest, desk)
    for closing, picture in ((True, None), (False, b"jpeg")):
        camera = cast(CameraProcess, SimpleNamespace(name="porch", closing=closing))
        reception.take(camera, LiveFrame({}, b"jpeg"))
        assert desk.picture("porch", None) == picture, "it may show what is masked by now"
