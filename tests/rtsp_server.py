"""A real RTSP server: GStreamer's, in a process of the interpreter that has its bindings.

Imported, it is the helper that starts and harms the server; run as a script, it is the server. What it sends is never
encoded again: the clip's packets are taken out of their file beforehand and handed to GStreamer as they are. So it
costs next to nothing, and can send whatever PyAV can read: several sizes or rates in one stream, bit errors.
"""

from __future__ import annotations

import json
import pickle
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

START_TIMEOUT_S = 20.0
NEEDS = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-{base,good,bad} glib-networking openssl"
_BINDINGS = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
_SYSTEM = "/usr/bin:/usr/local/bin:/opt/homebrew/bin"

CODECS = {
    "h264": ("h264parse", "video/x-h264,stream-format=byte-stream,alignment=au", "rtph264pay config-interval=1"),
    "hevc": ("h265parse", "video/x-h265,stream-format=byte-stream,alignment=au", "rtph265pay config-interval=1"),
    "mjpeg": ("jpegparse", "image/jpeg,parsed=false", "rtpjpegpay"),
}
"""Codec by FFmpeg's name: GStreamer's parser, what it is given, and the payloader."""

AUDIO_ONLY = "audiotestsrc is-live=true wave=silence ! audio/x-raw,rate=8000,channels=1 ! audioconvert ! rtpL16pay"
"""For `start_pipeline`: a camera whose address is that of its microphone."""
G711 = "audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay name=pay1 pt=8"
"""For `pipeline_of`: a sound that goes on for ever."""
Auth = Literal["digest", "basic"]
Transport = Literal["any", "tcp", "udp"]


def _python_with_bindings() -> str:
    import pytest

    candidates = [sys.executable, shutil.which("python3", path=_SYSTEM)]
    for python in filter(None, candidates):
        if subprocess.run([python, "-c", _BINDINGS], capture_output=True, check=False).returncode == 0:
            return python
    reason = f"GStreamer's RTSP server is not installed: nothing was tested over RTSP (apt install {NEEDS})"
    raise pytest.skip.Exception(reason)


def pipeline_of(clip: Path, sound: str = "") -> str:
    """Return a pipeline of a clip's H.264 and a `sound` beside it, whose payloader is named pay1: the clip's AAC if
    none is given."""
    own = "d.audio_0 ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97"
    pictures = "d.video_0 ! queue ! h264parse ! rtph264pay pt=96 config-interval=1"
    return f"filesrc location={clip} ! qtdemux name=d {sound or own} {pictures}"


class RtspServer:
    """A camera on a loopback port that survives a restart.

    With `user` and `password` it wants to know them, by `auth`. `transport` is what it agrees to; anything else gets
    461. `loss` is the share of its RTP packets that never leave it, the same ones each time for one `seed`.
    """

    def __init__(self, *, user: str = "", password: str = "", auth: Auth = "digest", tls: bool = False,
                 transport: Transport = "any", loss: float = 0.0, seed: int = 1) -> None:  # fmt: skip
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._python = _python_with_bindings()
        self._tls = tls
        self._options = {"user": user, "password": password, "auth": auth, "transport": transport, "loss": loss}
        self._options |= {"port": self._port, "seed": seed}

    @property
    def url(self) -> str:
        """The address, with user name and password if it wants them."""
        user, password = str(self._options["user"]), str(self._options["password"])
        return self.url_for(user, password) if user else self.url_for()

    def url_for(self, user: str = "", password: str = "", path: str = "clip") -> str:
        """An address that need not be right."""
        account = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
        return f"rtsp{'s' if self._tls else ''}://{account}127.0.0.1:{self._port}/{path}"

    def start(self, clip: Path, *, loop: bool = False, told: Path | None = None) -> None:
        """Serve `clip` (H.264, H.265 or MJPEG) in real time and return when the server accepts connections.

        Every client gets it from its first frame; with `loop` it is live, runs for ever with continuous time stamps,
        and who comes late joins in the middle. Whenever it begins to send, it adds a line of JSON to the file `told`:
        `zero_ns`, the time (monotonic, ns) at which the frame with time 0 of the clip is due, or would have been.
        """
        self.kill()
        codec, packets = read_packets(clip)
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name) / "packets"
        path.write_bytes(pickle.dumps(packets))
        self._start({"codec": codec, "packets": str(path), "loop": loop, "told": str(told or "")})

    def start_pipeline(self, launch: str) -> None:
        """Serve what a GStreamer pipeline makes; its last element is the payloader. AUDIO_ONLY is one."""
        self.kill()
        self._folder = tempfile.TemporaryDirectory()
        self._start({"launch": launch})

    def start_live(self, port: int) -> None:
        """Serve H.264 that is encoded at this moment, as `benchmarks/live_camera.py` gives it out at a local port.

        All clients get the same; what they get first is a key frame.
        """
        self.kill()
        self._folder = tempfile.TemporaryDirectory()
        self._start({"codec": "h264", "live": port, "loop": True, "told": ""})

    def kill(self) -> None:
        """End it as a camera that loses its power."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def freeze(self) -> None:
        """Hang: connections stay open and new ones are accepted by the system, but nothing is sent or answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after `freeze`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _start(self, media: dict[str, Any]) -> None:
        assert self._folder is not None
        options = self._options | media
        if self._tls:
            options["pem"] = str(_certificate(Path(self._folder.name)))
        self._process = subprocess.Popen(
            [self._python, __file__], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(options).encode())
        self._process.stdin.close()
        self._process.stdin = None  # or `communicate` flushes a closed file
        deadline, pause = time.monotonic() + START_TIMEOUT_S, threading.Event()
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                said = self._process.communicate()[1].decode()
                if said.startswith("GStreamer has no"):
                    import pytest

                    raise pytest.skip.Exception(said.strip())
                raise RuntimeError(f"the RTSP server ended: {said}")
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1.0).close()
            except OSError:
                pause.wait(0.05)
            else:
                return
        raise RuntimeError("the RTSP server does not listen")


Packet = tuple[int, int, bool, bytes]
"""Presentation and decoding time in nanoseconds from zero, whether decoding can start here, the data (Annex B)."""


def read_packets(clip: Path) -> tuple[str, list[Packet]]:
    """Return the codec of a clip's video and its packets, as one can send them."""
    import av
    from av.bitstream import BitStreamFilterContext

    found: list[Packet] = []
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        codec = {"h264": "h264", "hevc": "hevc"}.get(stream.codec_context.name, "mjpeg")
        annexb = None if codec == "mjpeg" else BitStreamFilterContext(f"{codec}_mp4toannexb", stream)
        for packet in container.demux(stream):
            if packet.pts is None or packet.dts is None:
                continue
            pts, dts = (int(stamp * packet.time_base * 10**9) for stamp in (packet.pts, packet.dts))
            key = packet.is_keyframe  # the filter empties the packet
            for ready in annexb.filter(packet) if annexb else [packet]:
                found.append((pts, dts, key, bytes(ready)))
    start = min(dts for _, dts, _, _ in found)
    return codec, [(pts - start, dts - start, key, data) for pts, dts, key, data in found]


def length_ns(packets: list[Packet]) -> int:
    """How long packets last, the last one as long as the one before."""
    shown = sorted(pts for pts, _, _, _ in packets)
    return shown[-1] + (shown[-1] - shown[-2] if len(shown) > 1 else 10**8) - shown[0]


def _certificate(folder: Path) -> Path:
    """Write a new self-signed certificate with its key, as cameras have."""
    pem = folder / "camera.pem"
    subject = ["-subj", "/CN=camera", "-days", "2", "-nodes", "-newkey", "rsa:2048"]
    command = ["openssl", "req", "-x509", *subject, "-keyout", str(folder / "key"), "-out", str(folder / "certificate")]
    subprocess.run(command, check=True, capture_output=True)
    pem.write_text((folder / "certificate").read_text() + (folder / "key").read_text())
    return pem


def serve(options: dict[str, Any]) -> None:
    """Serve until killed."""
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtsp", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtsp, GstRtspServer

    Gst.init(None)
    packets: list[Packet] = []
    if "launch" in options:
        launch = options["launch"]
    else:
        parser, caps, payloader = CODECS[options["codec"]]
        launch = f"appsrc name=source format=time max-bytes=0 caps={caps} ! {parser} ! {payloader} pt=96"
        if "live" in options:
            launch = launch.replace("appsrc ", "appsrc is-live=true ")
        else:
            packets = pickle.loads(Path(options["packets"]).read_bytes())  # noqa: S301 - the test has just written it
    # The last element is behind the payloader so that packets can be lost there; it gets them one by one.
    launch += " ! identity name=pay0"
    names = [part.split()[0] for part in launch.split("!") if "/" not in part.split()[0]]
    if missing := [name for name in names if Gst.ElementFactory.find(name) is None]:
        sys.exit(f"GStreamer has no {', '.join(missing)}: install {NEEDS}")

    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(f"( {launch} )")
    tcp, udp = GstRtsp.RTSPLowerTrans.TCP, GstRtsp.RTSPLowerTrans.UDP
    factory.set_protocols({"tcp": tcp, "udp": udp}.get(options["transport"], tcp | udp))
    factory.set_shared(options.get("loop", False))
    began = time.monotonic_ns()

    def configure(_factory: Any, media: Any) -> None:
        element = media.get_element()
        if "live" in options:
            forward = (element.get_by_name("source"), element.get_by_name("pay0"), options["live"])
            threading.Thread(target=_forward, args=forward, daemon=True).start()
        if packets:
            skipped = _feed(element.get_by_name("source"), packets, began if options["loop"] else None)
            if options["told"]:
                _tell_zero(element.get_by_name("pay0"), skipped, Path(options["told"]))
        if options["loss"]:
            _lose(element.get_by_name("pay0").get_static_pad("src"), options["loss"], options["seed"])

    factory.connect("media-configure", configure)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(options["port"]))
    if options["user"] or "pem" in options:
        _protect(server, factory, options)
    server.connect("client-connected", _send_at_once)
    server.get_mount_points().add_factory("/clip", factory)
    server.attach(None)
    GLib.MainLoop().run()


def _tell_zero(pay: Any, skipped: int, told: Path) -> None:
    """Write down when the clip's time 0 was due, once packets flow and the pipeline's clock counts."""
    from gi.repository import Gst

    def look(*_: Any) -> Any:
        if not pay.get_base_time():
            return Gst.PadProbeReturn.OK
        with told.open("a") as file:
            file.write(json.dumps({"zero_ns": pay.get_base_time() - skipped}) + "\n")
        return Gst.PadProbeReturn.REMOVE

    pay.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, look)


def _feed(source: Any, packets: list[Packet], live_since: int | None) -> int:
    """Hand the clip to an `appsrc`; if it is live, from where it is now, and again whenever it has been sent.

    Returns how much of the clip (ns) it leaves out at first.
    """
    from gi.repository import Gst

    length = length_ns(packets)
    at = 0 if live_since is None else (time.monotonic_ns() - live_since) % length
    first = max((index for index, packet in enumerate(packets) if packet[2] and packet[1] <= at), default=0)
    offset = -packets[first][1]
    skipped = packets[first][1]

    def push(*_: Any) -> None:
        nonlocal first, offset
        for pts, dts, _key, data in packets[first:]:
            buffer = Gst.Buffer.new_wrapped(data)
            buffer.pts, buffer.dts = pts + offset, dts + offset
            source.emit("push-buffer", buffer)
        first, offset = 0, offset + length

    if live_since is None:
        push()
        source.emit("end-of-stream")
    else:
        source.connect("need-data", push)
    return skipped


LIVE_HEAD = struct.Struct("!QI")
"""What comes before each live packet: when its picture was taken (monotonic, ns), and how many bytes follow."""


def _forward(source: Any, pay: Any, port: int) -> None:
    """Hand what comes from a local port to an `appsrc`, stamped with when it was captured, until nobody watches."""
    from gi.repository import Gst

    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as stream:
        while head := stream.read(LIVE_HEAD.size):
            captured_ns, size = LIVE_HEAD.unpack(head)
            buffer = Gst.Buffer.new_wrapped(stream.read(size))
            buffer.pts = buffer.dts = max(0, captured_ns - (pay.get_base_time() or captured_ns))
            if source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                return


def _send_at_once(_server: Any, client: Any) -> None:
    """Keep Nagle's algorithm from holding a picture's last packet until the client's delayed acknowledgement: 40 ms."""
    client.get_connection().get_write_socket().set_option(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _lose(pad: Any, share: float, seed: int) -> None:
    """Drop a share of the packets that come out of a pad."""
    from gi.repository import Gst

    chance = random.Random(seed)

    def decide(*_: Any) -> Any:
        return Gst.PadProbeReturn.DROP if chance.random() < share else Gst.PadProbeReturn.OK

    pad.add_probe(Gst.PadProbeType.BUFFER, decide)


def _protect(server: Any, factory: Any, options: dict[str, Any]) -> None:
    """Ask for user name and password, encrypt, or both."""
    from gi.repository import Gio, GstRtsp, GstRtspServer

    auth = GstRtspServer.RTSPAuth()
    if "pem" in options:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(options["pem"]))
    token, permissions = GstRtspServer.RTSPToken(), GstRtspServer.RTSPPermissions()
    token.set_string("media.factory.role", "owner")
    for right in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role("owner", right, True)
    user, password = options["user"], options["password"]
    if not user:
        auth.set_default_token(token)
    elif options["auth"] == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    factory.set_permissions(permissions)
    server.set_auth(auth)


if __name__ == "__main__":
    serve(json.load(sys.stdin))
