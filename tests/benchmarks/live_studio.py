"""A page of a few lines that plays the person's scene, encoded live, so that what is measured of it is known.

It has the daemon's messages and the page's words and classes, and nothing of the daemon or the page.
"""

from __future__ import annotations

import contextlib
import json
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import av
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from benchmarks.live_camera import encoder
from benchmarks.person_scene import FPS, PersonScene
from benchmarks.time_pattern import Stamp

SIZE = (640, 360)
HOLD_S = 0.2
"""How long the server keeps each picture."""
PAGE = """<!doctype html><article data-camera="cam1"><div style="position:relative;width:640px;height:360px">
<video muted style="width:640px;height:360px"></video><div class="box track" style="position:absolute"></div></div>
<button>Live video</button><span role="status">Live</span></article><script>
const video = document.querySelector("video"), box = document.querySelector(".box"), overlays = [], queue = [];
let buffer = null;
const feed = () => {
	if (buffer && !buffer.updating && queue.length) buffer.appendBuffer(queue.shift());
	const { buffered } = video;
	if (!buffered.length || video.seeking) return;
	if (buffered.end(0) - video.currentTime > 1) video.currentTime = buffered.end(0) - 0.2;
};
const draw = (_, { mediaTime }) => {
	const found = overlays.findLast(({ at }) => at <= mediaTime + 0.01);
	if (found) {
		const [x1, y1, x2, y2] = found.values.tracks[0].box;
		Object.assign(box.style, { left: `${x1 * 100}%`, top: `${y1 * 100}%`, width: `${(x2 - x1) * 100}%`,
			height: `${(y2 - y1) * 100}%` });
	}
	video.requestVideoFrameCallback(draw);
};
video.requestVideoFrameCallback(draw);
document.querySelector("button").onclick = () => {
	const socket = new WebSocket("ws://127.0.0.1:PORT/"), source = new MediaSource();
	socket.binaryType = "arraybuffer";
	socket.onmessage = ({ data }) => {
		if (typeof data !== "string") { queue.push(data); feed(); return; }
		const message = JSON.parse(data);
		if (message.kind === "overlay") { overlays.push(message); return; }
		video.src = URL.createObjectURL(source);
		source.onsourceopen = () => {
			buffer = source.addSourceBuffer(`video/mp4; codecs="${message.codec}"`);
			buffer.onupdateend = feed;
			feed();
		};
		video.play();
	};
};
</script>"""


@contextmanager
def live_studio(late: int) -> Iterator[str]:
    """Serve the scene; boxes are those of `late` pictures before. Yields the page as text."""
    ended = threading.Event()
    server = serve(lambda connection: _send(connection, late, ended), "127.0.0.1", 0, compression=None)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield PAGE.replace("PORT", str(server.socket.getsockname()[1]))
    finally:
        ended.set()
        server.shutdown()


def _send(connection: ServerConnection, late: int, ended: threading.Event) -> None:
    scene, context, file = PersonScene(SIZE), encoder(SIZE, 1_000_000), BytesIO()
    began = time.monotonic()
    options = {"movflags": "frag_every_frame+empty_moov+default_base_moof+cmaf"}
    with contextlib.suppress(ConnectionClosed), av.open(file, "w", format="mp4", options=options) as out:
        stream: Any = out.add_stream("libx264", rate=FPS, options=context.options)
        stream.width, stream.height, stream.pix_fmt, stream.time_base = *SIZE, "yuv420p", context.time_base
        number = -1
        while not ended.wait(max(0.0, began + (number + 1) / FPS - time.monotonic())):
            number += 1
            drawn = int(time.time() * 1000)
            frame = av.VideoFrame.from_ndarray(scene.draw(Stamp(drawn, number)), format="yuv420p")
            frame.pts, frame.time_base = number, context.time_base
            out.mux(stream.encode(frame))
            threading.Timer(HOLD_S, _pass_on, (connection, file.getvalue(), number, scene.box(number - late))).start()
            file.seek(0)
            file.truncate()


def _pass_on(connection: ServerConnection, data: bytes, number: int, box: Any) -> None:
    values = {"time": "2026-11-23T06:00:00.000Z", "looked": 0.0, "tracks": [{"box": box}]}
    with contextlib.suppress(ConnectionClosed):
        for kind, part in parts(data):
            if kind == "head":
                connection.send(json.dumps({"kind": "start", "codec": f"avc1.{_profile(part)}", "width": SIZE[0],
                                            "height": SIZE[1], "encoded": True}))  # fmt: skip
            connection.send(part)
        connection.send(json.dumps({"kind": "overlay", "at": number / FPS, "values": values}))


def parts(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Return what is in fragmented MP4: the head, if it begins with one, and each fragment."""
    at, begin = 0, 0
    while at + 8 <= len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        at += size
        if name in (b"moov", b"mdat"):
            yield "head" if name == b"moov" else "piece", data[begin:at]
            begin = at


def _profile(head: bytes) -> str:
    at = head.index(b"avcC") + 5
    return head[at : at + 3].hex()
