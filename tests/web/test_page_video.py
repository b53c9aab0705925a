"""Live video in the page, as an owner sees it: played from a studio whose pictures say which one they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from tests.web.browser import DESKTOP, PHONE, Window, chromium, ticking, window
from tests.web.film import CELL, FPS, KEY_EVERY, PICTURES, WIDTH, Studio, studio
from tests.web.running import Running
from tests.web.test_page import HIDE
from tests.web.video import FPS as FAKE_FPS
from tests.web.video import OVERLAY_EVERY

Watch = Callable[..., AbstractContextManager[tuple[Window, Any, Studio]]]

TO_STUDIO = """const Real = WebSocket; window.WebSocket = class extends Real {
    constructor(address) {
        const {pathname, search} = new URL(address);
        super(`ws://127.0.0.1:PORT${pathname}${search}`);
    }
};"""
NO_AUTOPLAY = """const play = HTMLMediaElement.prototype.play; HTMLMediaElement.prototype.play = function () {
    if (window.clicked) return play.call(this);
    this.autoplay = false;
    return Promise.reject(new DOMException("", "NotAllowedError"));
}; addEventListener("click", ({target}) => { window.clicked = target.textContent === "Play"; }, true);"""
IPHONE = "window.ManagedMediaSource = window.MediaSource; delete window.MediaSource;"
FULL = """const append = SourceBuffer.prototype.appendBuffer; SourceBuffer.prototype.appendBuffer = function (data) {
    const {buffered} = this;
    if (buffered.length && buffered.end(buffered.length - 1) - buffered.start(0) > 4) {
        window.refused = (window.refused ?? 0) + 1;
        throw new DOMException("", "QuotaExceededError");
    }
    append.call(this, data);
};"""
NO_FRAME_CALLBACK = "delete HTMLVideoElement.prototype.requestVideoFrameCallback;"

READ = """(video, [many, cell, width]) => new Promise((done) => {
    const canvas = document.createElement("canvas"), found = [];
    [canvas.width, canvas.height] = [width, cell];
    const pen = canvas.getContext("2d", {willReadFrequently: true});
    const read = () => {
        pen.drawImage(video, 0, 0, width, width * video.videoHeight / video.videoWidth);
        let number = 0;
        for (let bit = 0; bit < 12; bit += 1) {
            if (pen.getImageData((bit + 0.5) * cell, cell / 2, 1, 1).data[0] > 128) number |= 1 << bit;
        }
        const tag = video.parentNode.querySelector(".box.track .tag i");
        const box = video.parentNode.querySelector(".box.track")?.style.left;
        found.push([number, tag ? Number(/#([0-9]+)/.exec(tag.textContent)[1]) : null, parseFloat(box)]);
        if (found.length < many) requestAnimationFrame(read); else done(found);
    };
    requestAnimationFrame(read);
})"""
"""What is seen at each refresh of the screen: the picture's number, the box's, and where that begins, in per cent."""


TIMES = """(video, many) => new Promise((done) => {
    const found = [];
    const read = (_, {mediaTime}) => {
        const tag = video.parentNode.querySelector(".box.track .tag i");
        found.push([mediaTime, tag ? Number(/([0-9.]+) s/.exec(tag.textContent)[1]) : -1]);
        if (found.length < many) video.requestVideoFrameCallback(read); else done(found);
    };
    video.requestVideoFrameCallback(read);
})"""
"""At each picture of the fake box's video: its time, and which time the box says (its `seconds`)."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        if not _plays_h264(found):
            pytest.skip("this chromium has no H.264: Debian's package chromium has")
        yield found


def _plays_h264(browser: Any) -> bool:
    page = browser.new_page()
    try:
        return bool(page.evaluate("""MediaSource.isTypeSupported('video/mp4; codecs="avc1.42c01e"')"""))
    finally:
        page.close()


@pytest.fixture(scope="module")
def site(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with ticking(tmp_path_factory.mktemp("video")) as found:
        yield found


@pytest.fixture
def watch(browser: Any, site: Running) -> Watch:
    """Open the view Now with its video coming from a studio; yields the window, the porch's card and the studio."""

    @contextmanager
    def opened(script: str = "", size: tuple[int, int] = DESKTOP, key_every: int = KEY_EVERY) -> Iterator[Any]:
        with studio(key_every) as (sender, port), window(browser, site, size=size) as found:
            page = found.page
            page.add_init_script(TO_STUDIO.replace("PORT", str(port)) + script)
            page.context.new_cdp_session(page).send("Page.setBypassCSP", {"enabled": True})  # another port is no `self`
            page.reload()
            porch = page.locator("[data-camera=porch]")
            porch.locator(".box").first.wait_for()
            yield found, porch, sender

    return opened


def switch(porch: Any, name: str = "Live video") -> Any:
    return porch.get_by_role("button", name=name)


def plays(porch: Any, timeout: float = 10_000) -> None:
    porch.locator("[data-state=playing]").wait_for(timeout=timeout)


def now(porch: Any) -> float:
    return float(porch.locator("video").evaluate("video => video.currentTime"))


def read(porch: Any, many: int) -> list[tuple[int, int | None, float]]:
    """Return what was seen on the next screens: the picture's number, the box's, where the box begins."""
    return [tuple(seen) for seen in porch.locator("video").evaluate(READ, [many, CELL, WIDTH])]


def test_nobody_is_connected_before_the_button_is_pressed_or_after_it_is_pressed_again(watch: Watch) -> None:
    with watch() as (opened, porch, studio):
        opened.page.wait_for_timeout(500)
        assert studio.opened == []
        switch(porch).press("Enter")
        plays(porch)
        assert switch(porch).get_attribute("aria-pressed") == "true"
        assert studio.opened == ["/api/cameras/porch/live?stream=source"]
        switch(porch).press("Enter")
        opened.until(lambda: studio.looking == 0)
        assert porch.locator("video").count() == 0
        assert switch(porch).get_attribute("aria-pressed") == "false"


def test_a_newcomer_sees_the_newest_picture_and_the_video_goes_on(watch: Watch) -> None:
    with watch() as (opened, porch, studio):
        switch(porch).click()
        plays(porch)
        assert porch.locator("video").evaluate("v => [v.videoWidth, v.muted, v.playsInline]") == [WIDTH, True, True]
        began = now(porch)
        opened.until(lambda: now(porch) > began + 2)
        assert studio.sent / FPS - now(porch) < 1.5
        porch.locator(".video-bar", has_text="Live, 0.").wait_for()
        opened.save("video-desktop")


def test_the_boxes_are_those_of_the_picture_that_is_shown(watch: Watch) -> None:
    with watch() as (_, porch, _):
        switch(porch).click()
        plays(porch)
        porch.locator(".box.track", has_text="#").wait_for()
        seen = read(porch, 200)
        assert len({number for number, _, _ in seen}) > 10
        near = [number for number, box, _ in seen if box is not None and abs(box - number) <= 1]
        assert len(near) >= 0.95 * len(seen)
        exact = [number for number, box, _ in seen if box == number]
        assert len(exact) >= 0.8 * len(seen)
        assert all(left == pytest.approx(100 * (0.05 + 0.7 * (box % 50) / 50), abs=0.1) for _, box, left in seen if box)


def test_the_daemons_own_route_is_played_under_the_pages_own_policy(browser: Any, site: Running) -> None:
    with window(browser, site) as opened:
        porch = opened.page.locator("[data-camera=porch]")
        assert site.box.watching == 0
        switch(porch).click()
        plays(porch)
        porch.locator(".box.track").wait_for()
        seen = porch.locator("video").evaluate(TIMES, 60)
        expected = [(round(time * FAKE_FPS) // OVERLAY_EVERY * OVERLAY_EVERY / FAKE_FPS, told) for time, told in seen]
        assert len([1 for at, told in expected if abs(at - told) < 0.1]) >= 0.95 * len(seen)
        site.box.video_of("porch").go("The camera is off.")
        porch.get_by_role("status").get_by_text("The camera is off.").wait_for()
        site.box.video_of("porch").come()
        plays(porch)
        switch(porch, "Large stream").click()
        opened.until(lambda: porch.locator("video").evaluate("v => v.videoWidth") == 1280)
        switch(porch, "Large stream").click()
        opened.until(lambda: site.box.watching == 0)


def test_without_frame_callbacks_the_boxes_follow_the_clock_of_the_video(watch: Watch) -> None:
    with watch(NO_FRAME_CALLBACK) as (_, porch, _):
        switch(porch).click()
        plays(porch)
        porch.locator(".box.track", has_text="#").wait_for()
        seen = read(porch, 200)
        # The clock says which picture is due, and the screen may be a few pictures late.
        assert len([1 for number, box, _ in seen if box is not None and abs(box - number) <= 3]) >= 0.95 * len(seen)


def test_a_gap_is_jumped(watch: Watch) -> None:
    with watch() as (opened, porch, studio):
        switch(porch).click()
        plays(porch)
        studio.skipping = True
        before = studio.sent
        opened.page.wait_for_timeout(1300)
        studio.skipping = False
        opened.until(lambda: studio.sent > before + 20 and now(porch) > studio.sent / FPS - 1.5)
        plays(porch)
        assert porch.locator("video").evaluate("v => v.buffered.length") == 2
        assert len(studio.opened) == 1


def kept(porch: Any) -> float:
    """Return how many seconds of video are kept behind what is shown."""
    return float(porch.locator("video").evaluate("v => v.currentTime - v.buffered.start(0)"))


def test_what_was_shown_is_forgotten(watch: Watch) -> None:
    with watch() as (opened, porch, studio):
        studio.anew(ago=8)
        switch(porch).click()
        plays(porch)
        opened.until(lambda: now(porch) > 17)
        assert 5 < kept(porch) < 16


def test_however_far_apart_key_frames_are_what_is_shown_now_is_never_forgotten(watch: Watch) -> None:
    with watch(key_every=PICTURES) as (opened, porch, studio):
        studio.anew(ago=20)
        switch(porch).click()
        plays(porch)
        opened.until(lambda: now(porch) > 18)
        began = now(porch)
        opened.until(lambda: now(porch) > began + 2)
        assert kept(porch) > 20
        assert len(studio.opened) == 1


def test_a_full_buffer_makes_room_and_the_video_goes_on(watch: Watch) -> None:
    with watch(FULL) as (opened, porch, studio):
        switch(porch).click()
        plays(porch)
        opened.until(lambda: now(porch) > 8)
        assert kept(porch) < 5
        assert opened.page.evaluate("window.refused") > 0
        assert len(studio.opened) == 1


def test_a_card_out_of_view_has_no_video(watch: Watch) -> None:
    with watch() as (opened, porch, studio):
        switch(porch).click()
        plays(porch)
        opened.page.locator(".changes").scroll_into_view_if_needed()
        opened.until(lambda: studio.looking == 0)
        porch.scroll_into_view_if_needed()
        opened.until(lambda: studio.looking == 1)
        plays(porch)


def test_a_stream_that_begins_anew_is_played_from_its_new_start(watch: Watch) -> None:
    with watch() as (opened, porch, studio):
        switch(porch).click()
        plays(porch)
        before = now(porch)
        studio.anew()
        opened.until(lambda: now(porch) < before)
        opened.until(lambda: now(porch) > 1)
        plays(porch)
        opened.until(lambda: any(number == box for number, box, _ in read(porch, 5)))
        assert len(studio.opened) == 1


def test_a_lost_connection_is_said_pictures_are_shown_meanwhile_and_the_video_comes_back(watch: Watch) -> None:
    with watch() as (opened, porch, studio):
        switch(porch).click()
        plays(porch)
        studio.refusing = True
        studio.hang_up()
        porch.get_by_role("status").get_by_text("It is tried again by itself").wait_for()
        porch.locator("video.gone").wait_for(state="attached")
        porch.locator('.box.nearly[title^="cat"], .box.track').first.wait_for()
        opened.until(lambda: len(studio.opened) > 2)
        studio.refusing = False
        plays(porch, 20_000)
        began = now(porch)
        opened.until(lambda: now(porch) > began + 0.5)


def test_why_there_is_no_video_is_said_in_the_daemons_words_and_the_last_picture_does_not_stand(watch: Watch) -> None:
    with watch() as (_, porch, studio):
        switch(porch).click()
        plays(porch)
        studio.say({"kind": "gone", "reason": "The camera was switched off."})
        porch.get_by_role("status").get_by_text("The camera was switched off.").wait_for()
        assert porch.locator("video").evaluate("v => [v.className.includes('gone'), v.readyState]") == [True, 0]


def test_a_codec_that_this_browser_cannot_play_is_named_and_its_video_is_not_fetched(watch: Watch) -> None:
    with watch() as (opened, porch, studio):
        studio.codec = "hvc1.1.6.L93.B0"
        switch(porch).click()
        porch.get_by_role("status").get_by_text("cannot play the video of this camera (hvc1.1.6.L93.B0)").wait_for()
        opened.until(lambda: studio.looking == 0)
        opened.page.wait_for_timeout(1500)
        assert len(studio.opened) == 1


def test_a_hidden_tab_has_no_video_and_has_it_again_once_it_is_shown(watch: Watch) -> None:
    with watch() as (opened, porch, studio):
        switch(porch).click()
        plays(porch)
        opened.page.evaluate(HIDE, True)
        opened.until(lambda: studio.looking == 0)
        opened.page.evaluate(HIDE, False)
        opened.until(lambda: studio.looking == 1)
        plays(porch)


def test_another_view_ends_the_video(watch: Watch) -> None:
    with watch() as (opened, porch, studio):
        switch(porch).click()
        plays(porch)
        opened.view("health")
        opened.until(lambda: studio.looking == 0)


def test_the_large_stream_is_offered_where_there_is_one_and_takes_the_place_of_the_small_one(watch: Watch) -> None:
    with watch() as (opened, porch, studio):
        assert opened.page.locator("[data-camera=clip] [data-stream=detail]").is_hidden()
        studio.encoded = True
        switch(porch).click()
        plays(porch)
        switch(porch, "Large stream").click()
        opened.until(lambda: len(studio.opened) == 2 and studio.looking == 1)
        plays(porch)
        assert studio.opened[1] == "/api/cameras/porch/live?stream=detail"
        assert switch(porch).get_attribute("aria-pressed") == "false"
        porch.get_by_text("encoded on the machine").wait_for()


def test_a_browser_that_wants_a_click_first_gets_a_button(watch: Watch) -> None:
    with watch(NO_AUTOPLAY) as (_, porch, _):
        switch(porch).click()
        porch.get_by_role("status").get_by_text("wants a click").wait_for()
        switch(porch, "Play").click()
        plays(porch)


def test_an_iphones_managed_media_source_plays_on_a_narrow_screen(watch: Watch) -> None:
    with watch(IPHONE, size=PHONE) as (opened, porch, _):
        switch(porch).click()
        plays(porch)
        assert porch.locator("video").evaluate("v => v.disableRemotePlayback")
        assert opened.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        opened.save("video-phone")


@pytest.mark.parametrize(
    ("time", "left", "why"),
    [
        (1.0, 0.1, "at a look it is where it was seen"),
        (1.2, 0.2, "between two looks it is on its way from one to the other"),
        (1.6, 0.4, "after the last look it goes on as before"),
        (1.9, 0.55, "for half a second, and no longer"),
        (2.3, 0.55, "for half a second, and no longer"),
    ],
)
def test_a_box_is_drawn_where_its_object_was_in_the_picture_that_is_shown(
    browser: Any, site: Running, time: float, left: float, why: str
) -> None:
    with window(browser, site) as opened:
        found = opened.page.evaluate(
            """async (time) => {
                const {Overlays} = await import("/static/player.js"), overlays = new Overlays();
                const track = (ago, left) => ({id: 7, ago, still: false, box: [left, 0, left + 0.1, 1]});
                overlays.add(1.0, {tracks: [track(0, 0.1)]});
                overlays.add(1.3, {tracks: [track(0.3, 0.1)]});
                overlays.add(1.4, {tracks: [track(0, 0.3)]});
                overlays.add(1.5, {tracks: [track(0.1, 0.3)]});
                overlays.add(2.3, {tracks: [track(0.9, 0.3)]});
                return overlays.of(time, 0.02).tracks[0].box;
            }""",
            time,
        )
    assert found == pytest.approx([left, 0, left + 0.1, 1]), why


def test_who_stands_still_and_who_was_not_seen_for_long_stays_where_they_were_seen(browser: Any, site: Running) -> None:
    with window(browser, site) as opened:
        still, apart = opened.page.evaluate(
            """async () => {
                const {Overlays} = await import("/static/player.js");
                const where = (second, still, time) => {
                    const overlays = new Overlays();
                    overlays.add(1.0, {tracks: [{id: 7, ago: 0, still, box: [0.1, 0, 0.2, 1]}]});
                    overlays.add(second, {tracks: [{id: 7, ago: 0, still, box: [0.3, 0, 0.4, 1]}]});
                    return overlays.of(time, 0.02).tracks[0].box[0];
                };
                return [where(1.4, true, 1.6), where(9.0, false, 9.3)];
            }"""
        )
    assert (still, apart) == (0.3, 0.3)
