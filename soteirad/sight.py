"""A look at one camera's source, in a process of its own: what a library does with a broken stream is its own matter.

The parent gets a `Sight`, whatever happens.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

from soteirad.assembly import source_settings
from soteirad.capture.age import LATE_S
from soteirad.capture.hardware import usable_hardware
from soteirad.capture.source import Source, SourceSettings, StreamMemory, open_source
from soteirad.config import CameraConfig
from soteirad.config.address import encode_user_info, scheme_of
from soteirad.errors import SourceEnded, SourceError, SourceRefused

LOOK_S = 4.0
WARM_S = 0.5
"""Cameras begin with what they kept; how fast the pictures come is counted from then on."""
LONGEST_WAIT_S = 10.0
"""For a connection and for a picture, whatever the configuration allows."""
MOST_FRAMES = 60
"""Of a file, which comes as fast as it can be read."""
PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
SPARE_S = 15.0
"""What starting the process and saying good-bye to the camera may take besides."""


@dataclass(frozen=True)
class Sight:
    """What was seen of a source.

    `problem` says why nothing was (`refused`: by the camera itself), `fps` is what was measured (None: too short to
    tell), `first_s` the wait for the first picture, `decode_ms` the median for one. `hardware` is the kind that
    decodes, `possible` one that could and is switched off; `wished` is one that cannot be used.
    """

    problem: str = ""
    refused: bool = False
    width: int = 0
    height: int = 0
    codec: str = ""
    frames: int = 0
    fps: float | None = None
    first_s: float = 0.0
    decode_ms: float = 0.0
    corrupt: int = 0
    late: int = 0
    hardware: str = ""
    possible: str = ""
    wished: str = ""
    detail: Sight | None = None


def look_apart(camera: CameraConfig, seconds: float, ended: Callable[[], bool] = lambda: False,
               target: Callable[[Connection, CameraConfig, float], None] | None = None) -> Sight:  # fmt: skip
    """Look at a camera for so many seconds in a process of its own; `ended` says when to give it up."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=target or _main, args=(theirs, camera, seconds), daemon=True)
    limit = (2 if camera.detail is not None else 1) * 3 * LONGEST_WAIT_S + seconds + SPARE_S
    deadline = time.monotonic() + limit
    try:
        with _started_in_peace():
            process.start()
        theirs.close()
        while not ours.poll(0.2):
            if ended() or time.monotonic() > deadline:
                return Sight(problem=f"nothing came of it within {limit:.0f} s: the camera or the library that reads "
                             "it hangs; restart the camera")  # fmt: skip
        found = ours.recv()
        return found if isinstance(found, Sight) else Sight(problem="no answer")
    except EOFError:
        process.join(1.0)
        return Sight(problem=f"reading it crashed the reader (exit code {process.exitcode}): set the camera to plain "
                     "H.264, and try hwaccel: none")  # fmt: skip
    finally:
        if process.pid is not None:
            process.kill()
            process.join(5.0)
        ours.close()
        theirs.close()


@contextmanager
def _started_in_peace() -> Iterator[None]:
    """Let Ctrl-C wait until a process has all that it needs, for it would complain; the child never hears of it.

    Ctrl-C reaches the whole group, and the parent decides. Python's handler runs in the main thread, whichever thread
    the signal came to.
    """
    came: list[int] = []
    resource_tracker.ensure_running()  # which lets Ctrl-C through in this thread when it has to be started
    main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number)) if main else None
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if main:
            signal.signal(signal.SIGINT, handler)
    if came:
        signal.raise_signal(signal.SIGINT)


def look(camera: CameraConfig, seconds: float) -> Sight:
    """Open a camera's source, read it for so many seconds, close it, then take one picture of its detail source."""
    hwaccel = usable_hardware(camera.hwaccel)
    settings = source_settings(camera, hwaccel)
    settings = replace(settings, speed="max", connect_timeout=min(settings.connect_timeout, LONGEST_WAIT_S),
                       read_timeout=min(settings.read_timeout, LONGEST_WAIT_S))  # fmt: skip
    seen = _look(camera.source, settings, seconds)
    if camera.hwaccel == "none":
        seen = replace(seen, possible=usable_hardware("auto").replace("none", ""))
    elif camera.hwaccel != "auto" and not seen.hardware:
        seen = replace(seen, wished=camera.hwaccel)
    if camera.detail is not None and not seen.problem:
        seen = replace(seen, detail=_look(camera.detail, replace(settings, stream=0), 0.0))
    return seen


def _main(connection: Connection, camera: CameraConfig, seconds: float) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)  # libraries write what they like
    connection.send(look(camera, seconds))


def _look(address: str, settings: SourceSettings, seconds: float) -> Sight:
    memory = StreamMemory()
    try:
        source = open_source(address, settings, memory=memory)
        try:
            return _measured(source, settings, seconds, memory)
        finally:
            source.close()
    except SourceRefused as error:
        return Sight(problem=str(error), refused=True)
    except SourceError as error:
        return Sight(problem=unreachable(address, settings.connect_timeout) or str(error))


def unreachable(address: str, seconds: float) -> str:
    """Say why no connection to a camera in the network comes about, which FFmpeg often does not; empty if one does."""
    parts = urlsplit(encode_user_info(address)) if scheme_of(address) in PORTS else None
    if parts is None or parts.hostname is None:
        return ""
    where = f"{parts.hostname} port {parts.port or PORTS[parts.scheme]}"
    try:
        socket.create_connection((parts.hostname, parts.port or PORTS[parts.scheme]), seconds).close()
    except socket.gaierror:
        return f"the name {parts.hostname} is not known in this network: correct it, or give the camera's IP address"
    except ConnectionRefusedError:
        return f"the connection to {where} is refused: is the port right, and is RTSP switched on in the camera?"
    except OSError:
        return f"nobody answers at {where}: is the camera on and in this network, and is the address right?"
    return ""


def _measured(source: Source, settings: SourceSettings, seconds: float, memory: StreamMemory) -> Sight:
    began = time.monotonic()
    source.open()
    frame = source.read()
    first = time.monotonic() - began
    width, height = (frame.height, frame.width) if settings.rotate in (90, 270) else (frame.width, frame.height)
    codec = source.decoder.stream.codec_context.name
    times, decoding, late, count = [], [frame.decode_ms], 0, 1
    end = time.monotonic() + seconds
    while time.monotonic() < end and (source.live or count < MOST_FRAMES):
        try:
            frame = source.read()
        except SourceEnded:
            if source.live:
                raise
            break
        count += 1
        late += frame.received - frame.time > LATE_S if source.live else 0
        decoding.append(frame.decode_ms)
        if not source.live or time.monotonic() - began - first > WARM_S:
            times.append(frame.time)
    lasted = times[-1] - times[0] if len(times) > 2 else 0.0
    hardware = settings.hwaccel if settings.hwaccel != "none" and source.decoder.in_hardware else ""
    return Sight(
        width=width, height=height, codec=codec, frames=count, first_s=first, late=late, hardware=hardware,
        fps=(len(times) - 1) / lasted if lasted > 0 else None, decode_ms=statistics.median(decoding),
        corrupt=memory.counters.corrupt,
    )  # fmt: skip
