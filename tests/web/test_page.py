"""The page, as an owner uses it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from soteirad.event import iso_time, new_id
from soteirad.web.static import FOLDER
from tests.web import box as made_up
from tests.web.browser import DESKTOP, PHONE, Window, chromium, ticking, window
from tests.web.running import Running

VIEWS = ("now", "events", "zones", "health")
HOSTILE = '<img src=x onerror="window.taken=1"><b>&amp;'
LARGEST = 150_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def site(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with ticking(tmp_path_factory.mktemp("page")) as found:
        yield found


@pytest.fixture(autouse=True)
def as_in_the_file(request: pytest.FixtureRequest) -> Iterator[None]:
    """Take back what a test has set."""
    yield
    if "site" in request.fixturenames:
        box = request.getfixturevalue("site").box
        for camera, setting, _ in list(box.wishes):
            box.set(camera, setting, None)
        box.wishes.clear()


@pytest.fixture(scope="module")
def desktop(browser: Any, site: Running) -> Iterator[Window]:
    with window(browser, site) as found:
        found.page.locator("nav").wait_for()
        yield found


@pytest.fixture
def opened(desktop: Window) -> Window:
    """The one window of most tests, at the calmest view: opening one is what takes the longest."""
    desktop.view("health")
    return desktop


@pytest.fixture
def at_now(opened: Window) -> Window:
    opened.view("now")
    opened.page.locator("[data-camera=porch]").wait_for()
    return opened


def event_item(label: str, **more: Any) -> dict[str, Any]:
    """Return an event as the hub tells it: just happened, not yet in the journal."""
    now = time.time()
    event = {"id": new_id(now), "event_type": "entered", "camera": "porch", "time": iso_time(now), "label": label,
             "confidence": 0.9, "zones": ["step"], "why": {"trigger": "motion_spike", "motion_ratio": 0.08},
             **more}  # fmt: skip
    return {"seq": None, "event": event, "published": False, "topic": None, "picture": None, "answers": []}


def drag(opened: Window, setting: str, share: float, steps: int = 30) -> None:
    """Drag a mark of the porch to a place of its meter, 0 to 1."""
    meter = opened.page.locator(f"[data-camera=porch] [data-setting={setting}]")
    meter.scroll_into_view_if_needed()
    mark, strip = meter.locator(".mark").bounding_box(), meter.locator(".strip").bounding_box()
    mouse = opened.page.mouse
    mouse.move(mark["x"] + mark["width"] / 2, strip["y"] + 20)
    mouse.down()
    mouse.move(strip["x"] + share * strip["width"], strip["y"] + 30, steps=steps)
    mouse.up()


def slider(opened: Window, setting: str) -> Any:
    found = opened.page.locator(f"[data-camera=porch] [data-setting={setting}] .mark")
    found.wait_for()
    return found


def test_the_pages_files_are_small_and_build_no_markup_from_data() -> None:
    files = [path for path in FOLDER.iterdir() if path.suffix in (".js", ".css", ".html", ".svg")]
    assert sum(path.stat().st_size for path in files) < LARGEST
    for path in files:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(inner|outer|Adjacent)HTML|document\.write|\beval\(|new Function", text), path.name
        assert not re.search(r"https?://[a-z0-9]", text), path.name
        assert path.suffix != ".html" or not re.search(r"<style| style=| on[a-z]+=|<script>", text), path.name


def test_the_token_of_the_address_lets_in_and_leaves_the_address_bar(browser: Any, site: Running) -> None:
    with window(browser, site, token=site.token) as opened:
        opened.page.locator(".camera").first.wait_for()
        assert site.token not in opened.page.url
        kept = opened.page.evaluate("JSON.stringify([history.state, {...localStorage}, {...sessionStorage}])")
        assert site.token not in kept


def test_a_wrong_token_is_refused_with_a_sentence_and_the_right_one_leads_to_the_view_that_was_asked_for(
    browser: Any, site: Running
) -> None:
    with window(browser, site, token="", at="#health") as opened:
        page = opened.page
        page.get_by_label("Token or password").fill("not this one")
        page.get_by_role("button", name="Open").click()
        page.get_by_text("is not right").wait_for()
        assert "soteirad config" in page.get_by_role("alert").inner_text()
        opened.save("login")
        page.get_by_label("Token or password").fill(site.token)
        page.keyboard.press("Enter")
        page.locator(".tile").first.wait_for()


def test_when_a_session_ends_the_page_asks_again_and_goes_back_to_where_one_was(opened: Window) -> None:
    opened.page.context.clear_cookies()
    opened.page.evaluate("location.hash = 'events'")  # no click: the next picture may be refused before it
    opened.page.get_by_text("Your session has ended").wait_for()
    opened.page.get_by_label("Token or password").fill(opened.site.token)
    opened.page.keyboard.press("Enter")
    opened.page.locator(".row").first.wait_for()
    assert opened.page.url.endswith("#events")


def test_a_camera_shows_its_picture_who_is_followed_and_what_did_not_count(at_now: Window) -> None:
    at_now.site.box.set("porch", "min_score", 0.05)  # so that the made up person always counts
    porch = at_now.page.locator("[data-camera=porch]")
    porch.locator('.box.nearly[title="cat 22 % too small or too large"]').wait_for()
    porch.locator(".look", has_text=re.compile(r"Did not count \(dashed\):.* 1 too small or too large")).wait_for()
    porch.locator(".box.track", has_text=re.compile(r"person [\d.]+ % #\d+ .* s")).wait_for()
    painted = "c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size"
    assert porch.locator(".picture canvas").evaluate(painted) > 50
    assert "person" in porch.locator(".picture").get_attribute("aria-label")
    assert porch.locator(".areas polygon").count() == 4
    at_now.page.get_by_label("Zones and masks").uncheck()
    porch.locator(".areas").wait_for(state="hidden")


def test_a_camera_that_is_offline_says_why(at_now: Window) -> None:
    at_now.page.locator("[data-camera=garden]").get_by_text("is the camera switched on?").wait_for()


def test_a_dragged_mark_reaches_the_box_at_most_four_times_a_second(at_now: Window) -> None:
    slider(at_now, "min_score")
    began = time.monotonic()
    drag(at_now, "min_score", 0.7, steps=60)
    wishes = at_now.site.box.wishes
    at_now.until(lambda: wishes and wishes[-1] == ("porch", "min_score", 0.7))
    assert len(wishes) <= 4 * (time.monotonic() - began) + 2
    at_now.page.locator("[data-camera=porch] [data-setting=min_score]").get_by_text("your file says 0.40").wait_for()


def test_structure_is_dragged_as_what_is_lost_and_set_as_what_is_kept(at_now: Window) -> None:
    slider(at_now, "scene_ssim")
    drag(at_now, "scene_ssim", 0.75)
    wishes = at_now.site.box.wishes
    at_now.until(lambda: wishes and wishes[-1] == ("porch", "scene_ssim", 0.25))
    assert slider(at_now, "scene_ssim").get_attribute("aria-valuetext") == "0.75 (ssim 0.25)"


def test_a_mark_is_moved_with_keys(at_now: Window) -> None:
    mark, wishes = slider(at_now, "min_score"), at_now.site.box.wishes
    assert (mark.get_attribute("role"), mark.get_attribute("aria-valuenow")) == ("slider", "0.4")
    for key, value in (("ArrowRight", 0.41), ("PageUp", 0.51), ("ArrowLeft", 0.5), ("Home", 0.0), ("End", 1.0)):
        mark.press(key)
        at_now.until(lambda value=value: wishes and wishes[-1][2] == value)
        assert float(mark.get_attribute("aria-valuenow")) == value


def test_a_threshold_that_is_refused_goes_back_and_the_page_says_why(
    at_now: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    slider(at_now, "min_score")
    monkeypatch.setitem(made_up.LIMITS, "min_score", (0.0, 0.45))
    slider(at_now, "min_score").press("PageUp")
    at_now.page.get_by_text("out of range").wait_for()
    assert slider(at_now, "min_score").get_attribute("aria-valuenow") == "0.4"


def test_what_was_set_is_shown_with_the_lines_for_the_file_and_goes_back(at_now: Window) -> None:
    slider(at_now, "min_score").press("PageUp")
    at_now.page.get_by_role("button", name="1 change not in your file").click()
    changes = at_now.page.locator(".changes")
    changes.locator("pre", has_text="value: 0.5").first.wait_for()
    changes.get_by_text("sudo soteirad config apply").wait_for()
    at_now.page.get_by_role("button", name=re.compile("Back to what the file says: objects")).first.click()
    changes.get_by_text("Soteira runs by your file").wait_for()
    assert at_now.site.box.wishes[-1] == ("porch", "min_score", None)
    assert slider(at_now, "min_score").get_attribute("aria-valuenow") == "0.4"


HIDE = ("on => { Object.defineProperty(document, 'hidden', {value: on, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange')); }")  # fmt: skip


def test_nobody_looks_while_the_tab_is_hidden_and_the_stream_comes_back_with_it(at_now: Window) -> None:
    box = at_now.site.box
    at_now.page.locator(".live.on").wait_for()
    at_now.page.evaluate(HIDE, True)
    at_now.until(lambda: box.looking == 0)
    at_now.page.evaluate(HIDE, False)
    at_now.until(lambda: box.looking == 1)


def test_only_cameras_in_view_are_watched(browser: Any, site: Running) -> None:
    with window(browser, site, size=PHONE) as opened:
        opened.page.locator("[data-camera=porch] .box").first.wait_for()
        assert opened.page.locator("[data-camera=clip] .box").count() == 0
        opened.page.locator("[data-camera=clip]").scroll_into_view_if_needed()
        opened.page.locator("[data-camera=clip] .box").first.wait_for()


def test_a_camera_that_is_gone_from_the_file_does_not_keep_the_others_from_being_watched(
    browser: Any, site: Running
) -> None:
    left = [camera for camera in site.box.cameras() if camera["name"] != "garden"]
    with window(browser, site) as opened:
        page = opened.page
        page.locator("[data-camera=porch] .box").first.wait_for()
        page.evaluate(HIDE, True)
        page.locator(".live:not(.on)").wait_for(state="attached")
        page.route("**/api/cameras", lambda route: route.fulfill(json={"cameras": left}))
        page.route("**/api/stream?*garden*", lambda route: route.fulfill(status=404))
        page.evaluate(HIDE, False)
        page.locator("[data-camera=garden]").wait_for(state="detached")
        page.locator(".live.on").wait_for()


def test_an_event_appears_without_reload_and_once(opened: Window) -> None:
    opened.view("events")
    opened.page.locator(".row").first.wait_for()
    opened.page.locator(".live.on").wait_for()
    item = event_item("walrus")
    for _ in range(2):
        opened.site.box.tell("event", item)
    first = opened.page.locator(".row").first
    first.get_by_text("Walrus entered").wait_for()
    assert opened.page.get_by_text("Walrus entered", exact=True).count() == 1
    assert "motion rose suddenly" in first.inner_text()


def test_events_are_filtered_and_older_ones_come_on_demand(opened: Window) -> None:
    opened.view("events")
    rows = opened.page.locator(".row")
    rows.first.wait_for()
    before = rows.count()
    opened.page.get_by_role("button", name="Older events").click()
    opened.until(lambda: rows.count() > before + 40)
    opened.page.get_by_label("Type").select_option("left")
    opened.page.locator(".row.type-entered").first.wait_for(state="detached")
    assert set(opened.page.locator(".row-title strong").all_inner_texts()) <= {"Person left", "Cat left"}
    opened.page.get_by_label("From").fill("2001-01-01")
    opened.page.get_by_label("To", exact=True).fill("2001-01-02")
    opened.page.get_by_text("Nothing fits these filters").wait_for()
    opened.page.get_by_role("button", name="Clear").click()
    opened.page.locator(".row.type-entered").first.wait_for()


def test_an_event_opens_in_full_by_keys_and_the_list_has_the_focus_again_afterwards(opened: Window) -> None:
    opened.view("events")
    row = opened.page.locator(".row.type-entered", has_text="parcel").first
    row.press("Enter")
    detail = opened.page.get_by_role("dialog")
    detail.get_by_text("Changed share").wait_for()
    for text in ("motion rose suddenly", "published on soteira/porch/event", "detector 61 ms", "parcel", "75 %"):
        detail.get_by_text(text).first.wait_for()
    assert detail.locator(".large img").evaluate("i => i.decode().then(() => i.naturalWidth)") == made_up.WIDTH
    opened.page.keyboard.press("Escape")
    detail.wait_for(state="hidden")
    assert opened.page.evaluate("document.activeElement.classList.contains('row')")


def test_near_misses_tell_what_was_let_go(opened: Window) -> None:
    opened.view("events")
    opened.page.get_by_role("radio", name="Events").press("ArrowRight")
    opened.page.locator(".near").first.wait_for(timeout=20_000)
    assert opened.page.locator(".near", has_text=re.compile("gate [123]")).count()


def test_a_zone_is_drawn_named_and_its_lines_shown(opened: Window) -> None:
    opened.view("zones")
    page = opened.page
    page.locator(".shape-item").first.wait_for()
    page.get_by_role("button", name="Zone", exact=True).click()
    area = page.locator(".drawing").bounding_box()
    for x, y in ((0.5, 0.7), (0.9, 0.7), (0.9, 0.9), (0.5, 0.9)):
        page.mouse.click(area["x"] + x * area["width"], area["y"] + y * area["height"])
    page.get_by_text("Finish the shape first").wait_for()
    page.mouse.click(area["x"] + 0.5 * area["width"], area["y"] + 0.7 * area["height"])
    page.get_by_label("Name").fill("step")
    page.get_by_text("Another zone has this name.").first.wait_for()
    page.get_by_label("Name").fill("lawn")
    page.get_by_label("cat").check()
    lines = page.locator(".result pre", has_text="lawn")
    lines.wait_for()
    corners = re.search(r'"lawn": \{"coordinates": (\[[^]]*\])', lines.inner_text())
    assert corners
    assert json.loads(corners[1]) == pytest.approx([0.5, 0.7, 0.9, 0.7, 0.9, 0.9, 0.5, 0.9], abs=0.003)
    lines.get_by_text('"objects": ["cat"]').wait_for()
    page.get_by_text("sudo soteirad config apply porch-zones.yaml").wait_for()
    opened.save("zone-drawn")
    opened.view("now")
    opened.view("zones")
    page.locator(".shape-item", has_text="lawn").wait_for()


def test_a_mask_is_drawn_with_keys_alone_and_taken_back(opened: Window) -> None:
    opened.view("zones")
    page = opened.page
    items = page.locator(".shape-item")
    items.first.wait_for()
    before = items.count()
    page.get_by_role("button", name="Motion mask", exact=True).first.press("Enter")
    assert page.evaluate("document.activeElement.classList.contains('drawing')")
    for key in ("Insert", "Insert", "Insert", "Enter", "PageDown", "Shift+ArrowRight", "Insert"):
        page.keyboard.press(key)
    assert items.count() == before + 1
    page.locator(".shape-item[aria-pressed=true]", has_text="4 points").wait_for()
    page.keyboard.press("Delete")
    page.locator(".shape-item[aria-pressed=true]", has_text="3 points").wait_for()
    for _ in range(9):
        page.keyboard.press("Control+z")
    assert items.count() == before


def swipe(opened: Window, start: tuple[float, float], end: tuple[float, float], steps: int = 12) -> None:
    """Put a finger down, move it and lift it."""
    session = opened.page.context.new_cdp_session(opened.page)
    for step in range(steps + 1):
        x, y = (a + (b - a) * step / steps for a, b in zip(start, end, strict=True))
        kind = "touchMove" if step else "touchStart"
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_with_a_finger_marks_and_corners_are_dragged_and_an_edge_gives_a_new_corner(
    browser: Any, site: Running
) -> None:
    with window(browser, site, size=PHONE, touch=True) as opened:
        page = opened.page
        slider(opened, "min_score").scroll_into_view_if_needed()
        mark = slider(opened, "min_score").bounding_box()
        strip = page.locator("[data-camera=porch] [data-setting=min_score] .strip").bounding_box()
        y = strip["y"] + 30
        swipe(opened, (mark["x"] + 14, y), (strip["x"] + 0.7 * strip["width"], y))
        opened.until(lambda: site.box.wishes and site.box.wishes[-1] == ("porch", "min_score", 0.7))
        opened.view("zones")
        page.get_by_role("button", name="step").tap()
        page.locator(".drawing").scroll_into_view_if_needed()
        area = page.locator(".drawing").bounding_box()

        def at(x: float, y: float) -> tuple[float, float]:
            return area["x"] + x * area["width"], area["y"] + y * area["height"]

        page.touchscreen.tap(*at(0.45, 0.79))  # in the middle of the right edge
        page.locator(".shape-item", has_text="5 points").wait_for()
        swipe(opened, at(0.05, 0.6), at(0.2, 0.4))
        page.locator(".result pre", has_text='"step": {"coordinates": [0.2').wait_for()


def test_health_says_problems_first_and_in_words(opened: Window) -> None:
    opened.view("health")
    first = opened.page.locator(".problems li").first
    first.wait_for()
    assert "Garden & shed is offline: 10.0.0.8 does not answer" in first.inner_text()
    for text in ("12.3 GB free", "connected", "openvino fp16", "left per hour"):
        opened.page.get_by_text(text).first.wait_for()


def test_hostile_text_is_shown_as_text(browser: Any, site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(made_up.TITLES, "porch", HOSTILE)
    with window(browser, site) as opened:
        page = opened.page
        page.get_by_role("heading", name=HOSTILE).wait_for()
        opened.view("events")
        page.locator(".row").first.wait_for()
        page.locator(".live.on").wait_for()
        item = event_item(HOSTILE, zones=[HOSTILE], why={"trigger": HOSTILE, "because": HOSTILE})
        answer = {"question": HOSTILE, "state": "answered", "answer": HOSTILE, "text": HOSTILE}
        answer["time"] = item["event"]["time"]
        site.box.tell("event", {**item, "answers": [answer]})
        row = page.locator(".row").first
        row.get_by_text(f"{HOSTILE} entered").wait_for()
        row.click()
        page.get_by_role("dialog").get_by_text(HOSTILE).first.wait_for()
        page.keyboard.press("Escape")
        for name in ("zones", "health"):
            opened.view(name)
            page.get_by_text(HOSTILE).first.wait_for(state="attached")
        assert page.evaluate("window.taken") is None
        assert page.locator("img[src=x]").count() == 0


def test_the_colours_follow_the_system_until_the_owner_chooses(browser: Any, site: Running) -> None:
    with window(browser, site, scheme="dark") as opened:
        shade = "parseInt(getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0])"
        opened.page.get_by_role("button", name="Light colours").wait_for()
        assert opened.page.evaluate(shade) < 60
        opened.page.get_by_role("button", name="Light colours").click()
        assert opened.page.evaluate(shade) > 200
        opened.page.reload()
        opened.page.get_by_role("button", name="Dark colours").wait_for()
        assert opened.page.evaluate(shade) > 200


@pytest.mark.parametrize(("size", "scheme"), [(PHONE, "dark"), (DESKTOP, "light"), (PHONE, "light"), (DESKTOP, "dark")])
def test_every_view_fits_its_window(opened: Window, size: tuple[int, int], scheme: str) -> None:
    ready = {"now": ".box", "events": ".row", "zones": ".result p", "health": ".tile"}
    opened.page.set_viewport_size({"width": size[0], "height": size[1]})
    opened.page.emulate_media(color_scheme=scheme)
    try:
        for name in reversed(VIEWS):
            opened.view(name)
            opened.page.locator(ready[name]).first.wait_for()
            assert opened.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name
            opened.save(f"{name}-{size[0]}-{scheme}")
    finally:
        opened.page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
        opened.page.emulate_media(color_scheme="light")
