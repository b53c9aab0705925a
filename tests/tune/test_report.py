"""The report: what it shows of each clip, and how much of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser
from unittest import mock

import numpy as np
import pytest

from soteirad.tune import report as module
from soteirad.tune import run
from soteirad.tune.charts import MOST_COLUMNS, clock, thinned
from soteirad.tune.crew import Crew
from soteirad.tune.match import Entry, match
from soteirad.tune.report import html_report
from soteirad.tune.run import Tuning, Wish, tune
from soteirad.tune.store import Store
from tests.tune.made import PRESENT, Measured


class Page(HTMLParser):
    """The tags of a page, and its ids and links."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str, kind: str = "") -> list[dict[str, str | None]]:
        return [a for t, a in self.tags if t == tag and kind in [*(a.get("class") or "").split(), ""]]


@pytest.fixture(scope="module")
def tuning(visit: Measured, looks_once: None) -> Tuning:
    class Known(Store):
        def recording(self, *_: object, **__: object):  # type: ignore[no-untyped-def]
            return visit.recording

    clip = visit.recording.path.with_name(visit.recording.facts.clip)
    few = [PRESENT, replace(PRESENT, stride=8), replace(PRESENT, stride=12, motion_threshold=0.04)]
    with (
        closing(Known(None)) as store,
        mock.patch.object(run, "first_round", lambda *_: few),
        mock.patch.object(run, "second_round", lambda *_: few[:2]),
    ):
        return tune(Wish([clip]), store, Crew(processes=1))


def with_extra(tuning: Tuning, extra: Sequence[Entry]) -> Tuning:
    """The same with reports that are no entries, under all settings that are shown."""
    [clip] = tuning.clips
    shown = {}
    for knobs, one in clip.shown.items():
        entries = (*one.entries, *extra)
        template = next(s for s in one.ran.seen if s.kind == "entered")
        seen = (*one.ran.seen, *(replace(template, time=e.time, path=e.path) for e in extra))
        matched = match(entries, clip.entries)
        shown[knobs] = replace(one, entries=entries, matched=matched, ran=replace(one.ran, seen=seen))
    return replace(tuning, clips=(replace(clip, shown=shown),))


def test_each_entry_has_a_picture_with_its_box_and_who_found_it(tuning: Tuning) -> None:
    page = Page(html_report(tuning))
    pictures = page.all("ul", "pictures")
    assert len(pictures) == 1 and len(page.all("img")) == len(tuning.clips[0].entries) == 1
    assert (page.all("img")[0]["src"] or "").startswith("data:image/jpeg;base64,")
    assert len(page.all("span", "yes")) + len(page.all("span", "no")) == 4
    targets, links = {a["id"] for _, a in page.tags if "id" in a}, [a["href"] for a in page.all("a")]
    assert links and all(str(link)[1:] in targets for link in links)


def test_the_timeline_has_a_layer_for_each_of_the_settings_that_are_shown(tuning: Tuning) -> None:
    html = html_report(tuning)
    page = Page(html)
    assert len(page.all("input")) == 4 and len(page.all("g", "s3")) >= 4
    assert len(page.all("rect", "true")) == 1
    titles = ("motion: share of the picture", "distance of the colours", "SSIM", "best score")
    assert all(title in html for title in titles)


def test_reports_that_are_no_entries_are_shown_once_and_named(tuning: Tuning) -> None:
    box = (0.1, 0.1, 0.2, 0.2)
    page = Page(html_report(with_extra(tuning, [Entry("person", 1.0, ((1.0, box),))])))
    assert len(page.all("span", "extra")) == 1 and len(page.all("img")) == 2
    assert len(page.all("rect", "false")) == 4, "a bar in the timeline of each of the settings"


def test_there_are_so_many_pictures_and_no_more_and_the_report_says_so(
    tuning: Tuning, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_PICTURES", 3)
    extra = [Entry("person", 1.0 + i / 100, ((1.0, (0.1, 0.1, 0.2, 0.2)),)) for i in range(6)]
    html = html_report(with_extra(tuning, extra))
    assert len(Page(html).all("img")) == 3 and "4 more are not shown" in html


def test_sixty_pictures_of_the_largest_kind_are_under_three_megabytes(tuning: Tuning) -> None:
    largest = max(len(tuning.clips[0].recording.picture(i)) for i in range(len(tuning.clips[0].recording.analysed)))
    assert len(html_report(tuning)) + module.MOST_PICTURES * largest * 4 / 3 < 3_000_000


def test_names_of_clips_and_labels_are_text_and_no_markup(tuning: Tuning) -> None:
    [clip] = tuning.clips
    facts = replace(clip.recording.facts, clip="<script>alert(1)</script>.mp4")
    kept = clip.recording.facts
    clip.recording.facts = facts
    try:
        assert "<script>alert" not in html_report(replace(tuning, camera="<b>x"))
    finally:
        clip.recording.facts = kept


def test_the_same_tuning_gives_the_same_page(tuning: Tuning) -> None:
    assert html_report(tuning) == html_report(tuning)


def test_a_long_line_keeps_its_peaks() -> None:
    values = np.zeros(50_000)
    values[31_234] = 1.0
    line = thinned([(float(i), float(v)) for i, v in enumerate(values)])
    assert len(line) <= 2 * MOST_COLUMNS and (31_234.0, 1.0) in line and line == sorted(line)
    assert thinned([(0.0, 1.0), (1.0, 2.0)]) == [(0.0, 1.0), (1.0, 2.0)]


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "0:00.0"), (59.96, "1:00.0"), (75.25, "1:15.2"),
                                               (600.0, "10:00.0")])  # fmt: skip
def test_a_time_is_minutes_and_seconds(seconds: float, text: str) -> None:
    assert clock(seconds) == text
