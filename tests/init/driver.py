"""`soteirad init` with an installation below a folder and a group of its own for the search: root, port, config ..."""

from __future__ import annotations

import fcntl
import functools
import sys
import termios
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

from soteirad import cli
from soteirad.config import CameraConfig
from soteirad.init import answers, camera_talk, discovery, run, session, trial
from soteirad.service.layout import Layout


def look(camera: CameraConfig, _watch: float = 0.0) -> trial.Seen:
    """Look at a stream for a moment."""
    return trial.try_stream(camera, 0.5)


def arranged(root: Path, port: int) -> ExitStack:
    """Let `init` install below `root`, search by a group at `port`, and look at streams for a moment only."""
    find = functools.partial(discovery.find_cameras, 0.4, ("239.255.255.250", port))
    stack = ExitStack()
    for module, name, value in (
        (session, "find_cameras", find), (answers, "find_cameras", find), (session, "find_devices", list),
        (camera_talk, "try_stream", look), (answers, "try_stream", look),
        (run, "initialise", functools.partial(run.initialise, layout=Layout(root))),
    ):  # fmt: skip
        stack.enter_context(mock.patch.object(module, name, value))
    return stack


if __name__ == "__main__":
    folder, group_port, *words = sys.argv[1:]
    if sys.stdin.isatty():  # where passwords are asked
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    sys.argv = ["soteirad", "init", *words]
    with arranged(Path(folder), int(group_port)):
        cli.main()
