"""Home Assistant's pages in Chromium, logged in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

LONG_MS = 10**11
PATIENCE_MS = 60_000
NO_LOGO = '<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24"/>'
SETTLE_MS = 1500
"""Pages fade their parts in when they are there already."""


def save_page(url: str, token: str, path: str, file: Path, size: tuple[int, int], shows: str) -> None:
    """Save the page at `path` as PNG of `size` (width, height) as soon as it shows the text `shows`.

    Skips the test where playwright or chromium is missing.
    """
    api = pytest.importorskip("playwright.sync_api", reason="pages need playwright: pip install playwright")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("pages need Debian's package chromium")
    # What the log-in page leaves in the browser; it must look young, or the page asks for another one.
    tokens = {"access_token": token, "token_type": "Bearer", "expires_in": LONG_MS // 1000, "hassUrl": url,
              "clientId": f"{url}/", "refresh_token": ""}  # fmt: skip
    script = (f"localStorage.setItem('hassTokens', JSON.stringify({{...{json.dumps(tokens)}, "
              f"expires: Date.now() + {LONG_MS}}}));")  # fmt: skip
    with api.sync_playwright() as playwright:
        # Chromium refuses its sandbox to root, and the pages are of our own house.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            page = browser.new_page(color_scheme="light", viewport={"width": size[0], "height": size[1]})
            page.add_init_script(script)
            # Logos come from the internet, and a broken picture would take their place here.
            page.route(lambda asked: not asked.startswith(url), lambda route: route.fulfill(
                body=NO_LOGO, content_type="image/svg+xml"))
            page.goto(url + path, timeout=PATIENCE_MS)
            if shows:
                page.get_by_text(shows).first.wait_for(state="visible", timeout=PATIENCE_MS)
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(SETTLE_MS)
            page.screenshot(path=str(file))
        finally:
            browser.close()
