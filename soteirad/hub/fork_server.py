"""The fork server: it has imported once what all camera processes share, and forks them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from multiprocessing import forkserver
from multiprocessing.context import BaseContext

CAMERA, TOLD, FROZEN = "soteirad.camera", "soteirad.hub.told", "soteirad.hub.frozen"


class ForkServer:
    """For the main thread. This module imports nothing else of ours: the fork server is to be at work before the hub's
    own imports, and takes as long as they do.

    Four processes with NanoDet-g at 1280x720 took 85 MB each this way on OpenVINO and 76 MB on onnxruntime, and without
    the engine's library and `frozen` 108 and 84 MB (PSS, measured). The fork server runs no thread of a library, so
    nothing is forked in the middle of something. On macOS processes are spawned: Apple's frameworks do not survive a
    fork.
    """

    def __init__(self) -> None:
        self._tell: int | None = None

    def start(self) -> None:
        """Let it import what every camera needs; it waits for `context` to name the rest. The environment has to be
        free of secrets by now. Without a standard input, through which it is told, it starts with `context`."""
        if sys.platform == "darwin":
            return
        try:
            ours = os.dup(0)
        except OSError:
            return
        theirs, self._tell = os.pipe()
        os.dup2(theirs, 0)
        os.close(theirs)
        try:
            _run([CAMERA, TOLD, FROZEN])
        finally:
            os.dup2(ours, 0)
            os.close(ours)

    def context(self, libraries: Sequence[str]) -> BaseContext:
        """Return the multiprocessing context for cameras that import these `libraries`."""
        if sys.platform == "darwin":
            return multiprocessing.get_context("spawn")
        if self._tell is not None:
            with contextlib.suppress(BrokenPipeError):  # it has ended: another one is started
                os.write(self._tell, "\n".join(libraries).encode())
            os.close(self._tell)
            self._tell = None
        _run([CAMERA, *libraries, FROZEN])
        return multiprocessing.get_context("forkserver")


def _run(modules: list[str]) -> None:
    """Start a fork server that imports `modules`, unless there is one; so is one that takes its place some day."""
    forkserver.set_forkserver_preload(modules)
    # What a terminal sends reaches the whole group, and must not take the fork server.
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGHUP, signal.SIGINT)}
    forkserver.ensure_running()
    for number, handler in before.items():
        signal.signal(number, handler)
