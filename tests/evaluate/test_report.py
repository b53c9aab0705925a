"""The report as a reader's browser shows it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from soteirad.errors import SoteiraError
from soteirad.evaluate.curves import CURVES
from soteirad.evaluate.report import html_report, write_report
from soteirad.evaluate.run import Evaluation
from soteirad.report_page import check_report_place
from tests.evaluate.made import made_evaluation


def test_the_report_names_nothing_outside_itself_and_has_no_script() -> None:
    html = html_report(made_evaluation())
    assert not re.search(r"<script|<link|<img|<iframe|@import|url\(|src=|href=|https?:", html)


def test_names_and_notes_are_escaped() -> None:
    html = html_report(made_evaluation("<b>bold</b>"))
    assert "<b>bold" not in html and "&lt;b&gt;bold" in html and "made &lt;data&gt;" in html


def test_a_single_run_has_curves_and_no_differences() -> None:
    evaluation = made_evaluation()
    html = html_report(replace(evaluation, measured=evaluation.measured[:1]))
    assert html.count("<figure>") == len(CURVES) and "difference from" not in html


def test_a_report_that_cannot_be_written_is_told_before_and_after(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none" / "report.html"):
        with pytest.raises(SoteiraError, match="the report cannot be written"):
            check_report_place(place)
        with pytest.raises(SoteiraError, match="the report cannot be written"):
            write_report(place, made_evaluation())
    check_report_place(tmp_path / "report.html")


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return made_evaluation("a note for the reader")


@pytest.fixture(scope="module", params=["light", "dark"])
def page(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, evaluation: Evaluation
) -> Iterator[Any]:
    """The report in Chromium, with what it asked for and complained of in `page.asked` and `page.said`."""
    api = pytest.importorskip("playwright.sync_api", reason="the browser test needs playwright: pip install playwright")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("the browser test needs Debian's package chromium")
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, evaluation)
    with api.sync_playwright() as playwright:
        # Chromium refuses its sandbox to root, and the page is our own.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(color_scheme=request.param, viewport={"width": 1180, "height": 900})
        page.asked, page.said = [], []
        page.on("request", lambda asked: page.asked.append(asked.url))
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.goto(path.as_uri())
        page.address = path.as_uri()
        yield page
        browser.close()


def test_the_browser_asks_for_nothing_but_the_file_and_complains_of_nothing(page: Any) -> None:
    assert (page.asked, page.said) == ([page.address], [])


def test_the_page_shows_figures_notes_and_differences(page: Any, evaluation: Evaluation) -> None:
    text = page.inner_text("body")
    found = evaluation.differences(evaluation.measured[1])
    wanted = ["26.9", "26.8", "61.5", "a note for the reader", "nanodet-g-416 openvino fp16", "f16 (34)"]
    for text_of in (
        *wanted,
        *(f"{d.largest:+.4f}" for d in found.values()),
        *(f"at {d.at:.3f}" for d in found.values()),
    ):
        assert text_of in text, text_of


def test_every_curve_of_every_run_is_drawn_within_its_chart(page: Any) -> None:
    charts = page.query_selector_all("figure svg:not(.strip)")
    assert len(charts) == len(CURVES)
    for chart in charts:
        frame = chart.bounding_box()
        lines = chart.query_selector_all("polyline")
        assert len(lines) == 3
        for line in lines:
            box = line.bounding_box()
            assert box["width"] > 0.8 * frame["width"] and box["height"] > 0.1 * frame["height"]
            assert box["x"] >= frame["x"] and box["x"] + box["width"] <= frame["x"] + frame["width"]
            assert box["y"] >= frame["y"] and box["y"] + box["height"] <= frame["y"] + frame["height"]


def test_nothing_on_the_page_is_wider_than_the_window(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= 1180
    assert page.evaluate("[...document.querySelectorAll('.wide')].every(e => e.scrollWidth <= e.clientWidth)")


def test_text_stands_out_from_the_paper_in_light_and_dark(page: Any) -> None:
    brightness = """e => { const [r, g, b] = getComputedStyle(e)[%r].match(/[0-9.]+/g).map(Number);
                           return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255 }"""
    body = page.query_selector("body")
    paper = body.evaluate(brightness % "backgroundColor")
    for selector, style in (("h1", "color"), ("td", "color"), ("small", "color"), ("svg text", "fill")):
        assert abs(page.query_selector(selector).evaluate(brightness % style) - paper) > 0.4, selector
