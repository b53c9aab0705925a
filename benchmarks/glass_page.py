"""The real page in a headless Chromium: what its live video shows, and when."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.time_pattern import SCRIPT
from benchmarks.turns import tell
from tests.web.browser import DESKTOP, PATIENCE_MS

PROBE = Path(__file__).with_name("glass_probe.js")
START_S = 20.0


@dataclass(frozen=True)
class Shown:
    """What came to the page and what it showed in a time; all in ms since the epoch, positions in seconds.

    `frames` are the pictures that were shown, `pieces` and `overlays` what came over the WebSocket (glass_probe.js);
    `opening_ms` is how long it took from the click to the first picture, `states` the page's own words on the way,
    `stalls` how often the player had nothing to show, from the click on.
    """

    frames: list[dict[str, Any]]
    pieces: list[dict[str, Any]]
    overlays: list[dict[str, Any]]
    opening_ms: float
    starts: int
    states: list[str]
    stalls: int = 0


def watch(browser: Any, prepare: Callable[[Any], None], card: str, warm_up_s: float, seconds: float) -> Shown:
    """Open a page by `prepare(page)`, click "Live video" on a card (a selector), and note for so long what is shown."""
    context = browser.new_context(viewport={"width": DESKTOP[0], "height": DESKTOP[1]})
    try:
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(path=str(SCRIPT))
        context.add_init_script(path=str(PROBE))
        page = context.new_page()
        prepare(page)
        button = page.locator(card).get_by_role("button", name="Live video")
        page.locator(card).wait_for()
        if not button.count():
            raise RuntimeError("the camera has no button for live video on the page")
        clicked = time.monotonic()
        button.click()
        page.evaluate("(card) => glass.watch(document.querySelector(`${card} video`))", card)
        while not page.evaluate("glass.frames.some((frame) => frame.ms !== undefined)"):
            if time.monotonic() > clicked + START_S:
                raise RuntimeError(f"no live video within {START_S:.0f} s: {page.locator(card).inner_text()}")
            page.wait_for_timeout(20)
        opening = (time.monotonic() - clicked) * 1000
        page.wait_for_timeout(warm_up_s * 1000)
        since, states = page.evaluate("performance.timeOrigin + performance.now()"), set()
        for _ in range(max(1, round(seconds))):
            page.wait_for_timeout(1000)
            states.add(page.locator(f"{card} [role=status]").inner_text())
        found = page.evaluate("glass")
    finally:
        context.close()
    if states != {"Live"}:
        tell(f"  the page said: {', '.join(sorted(states))}")
    kept = {kind: [one for one in found[kind] if one[when] >= since]
            for kind, when in (("frames", "now"), ("pieces", "arrived"), ("overlays", "arrived"))}  # fmt: skip
    # What is shown first came before, and what was read last has no boxes yet.
    pieces = [piece for piece in found["pieces"] if piece["arrived"] >= since - 5000]
    frames = [frame for frame in kept["frames"] if frame["boxes"] is not None]
    return Shown(frames, pieces, kept["overlays"], opening, found["starts"], sorted(states),
                 len(found["stalls"]))  # fmt: skip
