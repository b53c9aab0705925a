"""What a camera that turned against its owner can make FFmpeg do: answers that name files, other hosts, odd codecs."""

from __future__ import annotations

import resource
import socket
import struct
import sys
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import pytest

from soteirad.capture.clock import SystemClock
from soteirad.capture.limits import CODECS, network_limits
from soteirad.capture.packets import PacketSource
from soteirad.capture.source import Source, SourceSettings, open_source
from soteirad.errors import SourceError, SourceRefused
from tests.capture.made import write_clip
from tests.clips import jpegs
from tests.http_camera import HttpCamera
from tests.scripted_rtsp import ScriptedRtsp

SETTINGS = SourceSettings("max", connect_timeout=2.0, read_timeout=2.0)
HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n"
MPD = """<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT5S">
<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{}</BaseURL></Representation>
</AdaptationSet></Period></MPD>"""
SDP = """v=0
o=- 0 0 IN IP4 127.0.0.1
s=x
c=IN IP4 127.0.0.1
t=0 0
m=video {} RTP/AVP 96
a=rtpmap:96 H264/90000
"""


class Web:
    """An HTTP server with one answer for all paths; a text beginning with `to:` is a redirect there."""

    def __init__(self, answers: Mapping[str, bytes] | None = None, kind: str = "application/octet-stream") -> None:
        self.answers = dict(answers or {})
        self.asked: list[tuple[str, str | None]] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append((self.path, self.headers.get("Authorization")))
                body = web.answers.get(self.path.partition("?")[0], b"")
                moved = body.startswith(b"to:")
                self.send_response(302 if moved else 200 if body else 404)
                if moved:
                    self.send_header("Location", body[3:].decode())
                    body = b""
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Web:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, path: str, account: str = "") -> str:
        return f"http://{account}127.0.0.1:{self._server.server_address[1]}{path}"


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Web]:
    """What stands in the same network and is not meant for the camera: here it even has a video."""
    clip = write_clip(tmp_path / "inner.ts", 10)
    with Web({"/inner.ts": clip.read_bytes()}) as web:
        yield web


def frame_of(source: Source) -> int:
    source.open()
    try:
        return source.read().width
    finally:
        source.close()


def refused(url: str) -> str:
    with pytest.raises(SourceError) as caught:
        frame_of(open_source(url, SETTINGS))
    return str(caught.value)


@pytest.mark.parametrize("kind", ["application/vnd.apple.mpegurl", "video/mp4"])
@pytest.mark.parametrize(
    "text",
    [f"{HEAD}{{inner}}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile {inner}\n", MPD, "[playlist]\nFile1={inner}\n",
     "{inner}\n"],
    ids=["hls", "concat", "dash", "pls", "a bare address"],
)  # fmt: skip
def test_a_list_of_addresses_in_place_of_a_picture_makes_us_ask_nobody(victim: Web, text: str, kind: str) -> None:
    inner = victim.url("/inner.ts")
    with Web({"/video": text.format(inner, inner=inner).encode()}, kind) as camera:
        message = refused(camera.url("/video", "viewer:s3cret@"))
    assert victim.asked == []
    assert "s3cret" not in message
    assert "give the address of the video itself" in message or "is it a camera's address" in message


@pytest.mark.parametrize("text", [f"{HEAD}file://{{0}}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile '{0}'\n",
                                  f"{HEAD}{{0}}\n#EXT-X-ENDLIST\n", "to:file://{0}"])  # fmt: skip
@pytest.mark.parametrize("path", ["/video", "/video.m3u8"])
def test_no_answer_of_a_camera_makes_us_read_a_file_of_this_machine(tmp_path: Path, text: str, path: str) -> None:
    private = write_clip(tmp_path / "private.ts", 10)
    with Web({path: text.format(private).encode()}) as camera:
        refused(camera.url(path))


def test_a_description_of_a_session_opens_no_port_of_this_machine() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        # It is still bound: who tried to listen there would say so.
        with Web({"/video": SDP.format(port).encode()}, "application/sdp") as camera:
            assert "give the address of the video itself" in refused(camera.url("/video"))


@pytest.mark.parametrize("to", ["{victim}", "rtsp://127.0.0.1:1/x", "file:///etc/hostname", "//127.0.0.1/inner.ts"])
def test_a_redirect_is_not_followed_and_its_owner_is_told(victim: Web, to: str) -> None:
    address = to.format(victim=victim.url("/inner.ts"))
    with Web({"/video": f"to:{address}".encode()}) as camera:
        message = refused(camera.url("/video", "viewer:s3cret@"))
        assert len(camera.asked) <= 2, "once without and once with the password, at most"
    assert victim.asked == []
    assert "sends us to another address, which is not followed" in message


def test_a_camera_that_ends_its_stream_is_not_said_to_send_us_elsewhere(tmp_path: Path) -> None:
    with HttpCamera(jpegs(write_clip(tmp_path / "a.mp4", 5)), loop=False) as camera:
        source = open_source(camera.url, SETTINGS)
        source.open()
        source.read()
        camera.hang_up()
        with pytest.raises(SourceError, match="the camera broke the connection off"):
            while True:
                source.read()
        source.close()


def test_a_playlist_that_its_owner_wrote_down_is_played(victim: Web) -> None:
    text = f"{HEAD}{victim.url('/inner.ts')}\n#EXT-X-ENDLIST\n"
    with Web({"/live/index.M3U8": text.encode()}, "application/vnd.apple.mpegurl") as server:
        assert frame_of(open_source(server.url("/live/index.M3U8?token=1"), SETTINGS)) > 0


@pytest.mark.parametrize(("name", "codec"), [("a.ts", "libx264"), ("a.flv", "libx264"), ("a.mkv", "libx264"),
                                             ("a.mp4", "mpeg4"), ("a.h264", "libx264"),
                                             ("a.ts", "libx265"), ("a.mkv", "libvpx")])  # fmt: skip
def test_what_cameras_send_over_http_is_played_as_before(tmp_path: Path, name: str, codec: str) -> None:
    clip = write_clip(tmp_path / name, 20, codec=codec)
    with Web({"/video": clip.read_bytes()}) as camera:
        assert frame_of(open_source(camera.url("/video"), SETTINGS)) > 0


@pytest.mark.parametrize("codec", ["ffv1", "msmpeg4", "mpeg2video"])
def test_video_that_only_an_attacker_would_send_is_not_decoded(tmp_path: Path, codec: str) -> None:
    clip = write_clip(tmp_path / "a.mkv", 5, codec=codec)
    with Web({"/video": clip.read_bytes()}) as camera:
        source = open_source(camera.url("/video"), SETTINGS)
        with pytest.raises(SourceRefused, match="which cameras do not: set the camera to H"):
            frame_of(source)
        packets = PacketSource(camera.url("/video"), SETTINGS, SystemClock())
        with pytest.raises(SourceRefused, match="which cameras do not"):
            packets.open()
    assert frame_of(open_source(str(clip), SETTINGS)) > 0, "an owner's own file may be anything"


def bomb(side: int) -> bytes:
    """A PNG of black pixels: so small that it says nothing of the memory that its picture takes."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = zlib.compressobj(9)
    row = bytes(1 + side)
    data = b"".join(lines.compress(row) for _ in range(side)) + lines.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("path", ["/picture.png", "/video"])
def test_a_picture_that_would_fill_the_memory_is_not_decoded(path: str) -> None:
    picture = bomb(8000)
    assert len(picture) < 100_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Web({path: picture}) as camera:
        assert "pictures of far too many pixels" in refused(camera.url(path))
    unit = 1 if sys.platform == "darwin" else 1024
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit < 8000 * 8000


def test_a_stream_whose_pictures_grow_beyond_all_bounds_ends_there(tmp_path: Path) -> None:
    small = write_clip(tmp_path / "a.ts", 10).read_bytes()
    with av.open(str(tmp_path / "b.ts"), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 8000, 6000, "yuv420p"
        frame = av.VideoFrame(8000, 6000, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with Web({"/video": small + (tmp_path / "b.ts").read_bytes()}) as camera:
        source = open_source(camera.url("/video"), SETTINGS)
        source.open()
        widths = set()
        with pytest.raises(SourceError):
            while True:
                widths.add(source.read().width)
        source.close()
    assert widths == {64}


def test_a_file_that_is_a_list_of_addresses_reaches_nothing_in_the_network(tmp_path: Path, victim: Web) -> None:
    clip = tmp_path / "clip.m3u8"
    clip.write_text(f"{HEAD}{victim.url('/inner.ts')}\n#EXT-X-ENDLIST\n", encoding="utf-8")
    refused(str(clip))
    assert victim.asked == []


@pytest.mark.parametrize("name", CODECS)
def test_the_allowed_codecs_are_codecs_of_video(name: str) -> None:
    with suppress(ValueError):  # not every FFmpeg has all of them
        assert av.Codec(name, "r").type == "video"


@pytest.mark.parametrize("url", ["rtsp://h/a.m3u8", "rtsps://h/a", "http://h/a", "https://h/a.m3u8", "HTTP://h/a"])
def test_no_address_of_a_camera_may_lead_to_a_file(url: str) -> None:
    protocols = network_limits(url)["protocol_whitelist"].split(",")
    assert {"file", "data", "concat", "subfile", "pipe", "ftp"}.isdisjoint(protocols)


def test_a_camera_over_rtsp_cannot_send_us_to_another_machine() -> None:
    asked, elsewhere = [], socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with suppress(OSError):
            elsewhere.accept()[0].close()
            asked.append(True)

    watching = threading.Thread(target=accept)
    watching.start()
    location = f"rtsp://127.0.0.1:{elsewhere.getsockname()[1]}/x"
    with ScriptedRtsp([], answers={"DESCRIBE": 302}, location=location) as camera:
        assert "sends us to another address" in refused(camera.url)
    elsewhere.shutdown(socket.SHUT_RDWR)
    elsewhere.close()
    watching.join()
    assert asked == []
