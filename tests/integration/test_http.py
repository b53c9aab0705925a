"""A camera that sends MJPEG over HTTP, as cheap ones and browsers do."""

from __future__ import annotations

from pathlib import Path

from tests.brokers import Mosquitto, Subscriber
from tests.clips import jpegs
from tests.daemon import events, kinds, payloads, write_config
from tests.house import StartDaemon
from tests.http_camera import HttpCamera


def test_an_mjpeg_camera_goes_online_and_reports_who_enters(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, entry_clip: Path
) -> None:
    with HttpCamera(jpegs(entry_clip), loop=False) as camera:
        daemon = start_daemon(write_config(tmp_path, broker.port, {"porch": {"source": camera.url}}))
        listener.wait_for(lambda seen: payloads(seen, "soteira/porch/status")[-1:] == ["online"])
        seen = listener.wait_for(lambda seen: any(m.topic == "soteira/porch/snapshot" for m in seen))
        assert kinds(events(seen)) == ["entered person"]
        daemon.stop()
