"""Clips in the view Events, as an owner plays them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from soteirad.event import clip_id
from tests.web.browser import PHONE, Window, chromium, ticking, window
from tests.web.film import WIDTH, film
from tests.web.running import Running
from tests.web.test_page import event_item

PICTURES = 60
CLIP = {"seconds": 12.3, "bytes": 123456, "codec": "h264"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def site(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with ticking(tmp_path_factory.mktemp("clips")) as found:
        yield found


class Shelf:
    """Answers for the clips, with the ranges that are asked for. `asked` has them; `data` may be rubbish."""

    def __init__(self) -> None:
        self.data = film(PICTURES, fragmented=False).head
        self.asked: list[str | None] = []

    def answer(self, route: Any) -> None:
        wanted = route.request.headers.get("range")
        self.asked.append(wanted)
        headers = {"Content-Type": "video/mp4", "Accept-Ranges": "bytes"}
        if wanted is None:
            route.fulfill(body=self.data, headers=headers)
            return
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted)
        assert match
        first, last = int(match[1]), int(match[2] or len(self.data) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(self.data)}"
        route.fulfill(status=206, body=self.data[first : last + 1], headers=headers)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def opened(browser: Any, site: Running, shelf: Shelf) -> Iterator[Window]:
    with window(browser, site) as found:
        found.page.route("**/api/clips/**", shelf.answer)
        found.view("events")
        found.page.locator(".row").first.wait_for()
        found.page.locator(".live.on").wait_for()
        yield found


def with_clip(label: str, **more: Any) -> dict[str, Any]:
    """Return an event whose clip is complete, unless `more` says otherwise."""
    item = event_item(label, clip=f"porch/2026-11-23/{label}.mp4")
    clip = {"url": f"/api/clips/porch/2026-11-23/{label}.mp4", "ready": True, "seconds": 6.0, "bytes": 2_100_000,
            "codec": "h264", **more}  # fmt: skip
    return {**item, "clip": clip}


def row_of(opened: Window, label: str) -> Any:
    row = opened.page.locator("li", has_text=f"{label.capitalize()} entered")
    row.wait_for()
    return row


def test_a_clip_is_fetched_only_when_it_is_played_and_is_played_in_parts(opened: Window, shelf: Shelf) -> None:
    opened.site.box.tell("event", with_clip("heron"))
    row = row_of(opened, "heron")
    row.get_by_text("clip of 6.0 s").wait_for()
    opened.save("clip-row")
    assert shelf.asked == []
    row.get_by_role("button", name=re.compile("Play the clip: Heron entered, Front porch, ")).press("Enter")
    video = opened.page.get_by_role("dialog").locator("video")
    video.wait_for()
    opened.until(lambda: video.evaluate("v => v.currentTime") > 0.5)
    assert video.evaluate("v => [v.videoWidth, Math.round(v.duration), v.controls]") == [WIDTH, PICTURES // 10, True]
    assert shelf.asked[0] == "bytes=0-"
    opened.save("clip-plays")
    opened.page.keyboard.press("Escape")
    video.wait_for(state="detached")


def test_an_opened_event_offers_its_clip_and_a_download(opened: Window, shelf: Shelf) -> None:
    opened.site.box.tell("event", with_clip("crane"))
    row_of(opened, "crane").locator(".row").click()
    detail = opened.page.get_by_role("dialog")
    detail.get_by_role("link", name="Download (2 MB)").wait_for()
    assert shelf.asked == []
    detail.get_by_role("button", name="Play the clip").click()
    opened.until(lambda: detail.locator("video").evaluate("v => v.currentTime") > 0.2)


def test_a_clip_that_is_being_recorded_says_so_until_it_is_complete(opened: Window, shelf: Shelf) -> None:
    item = with_clip("stork", ready=False, seconds=None, bytes=None, codec=None)
    left = event_item("stork", event_type="left", clip=item["event"]["clip"])
    opened.site.box.tell("event", item)
    opened.site.box.tell("event", {**left, "clip": item["clip"]})
    row = row_of(opened, "stork")
    row.get_by_text("the clip is being recorded").wait_for()
    assert row.locator(".play").count() == 0
    about, path = item["event"]["id"], item["event"]["clip"]
    done = event_item("stork", id=clip_id(about), event_type="recorded", about=about, clip=path, why=CLIP)
    opened.site.box.tell("event", {**done, "clip": {**item["clip"], "ready": True, **CLIP}})
    row.get_by_text("clip of 12 s").wait_for()
    opened.page.locator("li", has_text="Stork left").get_by_text("clip of 12 s").wait_for()
    assert opened.page.locator(".row", has_text="Stork").count() == 2
    row.locator(".play").click()
    opened.until(lambda: opened.page.locator("dialog video").evaluate("v => v.currentTime") > 0.2)


def test_a_clip_of_several_parts_plays_through_all_of_them_and_each_can_be_downloaded(
    opened: Window, shelf: Shelf
) -> None:
    shelf.data = film(5, fragmented=False).head
    second = "api/clips/porch/2026-11-23/plover-2.mp4"
    opened.site.box.tell("event", with_clip("plover", more=[f"/{second}", "https://elsewhere/3.mp4"]))
    row_of(opened, "plover").locator(".play").click()
    detail = opened.page.get_by_role("dialog")
    video = detail.locator("video")
    opened.until(lambda: video.evaluate("v => v.src").endswith(second))
    opened.until(lambda: video.evaluate("v => v.ended"))
    assert detail.get_by_role("link", name="Part 2").get_attribute("href") == second
    assert detail.get_by_role("link").count() == 2


def test_a_clip_plays_on_while_the_rest_of_its_event_changes(opened: Window) -> None:
    item = with_clip("egret")
    opened.site.box.tell("event", item)
    row_of(opened, "egret").locator(".play").click()
    video = opened.page.locator("dialog video")
    opened.until(lambda: video.evaluate("v => v.currentTime") > 0.2)
    video.evaluate("v => { v.mark = 1; }")
    opened.site.box.tell("event", {**item, "published": True, "topic": "soteira/porch/event"})
    opened.page.wait_for_timeout(2500)  # the list asks for what is new meanwhile
    assert video.evaluate("v => v.mark === 1 && !v.paused && v.currentTime > 1")


@pytest.mark.parametrize(("codec", "said"), [("hevc", "This browser cannot play hevc"), ("h264", "it is gone, or")])
def test_a_clip_that_cannot_be_played_says_so_and_can_be_downloaded(
    opened: Window, shelf: Shelf, codec: str, said: str
) -> None:
    shelf.data = b"\0" * 5000
    label = f"ibis{codec}"
    opened.site.box.tell("event", with_clip(label, codec=codec))
    row_of(opened, label).locator(".play").click()
    detail = opened.page.get_by_role("dialog")
    detail.get_by_role("alert").get_by_text(said).wait_for()
    link = detail.get_by_role("link", name="Download")
    assert link.get_attribute("href") == f"api/clips/porch/2026-11-23/{label}.mp4"


def test_an_event_without_a_clip_offers_none(opened: Window) -> None:
    opened.site.box.tell("event", {**event_item("coot"), "clip": None})
    opened.site.box.tell("event", event_item("rail"))
    for label in ("coot", "rail"):
        assert row_of(opened, label).get_by_text("clip").count() == 0
        assert row_of(opened, label).locator(".play").count() == 0


def test_on_a_phone_the_row_and_the_player_fit(browser: Any, site: Running, shelf: Shelf) -> None:
    with window(browser, site, size=PHONE, touch=True, scheme="dark") as opened:
        opened.page.route("**/api/clips/**", shelf.answer)
        opened.view("events")
        opened.page.locator(".live.on").wait_for()
        site.box.tell("event", with_clip("dove"))
        play = row_of(opened, "dove").locator(".play")
        opened.save("clip-row-phone")
        play.tap()
        video = opened.page.locator("dialog video")
        opened.until(lambda: video.evaluate("v => v.currentTime") > 0.2)
        opened.save("clip-phone")
        assert opened.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
