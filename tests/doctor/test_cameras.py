"""The cameras: what is seen of them, on real streams and on what was seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from soteirad.config.schema import camera_from
from soteirad.doctor.cameras import check, seen
from soteirad.doctor.finding import Finding
from soteirad.sight import Sight, look
from tests.brokers import free_port
from tests.clips import cut
from tests.doctor.people import one, patient, verdicts
from tests.rtsp_server import RtspServer

SOURCE = "rtsp://10.0.0.7/live"
GOOD = Sight(width=640, height=360, codec="h264", frames=40, fps=10.0, first_s=0.4, decode_ms=1.2)


def of(sight: Sight, daemon: bool = False, **camera: Any) -> list[Finding]:
    return list(seen("porch", camera_from({"source": SOURCE, **camera}), sight, daemon))


def test_real_cameras_are_looked_at_together_and_each_trouble_is_told_in_its_words(tmp_path: Path) -> None:
    server = RtspServer(user="viewer", password="geheim-1")  # noqa: S106 - a test's
    server.start(cut(tmp_path / "short.mp4", ((1.0, 3.0),)), loop=True)
    try:
        cameras = {
            "good": {"source": server.url, "detail": server.url},
            "password": {"source": server.url_for("viewer", "topsecret")},
            "closed": {"source": f"rtsp://127.0.0.1:{free_port()}/clip"},
            "off": {"source": SOURCE, "enabled": False},
        }
        found = list(check(replace(patient(tmp_path, cameras=cameras), fast=True)))
    finally:
        server.kill()
    closed, good, detail, off, password = found
    assert [f.what for f in found] == ["closed", "good", "good", "off", "password"]
    assert verdicts(found) == ["fail", "ok", "ok", "ok", "fail"]
    assert good.text.startswith("640x360 H.264") and "decoded by" in good.text
    assert detail.text.startswith("detail: 640x360") and "not looked at" in off.text
    assert password.text == "the camera refused user name or password" and password.remedy
    assert "refused" in closed.text and "port" in closed.remedy
    assert "geheim-1" not in str(found) and "topsecret" not in str(found)


def test_a_file_that_is_missing_is_told_without_its_name(tmp_path: Path) -> None:
    missing = look(camera_from({"source": str(tmp_path / "none.mp4")}), 5.0)
    (told,) = seen("clip", camera_from({"source": str(tmp_path / "none.mp4")}), missing)
    assert told.text == "there is no such file"


def test_a_good_stream_is_one_line() -> None:
    (found,) = of(GOOD)
    assert found.verdict == "ok"
    assert found.text == ("640x360 H.264, 10.0 pictures a second; the first after 0.4 s; decoded by the processor, "
                          "1.2 ms each")  # fmt: skip


@pytest.mark.parametrize(("change", "camera", "told"), [
    ({"corrupt": 5}, {}, "5 of 40 pictures are damaged"),
    ({"late": 3}, {}, "more than 2 s late"),
    ({"width": 3840, "height": 2160}, {}, "the large stream"),
    ({"fps": 2.0}, {}, "only 2.0 pictures a second"),
    ({"first_s": 9.0}, {}, "the first picture came after 9 s"),
    ({"decode_ms": 70.0}, {}, "decoding takes 70% of a processor core"),
    ({"wished": "vaapi"}, {"hwaccel": "vaapi"}, "hwaccel vaapi cannot be used"),
    ({"detail": Sight(problem="connection refused: is it on?")}, {}, "no detail picture (connection refused)"),
])  # fmt: skip
def test_what_is_odd_about_a_stream_is_one_line_more(change: dict[str, Any], camera: dict[str, Any], told: str) -> None:
    found = one(of(replace(GOOD, **change), **camera), "warn")
    assert told in found.text and found.remedy


def test_a_slow_camera_of_which_no_more_is_wished_is_well() -> None:
    assert verdicts(of(replace(GOOD, fps=2.0), fps=2)) == ["ok"]


def test_hardware_that_decodes_is_named_and_one_that_is_forbidden_too() -> None:
    assert "decoded by vaapi" in of(replace(GOOD, hardware="vaapi"))[0].text
    assert "vaapi could decode it" in of(replace(GOOD, possible="vaapi"), hwaccel="none")[1].text


def test_a_camera_that_the_daemon_has_open_may_refuse_another_viewer() -> None:
    failed = Sight(problem="nothing comes from it: is the camera on?")
    assert "some cameras serve few" in of(failed, daemon=True)[0].remedy
    assert of(failed)[0].remedy == of(replace(failed, refused=True), daemon=True)[0].remedy == "is the camera on?"
