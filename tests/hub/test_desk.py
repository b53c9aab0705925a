"""The desk: what the page reads of the hub, and what it may wish."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from soteirad.config import Config
from soteirad.config.overrides import THRESHOLDS, effective
from soteirad.event import Event, clip_id, iso_time, new_id
from soteirad.hub.commands import Change
from soteirad.hub.desk import KEPT_FRAMES, KEPT_MISSES, PICTURE_AGE_S, Desk, Facts
from soteirad.hub.journal import Journal
from soteirad.messages import LiveFrame, Missed
from soteirad.near_misses import NearMiss
from soteirad.web.box import UnknownCameraError, WishError
from soteirad.web.models import Camera, Cameras, Health, NearMisses, Overrides
from tests.hub.looking import drain

FILE = Config.model_validate({"cameras": {
    "porch": {"source": "rtsp://u:geheim@h/s", "name": "Front porch", "motion": {"mask": [[0, 0, 1, 0, 1, 0.1]]},
              "zones": {"step": {"coordinates": [0.2, 0.5, 0.8, 0.5, 0.8, 1], "objects": ["person"]}}},
    "yard": {"source": "clip.mp4"},
}})  # fmt: skip
STATE = {"motion": False, "overrides": []}


class Rig:
    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.woken = 0
        self.desk = Desk(folder, self._wake, lambda lines: f"+{lines}", lambda: self.now)
        self.desk.configure(FILE, FILE)

    def _wake(self) -> None:
        self.woken += 1

    def item(self, name: str = "porch") -> dict[str, Any]:
        return next(item for item in self.desk.cameras() if item["name"] == name)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def frame(n: int = 0) -> LiveFrame:
    return LiveFrame({"time": "t", "n": n}, b"jpeg%d" % n)


def missed(text: str = "a person of score 0.30") -> Missed:
    return Missed("2026-11-22T10:00:00.000Z", NearMiss("score_below", 3, 1.0, text, "person"))


def test_video_is_to_be_had_of_streams_that_there_are_and_says_why_when_there_is_none_now(rig: Rig) -> None:
    for camera, stream, words in (("nobody", "source", "porch, yard"), ("porch", "detail", "has no large stream")):
        with pytest.raises(UnknownCameraError, match=words):
            rig.desk.video(camera, stream, lambda: None)  # type: ignore[arg-type]
    rig.desk.status("porch", False, "it does not answer")
    viewer = rig.desk.video("porch", "source", lambda: None)
    assert viewer.next() == ({"kind": "gone", "reason": "it does not answer"},)
    assert rig.desk.health()["viewers"] == {"stream": 0, "video": 1} and rig.desk.watched("porch") == {"source"}
    rig.desk.close()
    assert viewer.closed and rig.desk.health()["viewers"]["video"] == 0


def test_a_large_stream_that_is_not_configured_any_more_is_not_asked_for(rig: Rig) -> None:
    with_detail = Config.model_validate({"cameras": {"porch": {"source": "rtsp://h/s", "detail": "rtsp://h/l"}}})
    without = Config.model_validate({"cameras": {"porch": {"source": "rtsp://h/s"}}})
    rig.desk.configure(with_detail, with_detail)
    assert rig.item()["detail"]
    viewer = rig.desk.video("porch", "detail", lambda: None)
    assert rig.desk.watched("porch") == {"detail"}
    rig.desk.configure(without, without)
    assert rig.desk.watched("porch") == frozenset() and not rig.item()["detail"]
    assert viewer.next() == ({"kind": "gone", "reason": "it has no large stream any more"},)


def test_video_of_a_camera_that_is_switched_off_says_so(rig: Rig) -> None:
    viewer = rig.desk.video("porch", "source", lambda: None)
    off = Config.model_validate({"cameras": {"porch": {"source": "rtsp://h/s", "enabled": False}}})
    rig.desk.configure(off, off)
    rig.desk.status("porch", False, "it is not watched")
    gone = ({"kind": "gone", "reason": "it is switched off"},)
    assert viewer.next() == gone and not viewer.next()
    assert rig.desk.video("porch", "source", lambda: None).next() == gone


def test_a_camera_is_shown_with_its_title_areas_and_thresholds_and_without_its_address(rig: Rig) -> None:
    item = rig.item()
    assert (item["title"], item["file"], rig.item("yard")["title"], rig.item("yard")["file"]) == (
        "Front porch", False, "yard", True)  # fmt: skip
    assert item["zones"] == [{"name": "step", "coordinates": [0.2, 0.5, 0.8, 0.5, 0.8, 1.0], "objects": ["person"]}]
    assert item["motion_mask"] == [[0.0, 0.0, 1.0, 0.0, 1.0, 0.1]] and item["privacy_mask"] == []
    assert item["thresholds"]["motion_threshold"] == {
        "value": 0.02, "file": 0.02, "low": 0.001, "high": 0.799, "overridden": False}  # fmt: skip
    assert set(item["thresholds"]) == set(THRESHOLDS)
    assert "geheim" not in str(rig.desk.cameras()) + str(rig.desk.health())


def test_what_was_changed_is_shown_beside_what_the_file_says(rig: Rig) -> None:
    rig.desk.configure(FILE, effective(FILE, {("porch", "scene_ssim"): 0.5}))
    rig.desk.state("porch", {**STATE, "overrides": ["scene_ssim"]})
    assert rig.item()["thresholds"]["scene_ssim"] == {
        "value": 0.5, "file": 0.8, "low": 0.01, "high": 1.0, "overridden": True}  # fmt: skip
    lines = "cameras:\n  porch:\n    scene:\n      ssim: 0.5\n"
    assert rig.desk.overrides() == {"yaml": lines, "diff": f"+{lines}"}


def test_nothing_changed_is_nothing_to_apply(rig: Rig) -> None:
    assert rig.desk.overrides() == {"yaml": "", "diff": ""}


def test_a_wish_waits_for_the_hub_which_is_woken(rig: Rig) -> None:
    rig.desk.set("porch", "motion_threshold", 0.05)
    rig.desk.set("porch", "min_score", None)
    assert rig.woken == 2
    assert rig.desk.take_wishes() == [Change("porch", "motion_threshold", 0.05, "on the page"),
                                      Change("porch", "min_score", None, "on the page")]  # fmt: skip
    assert rig.desk.take_wishes() == []


@pytest.mark.parametrize(
    ("setting", "value", "problem"),
    [("motion_threshold", 0.0, "allowed is 0.001 to 0.799"), ("motion_threshold", 0.8, "allowed is"),
     ("scene_ssim", 1.1, "allowed is 0.01 to 1"), ("min_score", float("nan"), "allowed is 0 to 1"),
     ("enabled", 0.0, "no such threshold: there are"),
     ("colour", None, "no such")],
)  # fmt: skip
def test_a_wish_that_cannot_be_is_refused_with_what_may_be(rig: Rig, setting: str, value: Any, problem: str) -> None:
    with pytest.raises(WishError, match=problem):
        rig.desk.set("porch", setting, value)
    assert rig.desk.take_wishes() == [] and rig.woken == 0


def test_an_unknown_camera_is_told_with_those_that_there_are(rig: Rig) -> None:
    for act in (lambda: rig.desk.set("barn", "min_score", 0.5), lambda: rig.desk.viewer(["barn"]),
                lambda: rig.desk.check_areas("barn", {})):  # fmt: skip
        with pytest.raises(UnknownCameraError, match="there are porch, yard"):
            act()
    assert rig.desk.picture("barn", None) is None


def test_a_viewer_begins_with_its_cameras_and_hears_of_frames_states_and_events(rig: Rig) -> None:
    viewer = rig.desk.viewer(["porch"])
    assert rig.desk.looked_at("porch") and not rig.desk.looked_at("yard") and rig.woken == 1
    assert [item["name"] for _, item in drain(viewer)] == ["porch", "yard"]
    rig.desk.frame("porch", frame())
    assert viewer.next(0) == ("frame", {"camera": "porch", "seq": 1, "time": "t", "n": 0})
    rig.desk.status("porch", True)
    kind, data = viewer.next(0)  # type: ignore[misc]
    assert (kind, data["online"]) == ("camera", True)
    name = "porch/2026-11-22/01J.jpg"
    event = Event("01J", "entered", "porch", "2026-11-22T10:00:00.000Z", label="person", snapshot=name)
    rig.desk.confirmed(event)
    assert viewer.next(0) == ("event", {
        "seq": None, "event": event.payload(), "published": False, "topic": None,
        "picture": "/api/snapshots/porch/2026-11-22/01J.jpg", "clip": None, "answers": [],
    })  # fmt: skip
    viewer.close()
    assert not rig.desk.looked_at("porch")


def test_a_viewer_hears_that_a_clip_will_come_and_when_it_is_there(rig: Rig) -> None:
    viewer = rig.desk.viewer([])
    drain(viewer)
    about = new_id(1_800_000_000.0)
    entered = Event(about, "entered", "porch", iso_time(1_800_000_000.0), clip=f"porch/2027-01-15/{about}.mp4")
    url = f"/api/clips/{entered.clip}"
    rig.desk.confirmed(entered)
    why = {"seconds": 12.3, "bytes": 4567, "codec": "h264"}
    told = Event(clip_id(about), "recorded", "porch", entered.time, about=about, clip=entered.clip, why=why)
    rig.desk.confirmed(told)
    promised, complete = (item for _, item in drain(viewer))
    assert promised["clip"] == {"url": url, "ready": False, "seconds": None, "bytes": None, "codec": None,
                                "more": []}  # fmt: skip
    assert complete["clip"] == {"url": url, "ready": True, **why, "more": []}
    assert (complete["event"]["event_type"], complete["event"]["about"]) == ("recorded", about)


def test_the_same_state_twice_is_told_once(rig: Rig) -> None:
    viewer = rig.desk.viewer([])
    assert len(drain(viewer)) == 2
    for _ in range(2):
        rig.desk.state("porch", {**STATE, "motion": True})
    assert viewer.next(0) is not None and viewer.next(0) is None


def test_a_live_picture_can_be_fetched_while_it_is_new(rig: Rig) -> None:
    for n in range(KEPT_FRAMES + 2):
        rig.desk.frame("porch", frame(n))
    newest = KEPT_FRAMES + 2
    assert rig.desk.picture("porch", newest) == rig.desk.picture("porch", None) == b"jpeg%d" % (newest - 1)
    assert rig.desk.picture("porch", 3) == b"jpeg2" and rig.desk.picture("porch", 2) is None
    rig.now += PICTURE_AGE_S + 0.1
    assert rig.desk.picture("porch", None) is None, "what is shown as now is now"


def test_a_near_miss_has_the_picture_of_its_moment_if_somebody_looked(rig: Rig) -> None:
    rig.desk.missed("porch", missed("unseen"))
    rig.desk.frame("porch", frame(7))
    rig.desk.missed("porch", missed("seen"))
    seen, unseen = rig.desk.near_misses()
    assert (seen["text"], seen["camera"], seen["picture"]) == ("seen", "porch", "/api/cameras/porch/live/1.jpg")
    assert (unseen["text"], unseen["picture"]) == ("unseen", None)
    for n in range(KEPT_FRAMES + 1):
        rig.desk.frame("porch", frame(n))
    assert rig.desk.picture("porch", 1) == b"jpeg7", "it stays longer than the live picture"


def test_near_misses_and_their_pictures_are_bounded(rig: Rig) -> None:
    for n in range(KEPT_MISSES + 10):
        rig.desk.frame("porch", frame(n))
        rig.desk.missed("porch", missed(str(n)))
    found = rig.desk.near_misses()
    assert len(found) == KEPT_MISSES and found[0]["text"] == str(KEPT_MISSES + 9)
    pictured = [item for item in found if item["picture"]]
    assert 0 < len(pictured) < 100
    for item in pictured:
        assert rig.desk.picture("porch", int(item["picture"].rpartition("/")[2][:-4])) is not None


def test_a_camera_that_is_gone_is_forgotten(rig: Rig) -> None:
    rig.desk.frame("yard", frame())
    smaller = FILE.model_copy(update={"cameras": {"porch": FILE.cameras["porch"]}})
    rig.desk.configure(smaller, smaller)
    assert [item["name"] for item in rig.desk.cameras()] == ["porch"] and rig.desk.picture("yard", 1) is None
    for late in (lambda: rig.desk.frame("yard", frame()), lambda: rig.desk.missed("yard", missed()),
                 lambda: rig.desk.status("yard", True), lambda: rig.desk.diagnostics("yard", {}, 1)):  # fmt: skip
        late()
    assert rig.desk.near_misses() == []


def test_all_that_is_laid_out_is_what_the_api_promises(rig: Rig) -> None:
    rig.desk.frame("porch", frame())
    box = (0.1, 0.2, 0.3, 0.4)
    rig.desk.missed("porch", Missed("2026-11-22T10:00:00.000Z", NearMiss("score_below", 3, 1.0, "x", "person", box)))
    rig.desk.missed("yard", Missed("2026-11-22T10:00:00.000Z", NearMiss("flood", 1, 1.0, "x", values={"ratio": 0.9})))
    Cameras.model_validate({"cameras": rig.desk.cameras()})
    Health.model_validate(rig.desk.health())
    Overrides.model_validate(rig.desk.overrides())
    NearMisses.model_validate({"near_misses": rig.desk.near_misses()})


def test_health_tells_how_all_do(rig: Rig, tmp_path: Path) -> None:
    assert rig.desk.ready() == "starting"
    assert rig.desk.health()["mqtt"] == {"connected": False, "waiting": 0, "dropped": 0}, "there is no journal yet"
    journal = Journal(tmp_path / "journal.sqlite3")
    journal.open()
    journal.append([Event("01J", "entered", "porch", "2026-11-22T10:00:00.000Z", label="person", track_id=1)])
    journal.close()
    rig.desk.be_ready()
    rig.desk.know(Facts(True, "the disk is full", 5_000_000, 9_000_000))
    rig.desk.status("porch", False, "no route to host")
    rig.desk.diagnostics("porch", {"fps": 9.9}, 2)
    rig.now += 12
    health = rig.desk.health()
    assert health["mqtt"] == {"connected": True, "waiting": 1, "dropped": 0} and health["uptime_s"] == 12
    assert health["storage"]["problem"] == "the disk is full" and health["storage"]["free_bytes"] > 0
    assert health["cameras"][0] == {"name": "porch", "online": False, "reason": "no route to host", "starts": 2,
                                    "age_s": 12.0, "diagnostics": {"fps": 9.9}}  # fmt: skip
    assert rig.desk.ready() == ""


def test_a_camera_that_is_switched_off_keeps_what_was_set_and_nothing_of_what_was_seen(rig: Rig) -> None:
    rig.desk.state("porch", {**STATE, "motion": True, "objects": {"person": {"present": True, "count": 1}}})
    off = FILE.model_copy(update={"cameras": {
        **FILE.cameras, "porch": FILE.cameras["porch"].model_copy(update={"enabled": False})}})  # fmt: skip
    rig.desk.configure(off, effective(off, {("porch", "scene_ssim"): 0.5}))
    item = rig.item()
    assert (item["enabled"], item["state"], item["thresholds"]["scene_ssim"]["overridden"]) == (False, {}, True)
    assert rig.desk.overrides()["yaml"] == "cameras:\n  porch:\n    scene:\n      ssim: 0.5\n"


def test_pictures_that_show_what_is_masked_by_now_are_gone(rig: Rig) -> None:
    for name in ("porch", "yard"):
        rig.desk.frame(name, frame())
        rig.desk.missed(name, missed())
    masked = FILE.cameras["porch"].model_copy(update={"privacy_mask": ((0.0, 0.0, 1.0, 0.0, 1.0, 1.0),)})
    after = FILE.model_copy(update={"cameras": {**FILE.cameras, "porch": masked}})
    rig.desk.configure(after, after)
    assert [rig.desk.picture("porch", seq) for seq in (None, 1)] == [None, None]
    assert rig.desk.picture("yard", 1) == b"jpeg0"
    assert {miss["camera"]: bool(miss["picture"]) for miss in rig.desk.near_misses()} == {"porch": False, "yard": True}


def test_who_looks_at_a_camera_that_is_taken_out_of_the_file_is_told_so(rig: Rig) -> None:
    rig.desk.status("yard", True)
    viewer = rig.desk.viewer(["yard"])
    drain(viewer)
    smaller = FILE.model_copy(update={"cameras": {"porch": FILE.cameras["porch"]}})
    rig.desk.configure(smaller, smaller)
    kind, item = drain(viewer)[-1]
    assert (kind, item["name"], item["online"]) == ("camera", "yard", False)
    assert item["reason"] == "it is not in the configuration any more"
    Camera.model_validate(item)


def test_whoever_begins_to_look_is_a_newcomer_once_for_the_latest_frame_even_if_others_look_already(rig: Rig) -> None:
    for _ in range(2):
        rig.desk.viewer(["yard"])
        assert rig.desk.take_newcomers() == {"yard"} and rig.desk.take_newcomers() == set()
    rig.desk.viewer(None)
    assert rig.desk.take_newcomers() == {"porch", "yard"}


def test_what_changes_while_somebody_comes_is_not_hidden_by_what_was_before(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = rig.desk.cameras

    def slow() -> list[dict[str, Any]]:
        found = look()
        rig.desk.status("porch", True)
        return found

    monkeypatch.setattr(rig.desk, "cameras", slow)
    _, item = rig.desk.viewer(["porch"]).next(0)  # type: ignore[misc]
    assert item["online"] is True
