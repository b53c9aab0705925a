"""Which questions a configuration has."""

from __future__ import annotations

from pathlib import Path

from soteirad.hub.catalogue import Catalogue
from tests.hub.asking import config


def test_without_a_configuration_there_are_no_questions() -> None:
    empty = Catalogue()
    assert (empty.asked, empty.question("porch", "parcel", ""), empty.view("porch")) == ([], None, None)
    assert empty.title("porch") == "porch"


def test_all_that_may_be_asked_is_listed_also_what_is_sent(tmp_path: Path) -> None:
    found = Catalogue(config(tmp_path, "http://127.0.0.1:1/v1"))
    assert found.asked == [("porch", "parcel"), ("porch", "cars"), ("porch", "ask")]
    assert found.title("porch") == "Front porch"
    sent = found.question("porch", "ask", "Who?")
    assert sent is not None and (sent.name, sent.ask, sent.answer.kind) == ("ask", "Who?", "text")
    assert Catalogue(config(tmp_path, None)).asked == []


def test_a_view_changes_with_what_may_be_seen_and_is_none_for_a_camera_that_is_off(tmp_path: Path) -> None:
    def view(**camera: object) -> object:
        cameras = {"porch": {"source": "rtsp://h/porch", **camera}}
        return Catalogue(config(tmp_path, "http://127.0.0.1:1/v1", cameras=cameras)).view("porch")

    assert view() == view(fps=3, name="Door") is not None
    assert len({view(), view(privacy_mask=[[0, 0, 1, 0, 1, 1]]), view(rotate=90), view(detail="rtsp://h/d")}) == 4
    assert view(enabled=False) is None
