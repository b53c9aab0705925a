"""The real page in Chromium, on the real server with a box that is made up."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_until
from tests.web.running import Running, running

PATIENCE_MS = 10_000
TICK_S = 0.4
PHONE = (390, 844)
DESKTOP = (1280, 860)


@contextmanager
def chromium() -> Iterator[Any]:
    """Yield one browser. Skips where playwright or chromium is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="the page's tests need playwright: pip install playwright")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("the page's tests need Debian's package chromium")
    with api.sync_playwright() as playwright:
        # Chromium refuses its sandbox to root, and the pages are of our own house.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def ticking(folder: Path) -> Iterator[Running]:
    """Run a server whose box goes on living."""
    with running(folder, events=130) as site:
        end = threading.Event()

        def live() -> None:
            while not end.wait(TICK_S):
                site.box.tick()

        thread = threading.Thread(target=live, daemon=True)
        thread.start()
        try:
            yield site
        finally:
            end.set()
            thread.join()


@dataclass
class Window:
    """A page that is open, what went wrong in it, and whom it asked beside the daemon."""

    page: Any
    site: Running
    problems: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def view(self, name: str) -> None:
        """Go to a view, as its tab does."""
        self.page.locator(f"nav a[data-view={name}]").click()
        self.page.locator("main h2", has_text=name.capitalize()).wait_for()

    def save(self, name: str) -> None:
        """Save a picture into the folder `SOTEIRA_SHOTS`, if there is one."""
        if folder := os.environ.get("SOTEIRA_SHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=str(Path(folder) / f"{name}.png"))

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for something outside of the page, while the page goes on."""

        def step() -> bool:
            self.page.wait_for_timeout(20)
            return bool(condition())

        wait_until(step)


@contextmanager
def window(browser: Any, site: Running, token: str | None = None, size: tuple[int, int] = DESKTOP,
           scheme: str = "light", touch: bool = False, at: str = "") -> Iterator[Window]:  # fmt: skip
    """Open the page, logged in with the right token if none is given; "" is for nobody who is in.

    Fails if the page has an error of its own, or asks anybody but the daemon.
    """
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, has_touch=touch,
                                  reduced_motion="reduce")  # fmt: skip
    try:
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        opened = Window(page, site)

        def refuse(route: Any) -> None:
            opened.strangers.append(route.request.url)
            route.abort()

        context.route(lambda url: not url.startswith((site.url, "blob:", "data:")), refuse)
        page.on("console", lambda said: _note(opened, said))
        page.on("pageerror", lambda error: opened.problems.append(str(error)))
        if token is None:
            page.request.post(f"{site.url}/api/login", data={"token": site.token})
        page.goto(f"{site.url}/{at}" if not token else f"{site.url}/#token={token}")
        yield opened
        assert opened.strangers == []
        assert opened.problems == []
    finally:
        context.close()


def _note(opened: Window, said: Any) -> None:
    """Keep what the console says; a browser also tells there that something was refused, or that a picture is gone."""
    expected = ("401", "404", "422") if "Failed to load resource" in said.text else ()
    if said.type in ("error", "warning") and not any(f"status of {code}" in said.text for code in expected):
        opened.problems.append(said.text)
