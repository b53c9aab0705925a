"""Viewers: each gets what it looks at; a slow one loses old frames and no event."""

from __future__ import annotations

import threading

from soteirad.hub.viewers import MOST_WAITING, Viewers
from tests.hub.looking import drain


def test_a_viewer_sees_the_frames_of_its_cameras_and_hears_of_all_else() -> None:
    viewers = Viewers(lambda: None)
    assert not viewers.there
    one, all_, none = viewers.add(["porch"]), viewers.add(None), viewers.add([])
    viewers.tell("event", "yard", {"n": 1})
    viewers.tell("frame", "porch", {"n": 2})
    viewers.tell("frame", "yard", {"n": 3})
    assert drain(one) == [("event", {"n": 1}), ("frame", {"n": 2})]
    assert drain(all_) == [("event", {"n": 1}), ("frame", {"n": 2}), ("frame", {"n": 3})]
    assert drain(none) == [("event", {"n": 1})] and viewers.there


def test_of_frames_and_cameras_only_the_newest_waits() -> None:
    viewers = Viewers(lambda: None)
    viewer = viewers.add(None)
    for n in range(5):
        viewers.tell("frame", "porch", {"n": n})
        viewers.tell("camera", "porch", {"n": n})
    viewers.tell("frame", "yard", {"n": 9})
    assert drain(viewer) == [("frame", {"n": 4}), ("camera", {"n": 4}), ("frame", {"n": 9})]


def test_events_wait_in_their_order_before_frames_and_are_bounded() -> None:
    viewers = Viewers(lambda: None)
    viewer = viewers.add(None)
    viewers.tell("frame", "porch", {"n": 0})
    for n in range(MOST_WAITING + 5):
        viewers.tell("event", "porch", {"n": n})
    found = drain(viewer)
    assert [data["n"] for kind, data in found if kind == "event"] == list(range(5, MOST_WAITING + 5))
    assert found[-1] == ("frame", {"n": 0})


def test_a_camera_that_sends_much_does_not_starve_another() -> None:
    viewers = Viewers(lambda: None)
    viewer = viewers.add(None)
    viewers.tell("frame", "porch", {"c": "porch"})
    viewers.tell("frame", "yard", {"c": "yard"})
    viewers.tell("frame", "porch", {"c": "porch"})
    assert [data["c"] for _, data in drain(viewer)] == ["yard", "porch"]


def test_who_waits_is_woken_by_news_and_by_the_end() -> None:
    viewers = Viewers(lambda: None)
    viewer = viewers.add(None)
    got: list[object] = []
    waiter = threading.Thread(target=lambda: got.extend([viewer.next(60.0), viewer.next(60.0)]), daemon=True)
    waiter.start()
    viewers.tell("event", "porch", {"n": 1})
    viewers_closed = threading.Timer(0.05, viewers.close)
    viewers_closed.start()
    waiter.join(30.0)
    assert got == [("event", {"n": 1}), None]


def test_a_camera_is_looked_at_as_long_as_somebody_does() -> None:
    changes: list[int] = []
    viewers = Viewers(lambda: changes.append(1))
    assert not viewers.see("porch")
    first, second = viewers.add(["porch"]), viewers.add(["porch", "yard"])
    assert viewers.see("porch") and viewers.see("yard") and not viewers.see("barn")
    second.close()
    second.close()
    assert viewers.see("porch") and not viewers.see("yard")
    first.close()
    assert not viewers.see("porch") and len(changes) == 4


def test_who_left_is_told_nothing() -> None:
    viewers = Viewers(lambda: None)
    viewer = viewers.add(None)
    viewer.close()
    viewers.tell("event", "porch", {"n": 1})
    assert viewer.next(0.0) is None
