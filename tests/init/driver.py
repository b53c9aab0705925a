"""`soteirad init` with an installation below a folder and a group of its own for the search: root, port, config ..."""

from __future__ import annotations

import fcntl
import functools
import sys
import termios
from pathlib import Path

from soteirad import cli
from soteirad.init import answers, discovery, run, session
from soteirad.service.layout import Layout

if __name__ == "__main__":
    root, port, *words = sys.argv[1:]
    find = functools.partial(discovery.find_cameras, 1.0, ("239.255.255.250", int(port)))
    session.find_cameras = answers.find_cameras = find
    session.find_devices = list
    run.initialise = functools.partial(run.initialise, layout=Layout(Path(root)))
    if sys.stdin.isatty():  # where passwords are asked
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    sys.argv = ["soteirad", "init", *words]
    cli.main()
