"""A real RTSP server: GStreamer's, in a process of the interpreter that has its bindings.

Imported, it is the helper that starts and kills the server; run as a script, it is the server. Every client gets the
clip from its first frame, in real time.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

START_TIMEOUT_S = 20.0
NEEDS = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-{base,good,bad}"
ELEMENTS = ("filesrc", "qtdemux", "h264parse", "rtph264pay")
_BINDINGS = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
_SYSTEM = "/usr/bin:/usr/local/bin:/opt/homebrew/bin"


def _python_with_bindings() -> str:
    import pytest

    candidates = [sys.executable, shutil.which("python3", path=_SYSTEM)]
    for python in filter(None, candidates):
        if subprocess.run([python, "-c", _BINDINGS], capture_output=True, check=False).returncode == 0:
            return python
    reason = f"GStreamer's RTSP server is not installed: nothing was tested over RTSP (apt install {NEEDS})"
    raise pytest.skip.Exception(reason)


class RtspServer:
    """Serves one clip on a loopback port that survives a restart."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None
        self._python = _python_with_bindings()

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self._port}/clip"

    def start(self, clip: Path) -> None:
        """Serve `clip` and return when the server accepts connections."""
        self._process = subprocess.Popen(
            [self._python, __file__, str(self._port), str(clip)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        deadline, pause = time.monotonic() + START_TIMEOUT_S, threading.Event()
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the RTSP server ended: {self._process.communicate()[1].decode()}")
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1.0).close()
            except OSError:
                pause.wait(0.05)
            else:
                return
        raise RuntimeError("the RTSP server does not listen")

    def kill(self) -> None:
        """End it as a camera that loses its power."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def serve(port: str, clip: str) -> None:
    """Serve until killed."""
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer

    Gst.init(None)
    missing = [name for name in ELEMENTS if Gst.ElementFactory.find(name) is None]
    if missing:
        sys.exit(f"GStreamer has no {', '.join(missing)}: install {NEEDS}")
    factory = GstRtspServer.RTSPMediaFactory()
    source = f'filesrc location="{clip}" ! qtdemux ! h264parse'
    factory.set_launch(f"( {source} ! rtph264pay name=pay0 pt=96 config-interval=1 )")
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    server.get_mount_points().add_factory("/clip", factory)
    server.attach(None)
    GLib.MainLoop().run()


if __name__ == "__main__":
    serve(*sys.argv[1:])
