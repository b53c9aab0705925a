"""A camera whose pictures are drawn and encoded while somebody watches, and say themselves when that was.

    python -m benchmarks.live_camera 1280x720 2000000 PORT FILE

draws `PersonScene`, encodes it with libx264 and gives each packet to whoever is connected to the local port, from a key
frame on; into the file goes a line of JSON for each picture (`number`, `drawn` and `encoded`, ms since the epoch).
Imported, it starts such a process with an RTSP server before it.
"""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from benchmarks.person_scene import FPS, PersonScene
from benchmarks.time_pattern import Stamp
from tests.brokers import free_port
from tests.rtsp_server import LIVE_HEAD, RtspServer
from tests.shared_data import CHECKOUT

GOP_S = 2
SIZES = {(640, 360): 1_000_000, (1280, 720): 2_000_000}
"""Bits a second by width and height (pixels): what cameras commonly send."""
BEHIND = 50
"""Who has not taken so many packets is cut off."""


def encoder(size: tuple[int, int], bit_rate: int, preset: str = "veryfast", threads: int = 1) -> Any:
    """Return an encoder as cameras have it: no delay, a key frame every 2 s, a bit rate that is kept."""
    context: Any = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = *size, "yuv420p"
    context.time_base, context.framerate = Fraction(1, FPS), Fraction(FPS)
    context.gop_size, context.bit_rate, context.thread_count = GOP_S * FPS, bit_rate, threads
    context.options = {"preset": preset, "tune": "zerolatency", "maxrate": str(bit_rate), "bufsize": str(bit_rate)}
    return context


@dataclass
class LiveCamera:
    """A camera that runs: its address, its scene, and the file in which it notes its pictures."""

    url: str
    scene: PersonScene
    told: Path
    port: int
    """For `RtspServer.start_live` of further servers of the same stream."""

    def encoding_ms(self) -> list[float]:
        """Return how long each picture so far was under way in the camera, from drawing to the encoder's end (ms)."""
        return [picture["encoded"] - picture["drawn"] for picture in self._pictures()]

    def bit_rate(self) -> float:
        """Return what it has sent so far (bits a second)."""
        return statistics.fmean(picture["bytes"] for picture in self._pictures()) * 8 * FPS

    def _pictures(self) -> list[dict[str, float]]:
        return [json.loads(line) for line in self.told.read_text().splitlines()]


@contextmanager
def live_camera(folder: Path, size: tuple[int, int]) -> Iterator[LiveCamera]:
    """Run a camera over RTSP. Skips where GStreamer's server is missing."""
    server, port, told = RtspServer(), free_port(), folder / f"pictures-{size[0]}.jsonl"
    arguments = ["{}x{}".format(*size), str(SIZES[size]), str(port), str(told)]
    command = [sys.executable, "-m", "benchmarks.live_camera", *arguments]
    process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        server.start_live(port)
        yield LiveCamera(server.url, PersonScene(size), told, port)
    finally:
        server.kill()
        process.kill()
        process.communicate()


class Receivers:
    """Who gets the packets: each connection has a thread and a queue, and begins with a key frame."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self._queues: dict[queue.Queue[bytes], bool] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def send(self, data: bytes, key: bool) -> None:
        """Give a packet to all that wait for it; drops who does not take any."""
        with self._lock:
            for waiting, begun in list(self._queues.items()):
                if waiting.qsize() > BEHIND:
                    del self._queues[waiting]
                elif begun or key:
                    self._queues[waiting] = True
                    waiting.put(data)

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            waiting: queue.Queue[bytes] = queue.Queue()
            with self._lock:
                self._queues[waiting] = False
            threading.Thread(target=self._serve, args=(connection, waiting), daemon=True).start()

    def _serve(self, connection: socket.socket, waiting: queue.Queue[bytes]) -> None:
        with contextlib.suppress(OSError), connection:
            while True:
                connection.sendall(waiting.get())
        with self._lock:
            self._queues.pop(waiting, None)


def main() -> None:
    """Draw and encode until killed; a picture for which there is no time is left out."""
    shape: Any = tuple(map(int, sys.argv[1].split("x")))
    scene, context, receivers = PersonScene(shape), encoder(shape, int(sys.argv[2])), Receivers(int(sys.argv[3]))
    print("drawing", flush=True)
    began, number = time.monotonic(), 0
    with Path(sys.argv[4]).open("w", buffering=1) as told:
        while True:
            time.sleep(max(0.0, began + number / FPS - time.monotonic()))
            drawn, captured_ns = time.time() * 1000, time.monotonic_ns()
            frame = av.VideoFrame.from_ndarray(scene.draw(Stamp(int(drawn), number)), format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            size = 0
            for packet in context.encode(frame):
                receivers.send(LIVE_HEAD.pack(captured_ns, packet.size) + bytes(packet), packet.is_keyframe)
                size += packet.size
            note = {"number": number, "drawn": drawn, "encoded": time.time() * 1000, "bytes": size}
            told.write(json.dumps(note) + "\n")
            number = max(number + 1, int((time.monotonic() - began) * FPS))


if __name__ == "__main__":
    main()
