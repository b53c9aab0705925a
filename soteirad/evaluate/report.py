"""An evaluation as one HTML file: it needs no network and no script, and follows the reader's light or dark setting."""

from __future__ import annotations

from html import escape
from math import floor, log10
from pathlib import Path

from soteirad import __version__
from soteirad.evaluate.ap import CURVE_IOU, MOST_BOXES
from soteirad.evaluate.curves import CURVES, POINTS, CurveName, Values
from soteirad.evaluate.present import AP_NAMES, cause, percent
from soteirad.evaluate.run import MIN_SCORE, Evaluation, Measured
from soteirad.report_page import STYLE, write_page

_WIDTH, _LEFT, _RIGHT, _TOP = 520, 52, 10, 10
_MAIN, _STRIP = 270, 96
_LINES = 6
"""Lines that differ in colour and dashes; a seventh run looks like the first again."""

_TITLES: dict[CurveName, str] = {
    "precision": "Precision against confidence",
    "recall": "Recall against confidence",
    "f1": "F1 against confidence",
    "pr": "Precision against recall",
}

_DIFFERENCE_HEADS = ("largest", "from → to", "most of it (objects)", "slipped", "mean distance", "pooled")


def write_report(path: Path, evaluation: Evaluation) -> None:
    """Write the report. Raises SoteiraError when the file cannot be written."""
    write_page(path, html_report(evaluation))


def html_report(evaluation: Evaluation) -> str:
    """Return the whole document."""
    data = evaluation.data
    settings = (f"confidence from {MIN_SCORE}, NMS at IoU {evaluation.nms_iou:g}, at most {MOST_BOXES} boxes an image; "
                f"curves at IoU {CURVE_IOU}")  # fmt: skip
    parts = [
        f"<h1>{escape(data.name)}</h1>",
        f"<p>{len(data.photos)} images, {sum(data.counts.values())} objects of {len(data.counts)} labels. "
        f"Settings: {settings}.</p>",
        _ap_table(evaluation),
        *(f"<p class=note>{escape(m.run.name)}: {escape(note)}.</p>" for m in evaluation.measured for note in m.notes),
        *_differences(evaluation),
        "<h2>Curves</h2>",
        _legend(evaluation.measured),
        f"<div class=grid>{''.join(_figure(evaluation, name) for name in CURVES)}</div>",
        _DEFINITIONS,
        f"<footer>soteirad {escape(__version__)}</footer>",
    ]
    return _PAGE.format(title=escape(f"Evaluation on {data.name}"), style=_STYLE, body="\n".join(parts))


def _ap_table(evaluation: Evaluation) -> str:
    heads = "".join(f"<th>{name}</th>" for name in (*AP_NAMES.values(), "best F1", "layers run in"))
    base = evaluation.measured[0]
    rows = []
    for i, m in enumerate(evaluation.measured):
        best, confidence = m.curves.best_f1()
        executed = ", ".join(f"{escape(k)} ({n})" for k, n in sorted(m.executed.items())) or "-"
        cells = [f"{percent(m.ap[key])}{_change(m.ap[key], base.ap[key]) if i else ''}" for key in AP_NAMES]
        cells += [f"{best:.3f}<small>at {confidence:.3f}</small>", executed]
        rows.append(f"<tr><th>{_swatch(i)}{escape(m.run.name)}</th>{''.join(f'<td>{c}</td>' for c in cells)}</tr>")
    return (f"<h2>Average precision, percent</h2><div class=wide><table><thead><tr><th></th>{heads}</tr></thead>"
            f"<tbody>{''.join(rows)}</tbody></table></div>")  # fmt: skip


def _change(value: float | None, base: float | None) -> str:
    return "" if value is None or base is None else f"<small>{value - base:+.2f}</small>"


def _differences(evaluation: Evaluation) -> list[str]:
    if len(evaluation.measured) == 1:
        return []
    title = f"<h2>Largest difference of each curve from {escape(evaluation.measured[0].run.name)}</h2>"
    return [title, *(_difference_table(evaluation, i) for i in range(1, len(evaluation.measured)))]


def _difference_table(evaluation: Evaluation, index: int) -> str:
    measured = evaluation.measured[index]
    rows = "".join(
        f"<tr><th>{_TITLES[name]}</th><td>{d.largest:+.4f}<small>at {d.at:.3f}</small></td>"
        f"<td>{d.base:.4f} → {d.other:.4f}</td><td>{escape(cause(d))}</td><td>{d.slipped:.4f}</td><td>{d.mean:.5f}</td>"
        f"<td>{d.largest_pooled:+.4f}<small>at {d.at_pooled:.3f}</small></td></tr>"
        for name, d in evaluation.differences(measured).items()
    )
    heads = "".join(f"<th>{h}</th>" for h in _DIFFERENCE_HEADS)
    return (f"<h3>{_swatch(index)}{escape(measured.run.name)}</h3>"
            f"<div class=wide><table><thead><tr><th></th>{heads}</tr></thead>"
            f"<tbody>{rows}</tbody></table></div>")  # fmt: skip


def _swatch(index: int) -> str:
    return (f'<svg class=swatch width=26 height=10 viewBox="0 0 26 10" aria-hidden=true>'
            f'<path class="line l{index % _LINES}" d="M1 5H25"/></svg>')  # fmt: skip


def _legend(measured: tuple[Measured, ...]) -> str:
    items = "".join(f"<span>{_swatch(i)}{escape(m.run.name)}</span>" for i, m in enumerate(measured))
    return f"<p class=legend>{items}</p>"


def _figure(evaluation: Evaluation, name: CurveName) -> str:
    """Return one curve of all runs, and below it how far the others lie from the first."""
    measured = evaluation.measured
    axis = "recall" if name == "pr" else "confidence"
    lines = [(i, m.curves.mean[name]) for i, m in enumerate(measured)]
    chart = _chart(lines, 0.0, 1.0, _MAIN, axis, _TITLES[name])
    if len(measured) == 1:
        return f"<figure><figcaption>{_TITLES[name]}</figcaption>{chart}</figure>"
    apart = [(i, values - lines[0][1]) for i, values in lines[1:]]
    limit = _nice(max(float(abs(values).max()) for _, values in apart))
    strip = _chart(apart, -limit, limit, _STRIP, "", f"{_TITLES[name]}: difference")
    return (f"<figure><figcaption>{_TITLES[name]}</figcaption>{chart}"
            f"<p class=under>difference from {escape(measured[0].run.name)}</p>{strip}</figure>")  # fmt: skip


def _chart(lines: list[tuple[int, Values]], low: float, high: float, height: int, axis: str, title: str) -> str:
    bottom = 34 if axis else 16
    right, floor_ = _WIDTH - _RIGHT, height - bottom

    def y_of(value: float) -> float:
        return _TOP + (high - value) / (high - low) * (floor_ - _TOP)

    steps = 5 if axis else 2
    parts = []
    for k in range(steps + 1):
        value = low + (high - low) * k / steps
        text = f"{value:.1f}" if axis else f"{value:+.2g}" if value else "0"
        parts.append(f'<path class=rule d="M{_LEFT} {y_of(value):.1f}H{right}"/>'
                     f'<text class=y x={_LEFT - 7} y={y_of(value) + 4:.1f}>{text}</text>')  # fmt: skip
    for k in range(6):
        x = _LEFT + (right - _LEFT) * k / 5
        label = f"<text class=x x={x:.1f} y={floor_ + 15}>{k / 5:.1f}</text>" if axis else ""
        parts.append(f'<path class=rule d="M{x:.1f} {_TOP}V{floor_}"/>{label}')
    if axis:
        parts.append(f"<text class=x x={(_LEFT + right) / 2} y={height - 3}>{axis}</text>")
    for index, values in lines:
        points = " ".join(f"{_LEFT + (right - _LEFT) * i / (POINTS - 1):.1f},{y_of(v):.2f}"
                          for i, v in enumerate(values.tolist()))  # fmt: skip
        parts.append(f'<polyline class="line l{index % _LINES}" points="{points}"/>')
    kind = "" if axis else "class=strip "
    return f'<svg {kind}viewBox="0 0 {_WIDTH} {height}" role=img aria-label="{title}">{"".join(parts)}</svg>'


def _nice(value: float) -> float:
    """Return the next round number that is not less."""
    if value < 1e-6:
        return 1e-6
    power = 10.0 ** floor(log10(value))
    return power * next(n for n in (1, 1.5, 2, 3, 5, 7, 10) if n * power >= value * (1 - 1e-9))


_DEFINITIONS = """<h2>What the curves are</h2>
<p>A detection is a hit when it takes an object of its label with an IoU of at least 0.5, as in COCO's matching. For
each label with objects and each confidence c: precision is the share of hits among the detections scoring at least c
(1 where there are none), recall the share of the label's objects that they hit, F1 the harmonic mean of both. Between
two scores that occur the curves are interpolated linearly. Precision against recall gives at recall r the highest
precision reached at r or any greater recall. All are means over the labels, at 1000 points.</p>
<p>In such a mean a label with one object moves by 1 / (number of labels) at once, when the score of its one detection
moves past a point: a difference of that size at a single point says little. Three more figures tell whether it does.
"Slipped" is the largest distance from the nearest of three points of the other curve, the same and those 0.001 before
and behind it. The mean distance is taken over all points. For the pooled curves all objects count as one label; but
precision against recall falls to 0 where the last object was found, and one object more or less moves that end.</p>"""

_STYLE = STYLE + """
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)); gap: 1.5rem }
figure { margin: 0 } figcaption { font-weight: 500 } .under { color: var(--soft); font-size: 13px; margin: .3rem 0 0 }
figure svg { width: 100%; height: auto; display: block }
svg text { fill: var(--soft); font-size: 12px } text.y { text-anchor: end } text.x { text-anchor: middle }
.rule { stroke: var(--rule); fill: none } .line { fill: none; stroke-width: 1.8; stroke-linejoin: round }
.l0 { stroke: var(--c0); stroke-width: 2.6 } .l1 { stroke: var(--c1); stroke-dasharray: 6 3 }
.l2 { stroke: var(--c2); stroke-dasharray: 2 3 } .l3 { stroke: var(--c3); stroke-dasharray: 9 3 2 3 }
.l4 { stroke: var(--c4); stroke-dasharray: 12 4 } .l5 { stroke: var(--c5); stroke-dasharray: 4 2 1 2 }
.strip .line { stroke-dasharray: none; stroke-width: 1.3 }
.legend { max-width: none } .legend span { margin-right: 1.5rem; white-space: nowrap }
.swatch { margin-right: .5rem; vertical-align: middle }
"""

_PAGE = """<!doctype html>
<html lang=en><head><meta charset=utf-8><meta name=viewport content="width=device-width, initial-scale=1">
<meta http-equiv=Content-Security-Policy content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title><style>{style}</style></head><body>
{body}
</body></html>
"""
