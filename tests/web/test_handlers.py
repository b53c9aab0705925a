"""Each route, asked over a real connection."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from soteirad.archive import Archive, Wanted
from soteirad.errors import StorageError
from soteirad.web import handlers
from soteirad.web.models import Cameras, Events, Health, NearMisses, Overrides, Session
from soteirad.web.workers import MOST_LOOKERS
from tests.waiting import wait_until
from tests.web.running import Running, error_of

THRESHOLD = "/api/cameras/porch/thresholds/min_score"
SQUARE = [0.1, 0.1, 0.9, 0.1, 0.9, 0.9]


@pytest.mark.parametrize(
    ("path", "model"),
    [("session", Session), ("cameras", Cameras), ("health", Health), ("overrides", Overrides), ("events", Events),
     ("near-misses", NearMisses)],
)  # fmt: skip
def test_what_is_answered_has_the_shape_that_is_promised(shared: Running, path: str, model: type[BaseModel]) -> None:
    answer = shared.get(f"/api/{path}")
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    model.model_validate(answer.json())


def test_readiness_is_said_in_a_word_and_a_status(site: Running) -> None:
    site.box.starting()
    answer = site.http.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "starting\n")
    site.box.start()
    answer = site.http.get("/readyz")
    assert (answer.status_code, answer.text) == (200, "ready\n")


def test_a_threshold_is_set_and_let_go(site: Running) -> None:
    answer = site.http.put(THRESHOLD, json={"value": 0.7}, headers=site.bearer)
    assert (answer.status_code, answer.json()) == (202, {"accepted": True})
    assert site.get("/api/cameras").json()["cameras"][0]["thresholds"]["min_score"] == {
        "value": 0.7, "file": 0.4, "low": 0.0, "high": 1.0, "overridden": True}  # fmt: skip
    assert site.http.delete(THRESHOLD, headers=site.bearer).status_code == 202
    assert site.box.wishes == [("porch", "min_score", 0.7), ("porch", "min_score", None)]
    assert site.get("/api/overrides").json() == {"yaml": "", "diff": ""}


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        (THRESHOLD, {"value": 1.5}, 422, "allowed is a number from 0.0 to 1.0"),
        (THRESHOLD, {"value": "0.5"}, 422, "value: Input should be a valid number"),
        (THRESHOLD, {"value": True}, 422, "value: "),
        (THRESHOLD, {"value": None}, 422, "value: "),
        (THRESHOLD, {}, 422, "value: Field required"),
        (THRESHOLD, {"value": 0.5, "more": 1}, 422, "more: "),
        (THRESHOLD, [0.5], 422, "body: "),
        (THRESHOLD.replace("porch", "shed"), {"value": 0.5}, 404, "use porch, garden, clip"),
        (THRESHOLD.replace("porch", "a%20b"), {"value": 0.5}, 404, "no such camera"),
        (THRESHOLD.replace("min_score", "detect"), {"value": 0.5}, 404, "use motion_threshold, scene_distance"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_in_one_sentence(
    site: Running, path: str, body: Any, status: int, says: str
) -> None:
    answer = site.http.put(path, json=body, headers=site.bearer)
    assert answer.status_code == status and says in error_of(answer)
    assert not site.box.wishes


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [(b"{", "application/json", 400), (b"", "application/json", 400), (b'{"value": NaN}', "application/json", 422),
     (b'{"value": 1e999}', "application/json", 422), (b'{"value": 0.5}', "text/plain", 415), (b"value=0.5", "", 415),
     (b'{"value": 0.5}', "application/x-www-form-urlencoded", 415), (b"\xff\xfe", "application/json", 400),
     (b"[" * 30_000, "application/json", 400), (b'{"value": 0.5}', "application/json; charset=utf-8", 202)],
)  # fmt: skip
def test_what_is_no_json_is_told_from_json_that_means_nothing(
    shared: Running, body: bytes, kind: str, status: int
) -> None:
    headers = {**shared.bearer, **({"Content-Type": kind} if kind else {})}
    answer = shared.http.put(THRESHOLD, content=body, headers=headers)
    assert answer.status_code == status, answer.text


def test_areas_become_lines_for_the_file(shared: Running) -> None:
    areas = {"zones": {"step": {"coordinates": SQUARE, "objects": ["person"]}}, "privacy_mask": [SQUARE]}
    answer = shared.http.post("/api/cameras/porch/areas", json=areas, headers=shared.bearer)
    assert answer.status_code == 200 and answer.json()["yaml"].startswith("cameras:\n  porch:\n")


@pytest.mark.parametrize(
    ("areas", "says"),
    [
        ({"zones": {"step": {"coordinates": [0.1] * 7}}}, "an odd count of numbers"),
        ({"zones": {"step": {"coordinates": [0.1, 0.2]}}}, "zones.step.coordinates: "),
        ({"zones": {"a step": {"coordinates": SQUARE}}}, "zones.a step"),
        ({"zones": {"step": {"coordinates": SQUARE, "objects": ["dog"]}}}, "not tracked"),
        ({"motion_mask": [[2.0, *SQUARE]]}, "motion_mask.0.0: "),
        ({"privacy_mask": [SQUARE] * 100}, "privacy_mask: "),
    ],
)
def test_areas_that_cannot_be_are_refused_with_their_place(shared: Running, areas: Any, says: str) -> None:
    answer = shared.http.post("/api/cameras/porch/areas", json=areas, headers=shared.bearer)
    assert answer.status_code == 422 and says in error_of(answer)


def test_a_live_frame_is_found_by_its_number_while_it_is_kept(site: Running) -> None:
    site.box.tick()
    answer = site.get("/api/cameras/porch/live/1.jpg")
    assert answer.content.startswith(b"\xff\xd8") and answer.headers["content-type"] == "image/jpeg"
    assert "immutable" in answer.headers["cache-control"]
    assert site.get("/api/cameras/porch/live/7.jpg").status_code == 404
    assert site.get("/api/cameras/shed/live/1.jpg").status_code == 404
    assert site.get("/api/cameras/porch/live/-1.jpg").status_code == 404
    assert site.get("/api/cameras/porch/live/9999999999999999999.jpg").status_code == 404


def test_a_picture_of_now_makes_the_camera_be_looked_at_until_there_is_one(
    site: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "LOOK_S", 0.1)
    site.box.tick()
    answer = site.get("/api/cameras/porch/picture.jpg")
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    assert site.box.opened == 1 and site.box.looking == 0


def test_a_camera_that_gives_none_is_told_after_a_while(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "LOOK_S", 0.1)
    answer = site.get("/api/cameras/garden/picture.jpg")
    assert answer.status_code == 503 and "no picture of this camera" in error_of(answer)
    assert site.get("/api/cameras/shed/picture.jpg").status_code == 404
    assert site.box.looking == 0


def test_the_places_of_those_who_wait_are_given_back(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "LOOK_S", 0.01)
    site.box.tick()
    for _ in range(MOST_LOOKERS + 1):
        assert site.get("/api/cameras/porch/picture.jpg").status_code == 200


def test_events_come_newest_first_and_page_by_page(shared: Running) -> None:
    seqs: list[int] = []
    before = ""
    for _ in range(3):
        page = shared.get(f"/api/events?limit=5{before}").json()
        seqs += [item["seq"] for item in page["events"]]
        before = f"&before={page['next']}"
    assert seqs == [*range(12, 0, -1)] and page["next"] is None


def test_events_are_those_that_were_asked_for(shared: Running) -> None:
    def found(query: str) -> list[dict[str, Any]]:
        return [item["event"] for item in shared.get(f"/api/events?{query}").json()["events"]]

    assert {event["camera"] for event in found("camera=clip")} == {"clip"}
    assert {event["camera"] for event in found("camera=clip&camera=porch")} == {"clip", "porch"}
    assert {event["event_type"] for event in found("type=entered&type=left")} == {"entered", "left"}
    assert {event["label"] for event in found("label=cat")} == {"cat"}
    assert {event["zones"][0] for event in found("zone=step")} == {"step"}
    assert found("camera=nobody") == found("label=cat&camera=clip&type=entered&zone=step") == []


def test_times_may_be_written_in_any_usual_way(shared: Running) -> None:
    events = [item["event"] for item in shared.get("/api/events").json()["events"]]
    middle = events[5]["time"]
    after = [event for event in events if event["time"] >= middle]
    later = datetime.fromisoformat(middle.replace("Z", "+00:00")) + timedelta(hours=2)
    local = later.isoformat()[:23] + "+02:00"
    for text in (middle, middle.lower(), middle.replace("T", " "), local, local.replace("+", "%2B")):
        assert [item["event"] for item in shared.get(f"/api/events?since={text}").json()["events"]] == after, text
    assert shared.get("/api/events?since=2000-01-01&until=2000-01-02").json() == {"events": [], "next": None}


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "limit=1&limit=2", "before=-1", "since=yesterday", "since=2026-13-01",
              "since=2026-02-30", "type=vanished", "camera=a/b", "unknown=1", "label=", "before=1e3",
              "zone=" + "x" * 65,
              "&".join(["label=cat"] * 65)],
)  # fmt: skip
def test_a_query_that_means_nothing_is_refused(shared: Running, query: str) -> None:
    answer = shared.get(f"/api/events?{query}")
    assert answer.status_code == 422 and error_of(answer)


def test_an_event_has_its_picture_and_what_was_answered(shared: Running) -> None:
    [item] = [i for i in shared.get("/api/events?type=entered&camera=porch").json()["events"] if i["answers"]]
    assert item["answers"][0]["question"] == "parcel" and item["answers"][0]["text"]
    picture = shared.get(item["picture"])
    assert picture.content.startswith(b"\xff\xd8") and picture.headers["content-type"] == "image/jpeg"
    assert picture.headers["x-content-type-options"] == "nosniff"


def test_a_picture_that_is_gone_is_not_offered(site: Running) -> None:
    for file in site.box.pictures.glob("*/*/*.jpg"):
        file.unlink()
    assert {item["picture"] for item in site.get("/api/events").json()["events"]} == {None}


def test_an_event_has_its_clip_once_that_is_complete(site: Running) -> None:
    def clip(kind: str) -> dict[str, Any]:
        [item] = site.get(f"/api/events?camera=porch&type={kind}").json()["events"]
        return dict(item["clip"])

    assert clip("entered") == clip("left") == clip("recorded")
    assert clip("entered")["ready"] and (clip("entered")["codec"], clip("entered")["seconds"]) == ("h264", 65.5)
    assert len(site.get(clip("entered")["url"]).content) == clip("entered")["bytes"]
    assert "recorded" not in [item["event"]["event_type"] for item in site.get("/api/events").json()["events"]]


def test_a_clip_names_its_further_parts(site: Running) -> None:
    def clip(parts: Any) -> Any:
        with closing(sqlite3.connect(site.box.journal)) as writer, writer:
            writer.execute("UPDATE events SET payload = json_set(payload, '$.why.parts', ?)"
                           " WHERE event_type = 'recorded'", (parts,))  # fmt: skip
        return site.get("/api/events?camera=porch&type=entered").json()["events"][0]["clip"]

    first = clip(1)["url"].removesuffix(".mp4")
    assert clip(3)["more"] == [f"{first}-2.mp4", f"{first}-3.mp4"]
    assert clip(1)["more"] == clip("many")["more"] == clip(-4)["more"] == [] and len(clip(10**9)["more"]) == 998


def test_a_clip_that_is_not_complete_is_promised_as_long_as_it_may_come(site: Running) -> None:
    def clip() -> Any:
        return site.get("/api/events?camera=porch&type=entered").json()["events"][0]["clip"]

    complete = clip()
    file = site.box.clips / complete["url"].removeprefix("/api/clips/")
    with closing(sqlite3.connect(site.box.journal)) as writer, writer:
        writer.execute("DELETE FROM events WHERE event_type = 'recorded'")
    waits = {**complete, "ready": False, "seconds": None, "bytes": None, "codec": None}
    assert clip() == {**waits, "ready": True}, "nobody tells any more, and it is there"
    half = file.rename(file.with_name(f".{file.name}.part"))
    assert clip() == waits
    assert site.get(complete["url"]).status_code == 404, "half of a clip is never sent"
    half.unlink()
    assert clip() is None, "it never came"


def test_a_clip_that_is_gone_is_not_offered(site: Running) -> None:
    for file in site.box.clips.glob("*/*/*.mp4"):
        file.unlink()
    assert {item["clip"] for item in site.get("/api/events").json()["events"]} == {None}


def test_before_there_is_a_journal_there_are_no_events(site: Running) -> None:
    for file in site.folder.glob("journal.db*"):
        file.unlink()
    assert site.get("/api/events").json() == {"events": [], "next": None}


def test_a_journal_that_cannot_be_read_is_told_in_a_sentence(site: Running) -> None:
    for file in site.folder.glob("journal.db-*"):
        file.unlink()
    site.box.journal.write_bytes(b"no database" * 1000)
    answer = site.get("/api/events")
    assert answer.status_code == 503 and "journal.db" in error_of(answer)


def test_events_are_read_while_the_daemon_writes(site: Running) -> None:
    with closing(sqlite3.connect(site.box.journal)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert len(site.get("/api/events").json()["events"]) == 12
        writer.rollback()


def test_near_misses_are_those_of_the_cameras_that_were_asked_for(site: Running) -> None:
    for _ in range(40):
        site.box.tick()
    assert len(site.get("/api/near-misses").json()["near_misses"]) == 2
    assert len(site.get("/api/near-misses?camera=porch&camera=clip").json()["near_misses"]) == 2
    assert site.get("/api/near-misses?camera=clip").json()["near_misses"] == []


def test_a_box_that_fails_is_told_in_the_log_in_full_and_in_a_sentence_to_who_asked(
    site: Running, caplog: pytest.LogCaptureFixture
) -> None:
    site.box.fail = RuntimeError("the secret reason")
    answer = site.get("/api/cameras")
    assert answer.status_code == 500 and error_of(answer) == "this is a fault in Soteira: its log says more"
    wait_until(lambda: "GET /api/cameras failed" in caplog.text)
    assert "the secret reason" in caplog.text
    site.box.fail = StorageError("the disk is full; free some space")
    answer = site.get("/api/cameras")
    assert answer.status_code == 503 and error_of(answer) == "the disk is full; free some space"
    site.box.fail = None
    assert site.get("/api/cameras").status_code == 200


def test_a_method_that_is_not_there_is_told_with_those_that_are(shared: Running) -> None:
    answer = shared.http.request("PATCH", THRESHOLD, headers=shared.bearer)
    assert answer.status_code == 405 and set(answer.headers["allow"].split(", ")) == {"PUT", "DELETE"}
    assert "cannot be done here" in error_of(answer)


def test_the_journal_is_opened_anew_for_each_question_and_closed(site: Running) -> None:
    handles = Path("/proc/self/fd")
    if not handles.is_dir():
        pytest.skip("only Linux tells which files are open")

    def opened() -> int:
        return sum(1 for handle in handles.iterdir() if handle.resolve().parent == site.folder)

    for _ in range(5):
        site.get("/api/events")
    wait_until(lambda: opened() == 0)


def test_the_fake_box_has_the_journal_that_the_page_shows(shared: Running) -> None:
    with Archive(shared.box.journal) as archive:
        rows = archive.find(Wanted())
    assert len(rows) == 12 and os.fspath(shared.box.journal).endswith("journal.db")
