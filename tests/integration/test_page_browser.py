"""The page in Chromium, of the real daemon on a clip: what is dragged reaches the gates, what is drawn the file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import Mosquitto, Subscriber, free_port
from tests.clips import DEMO
from tests.daemon import Daemon, payloads, soteirad, write_config
from tests.web.browser import PHONE, Window, chromium, window
from tests.web.client import Page

SHOTS_WAIT_MS = 1500


@dataclass
class House:
    """A daemon with a page, and what a window needs to know of it."""

    file: Path
    daemon: Daemon
    api: Page
    listener: Subscriber

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api.port}"

    @property
    def token(self) -> str:
        return self.api.token

    def threshold(self) -> float:
        """Return what the daemon says over MQTT that the motion threshold is."""
        states = [json.loads(p) for p in payloads(self.listener.messages(), "soteira/porch/state") if p]
        return float(states[-1]["motion_threshold"])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def house(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    broker = Mosquitto(folder / "broker")
    broker.start()
    listener = Subscriber(broker)
    listener.start()
    api = Page(folder / "state", free_port())
    step = [0.2, 0.5, 0.8, 0.5, 0.8, 1, 0.2, 1]
    porch = {"name": "Front porch", "source": str(DEMO), "zones": {"step": {"coordinates": step}}}
    file = write_config(folder, broker.port, {"porch": porch}, web={"listen": f"127.0.0.1:{api.port}"})
    daemon = Daemon(file).start()
    daemon.wait_log("porch: online")
    yield House(file, daemon, api, listener)
    daemon.clean_up()
    listener.stop()
    broker.stop()


@pytest.fixture(scope="module")
def opened(browser: Any, house: House) -> Iterator[Window]:
    with window(browser, house, token=house.token) as found:  # type: ignore[arg-type]
        found.page.locator("[data-camera=porch]").wait_for()
        yield found


def test_what_is_dragged_changes_the_gates_at_once_and_is_shown_as_a_change_of_the_file(
    opened: Window, house: House
) -> None:
    page = opened.page
    assert page.url == f"{house.url}/" or page.url.startswith(f"{house.url}/#/"), "the token is not in the address bar"
    page.get_by_text("Front porch").first.wait_for()
    opened.until(lambda: house.threshold() == 0.02)
    meter = page.locator("[data-camera=porch] [data-setting=motion_threshold]")
    mark, strip = meter.locator(".mark").bounding_box(), meter.locator(".strip").bounding_box()
    page.mouse.move(mark["x"] + mark["width"] / 2, strip["y"] + 20)
    page.mouse.down()
    page.mouse.move(strip["x"] + 0.8 * strip["width"], strip["y"] + 20, steps=12)
    page.mouse.up()
    opened.until(lambda: house.threshold() > 0.1)
    opened.until(lambda: house.api.camera()["thresholds"]["motion_threshold"]["overridden"])
    page.get_by_role("button", name="1 change not in your file").click()
    changes = page.locator(".changes")
    changes.locator("pre", has_text="threshold:").first.wait_for()
    changes.locator("pre", has_text="+++").first.wait_for()
    opened.save("real-now-changes")
    page.get_by_role("button", name=re.compile("Back to what the file says: motion")).first.click()
    opened.until(lambda: house.threshold() == 0.02)


def test_an_event_appears_without_reload_with_its_picture(opened: Window) -> None:
    opened.view("events")
    page = opened.page
    before = page.locator(".row").count()
    page.locator(".row").nth(before).wait_for(timeout=60_000)
    picture = page.locator(".row.type-entered img").first
    picture.wait_for(timeout=60_000)
    # An event is told before its picture is written: the page asks again.
    opened.until(lambda: picture.evaluate("i => i.decode().then(() => i.naturalWidth, () => 0)") > 100)
    opened.save("real-events")
    page.locator(".row.type-entered").first.click()
    page.get_by_role("dialog").get_by_text("Changed share").wait_for()
    opened.save("real-event")
    page.keyboard.press("Escape")


def test_a_zone_that_is_drawn_gives_lines_that_the_file_takes(opened: Window, house: House) -> None:
    opened.view("zones")
    page = opened.page
    page.locator(".shape-item").first.wait_for()
    page.get_by_role("button", name="Zone", exact=True).click()
    page.wait_for_timeout(SHOTS_WAIT_MS)  # the picture may change the drawing's place once
    area = page.locator(".drawing").bounding_box()
    for x, y in ((0.1, 0.7), (0.4, 0.7), (0.4, 0.95), (0.1, 0.95), (0.1, 0.7)):
        page.mouse.click(area["x"] + x * area["width"], area["y"] + y * area["height"])
    page.get_by_label("Name").fill("lawn")
    lines = page.locator(".result pre", has_text="lawn")
    lines.wait_for()
    opened.save("real-zones")
    drawn = house.file.with_name("drawn.yaml")
    drawn.write_text(lines.inner_text(), encoding="utf-8")
    assert soteirad("config", "apply", drawn, "-c", house.file, "--yes").returncode == 0
    assert soteirad("check", "-c", house.file).returncode == 0
    text = house.file.read_text(encoding="utf-8")
    assert "lawn:" in text and text.count("step:") == 1


def test_health_shows_the_engine_that_was_chosen_and_its_proof(opened: Window, house: House) -> None:
    opened.view("health")
    opened.page.get_by_text("nanodet-g-416").first.wait_for()
    proof = house.api.get("/api/health")["cameras"][0]["diagnostics"]["detector"]["golden"]
    opened.page.get_by_text(proof.partition(",")[0]).first.wait_for()
    opened.save("real-health")


def test_it_is_readable_on_a_phone(browser: Any, house: House) -> None:
    with window(browser, house, size=PHONE, scheme="dark") as phone:  # type: ignore[arg-type]
        phone.page.locator("[data-camera=porch] canvas, [data-camera=porch] img").first.wait_for()
        for view in ("now", "events", "zones", "health"):
            phone.view(view)
            phone.page.wait_for_timeout(SHOTS_WAIT_MS if view in ("now", "zones") else 300)
            phone.save(f"real-{view}-phone")
            assert phone.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, view
