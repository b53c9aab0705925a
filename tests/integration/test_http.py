"""A camera that sends MJPEG over HTTP, as cheap ones and browsers do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.brokers import Mosquitto, Subscriber
from tests.clips import FPS, jpegs
from tests.daemon import events, kinds, payloads, write_config
from tests.house import StartDaemon


@contextmanager
def mjpeg_camera(pictures: list[bytes]) -> Iterator[str]:
    """Serve the pictures to each client in real time, once, then hang up; give the address."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
            self.end_headers()
            with suppress(OSError):  # the client has gone
                for picture in pictures:
                    head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                    self.wfile.write(head.encode() + picture + b"\r\n")
                    if ended.wait(1 / FPS):
                        return

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/video"
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def test_an_mjpeg_camera_goes_online_and_reports_who_enters(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, entry_clip: Path
) -> None:
    with mjpeg_camera(jpegs(entry_clip)) as url:
        daemon = start_daemon(write_config(tmp_path, broker.port, {"porch": {"source": url}}))
        listener.wait_for(lambda seen: payloads(seen, "soteira/porch/status")[-1:] == ["online"])
        seen = listener.wait_for(lambda seen: any(m.topic == "soteira/porch/snapshot" for m in seen))
        assert kinds(events(seen)) == ["entered person"]
        daemon.stop()
