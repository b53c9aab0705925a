"""The pictures of a tuning report, as SVG: what the gates saw along a clip, and what all settings come to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from soteirad.tune.advice import Score
from soteirad.tune.knobs import Knobs
from soteirad.tune.run import ClipResult, Shown

WIDTH, LEFT, RIGHT = 1000, 44, 12
MOST_COLUMNS = 900
"""A line has a lowest and a highest point for each of so many columns: more cannot be seen."""
_GAP, _TITLE, _BAR = 20, 18, 12
MOST_LANES = 6
LOWEST_MOTION = 0.001
Points = Sequence[tuple[float, float]]
"""Seconds and value."""


@dataclass(frozen=True)
class _Row:
    """One signal's place in the timeline, its scale (0-1 from the bottom) and the marks beside it."""

    title: str
    height: int
    scale: Callable[[float], float]
    marks: tuple[tuple[float, str], ...]


def _log(value: float) -> float:
    return math.log10(max(value, LOWEST_MOTION) / LOWEST_MOTION) / -math.log10(LOWEST_MOTION)


def _plain(value: float) -> float:
    return min(1.0, max(0.0, value))


MOTION = _Row("Gate 1, motion: share of the picture that changed", 96, _log,
              ((0.001, "0.1 %"), (0.01, "1 %"), (0.1, "10 %"), (1.0, "100 %")))  # fmt: skip
DISTANCE = _Row("Gate 2, scene: distance of the colours", 64, _plain, ((0.0, "0"), (0.5, "0.5"), (1.0, "1")))
SSIM = _Row("Gate 2, scene: likeness of the structure (SSIM)", 64, _plain, ((0.0, "0"), (0.5, "0.5"), (1.0, "1")))
SCORE = _Row("Gate 3, objects: the detector's best score", 64, _plain, ((0.0, "0"), (0.5, "0.5"), (1.0, "1")))


def timeline(clip: ClipResult, shown: Sequence[Knobs], classes: Sequence[int], link: Callable[[int], str]) -> str:
    """Return a clip's timeline; group `s<i>` of it belongs to the i-th of the settings that are shown.

    `classes` are the tracked labels' indices; `link` gives the address of an entry's picture.
    """
    seconds = max(clip.recording.facts.seconds, 1e-3)
    across = _across(seconds)
    times = [clip.recording.time(i) for i in range(len(clip.recording.analysed))]
    first, runs = clip.shown[shown[0]], [clip.shown[k] for k in shown]
    parts, top = [], 0.0

    def row(spec: _Row, lines: Sequence[Points], limits: Sequence[float], above: bool) -> None:
        nonlocal top
        parts.append(_row(spec, top, lines, limits, across, above))
        top += _TITLE + spec.height + _GAP

    motion = [_points(times, s.ran.trace.motion if s.ran.trace else ()) for s in runs]
    row(MOTION, motion[:1] if all(m == motion[0] for m in motion) else motion,
        [k.motion_threshold for k in shown], True)  # fmt: skip
    scenes = [_scene(times, s) for s in runs]
    row(DISTANCE, [s[0] for s in scenes], [k.scene_distance for k in shown], True)
    row(SSIM, [s[1] for s in scenes], [k.scene_ssim for k in shown], False)
    row(SCORE, [_points(times, _best_scores(clip, classes))], [k.min_score for k in shown], True)
    parts.append(_title(top, "Looks of the detector"))
    parts += [_group(i, _ticks(s, times, across, top + _TITLE)) for i, s in enumerate(runs)]
    top += _TITLE + 14 + _GAP
    parts.append(_title(top, "What should be found"))
    bars, lanes = _bars([(e.time, _end(e.path, e.time), f"{e.label} at {clock(e.time)}", "bar true", link(i))
                         for i, e in enumerate(clip.entries)], across, top + _TITLE, seconds)  # fmt: skip
    parts.append(bars)
    top += _TITLE + lanes * (_BAR + 3) + _GAP
    parts.append(_title(top, "What was reported (orange: in no entry)"))
    most = 1
    for i, s in enumerate(runs):
        bars, lanes = _bars(_reported(s), across, top + _TITLE, seconds)
        parts.append(_group(i, bars))
        most = max(most, lanes)
    top += _TITLE + most * (_BAR + 3)
    height = top + 20
    grid = _time_grid(seconds, across, top)
    name = escape(clip.recording.facts.clip)
    text = f"Timeline of {name}: {len(clip.entries)} entries, {len(first.entries)} reported"
    return (f'<svg class=timeline viewBox="0 0 {WIDTH} {height:.0f}" role=group aria-label="{text}">'
            f"{grid}{''.join(parts)}</svg>")  # fmt: skip


def plot(scores: Sequence[Score], front: Sequence[Score], marked: Sequence[tuple[str, Score]]) -> str:
    """Return all settings as points: looks a minute across, entries found upwards; `marked` are named."""
    width, height, left, bottom, top = 640, 340, 46, 44, 18
    most = max(s.looks for s in scores) * 1.08 or 1.0
    entries = max(1, scores[0].entries)

    def x_of(looks: float) -> float:
        return left + looks / most * (width - left - 14)

    def y_of(found: float) -> float:
        return top + (1 - found / entries) * (height - bottom - top)

    parts = []
    step = max(1, math.ceil(entries / 6))
    for found in range(0, entries + 1, step):
        parts.append(f'<path class=rule d="M{left} {y_of(found):.1f}H{width - 14}"/>'
                     f'<text class=y x={left - 8} y={y_of(found) + 4:.1f}>{found}</text>')  # fmt: skip
    for value in _steps(most, 6):
        parts.append(f'<path class=rule d="M{x_of(value):.1f} {top}V{height - bottom}"/>'
                     f'<text class=x x={x_of(value):.1f} y={height - bottom + 16}>{value:g}</text>')  # fmt: skip
    for score in sorted(set(scores), key=lambda s: (s.extra == 0, s.looks, s.found)):
        kind = "clean" if score.extra == 0 else "dirty"
        parts.append(f"<circle class={kind} cx={x_of(score.looks):.1f} cy={y_of(score.found):.1f} r=3.5>"
                     f"<title>{_words(score)}</title></circle>")  # fmt: skip
    line = sorted({(s.looks, s.found) for s in front if s.extra == min(f.extra for f in front)})
    points = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in line)
    parts.append(f'<polyline class=front points="{points}"/>')
    parts += _marks(marked, x_of, y_of, width)
    parts.append(f"<text class=x x={(left + width) / 2} y={height - 6}>looks of the detector in a minute</text>"
                 f'<text class=x transform="translate(12 {(height - bottom) / 2 + top}) rotate(-90)">entries found'
                 f"</text>")  # fmt: skip
    return (f'<svg class=plot viewBox="0 0 {width} {height}" role=img aria-label="Entries found against looks of the '
            f'detector in a minute, for all settings that were tried">{"".join(parts)}</svg>')  # fmt: skip


def clock(seconds: float) -> str:
    """Return a time in a clip as minutes and seconds."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{int(minutes)}:{rest:04.1f}"


def _marks(marked: Sequence[tuple[str, Score]], x_of: Callable[[float], float], y_of: Callable[[float], float],
           width: int) -> list[str]:  # fmt: skip
    """Return the named points; names of points in one place stand in one line, and lines keep apart."""
    places: dict[tuple[float, float], list[tuple[int, str]]] = {}
    for i, (name, score) in enumerate(marked):
        places.setdefault((round(x_of(score.looks), 1), round(y_of(score.found), 1)), []).append((i, name))
    parts: list[str] = []
    lines: list[tuple[float, float, float]] = []
    for (x, y), names in sorted(places.items(), key=lambda p: (p[0][1], p[0][0])):
        parts.append(f'<circle class="mark m{names[0][0]}" cx={x} cy={y} r=7 />')
        text = ", ".join(name for _, name in names)
        half = len(text) * 3.6
        at = min(max(x, 50 + half), width - 14 - half)
        down = y + 22
        while any(abs(down - other) < 15 and abs(at - where) < half + reach + 8 for other, where, reach in lines):
            down += 15
        lines.append((down, at, half))
        parts.append(f'<text class="name" x={at:.1f} y={down:.1f}>{escape(text)}</text>')
    return parts


def _words(score: Score) -> str:
    return f"{score.found} of {score.entries} found, {score.extra} false, {score.looks:.0f} looks a minute"


def _across(seconds: float) -> Callable[[float], float]:
    return lambda time: LEFT + (WIDTH - LEFT - RIGHT) * time / seconds


def _group(index: int, content: str) -> str:
    return f'<g class="s{index}">{content}</g>'


def _title(top: float, text: str) -> str:
    return f"<text class=head x={LEFT} y={top + 11:.1f}>{escape(text)}</text>"


def _row(spec: _Row, top: float, lines: Sequence[Points], limits: Sequence[float], across: Callable[[float], float],
         above: bool) -> str:  # fmt: skip
    base = top + _TITLE + spec.height

    def y_of(value: float) -> float:
        return base - spec.scale(value) * spec.height

    parts = [_title(top, spec.title)]
    for value, text in spec.marks:
        parts.append(f'<path class=rule d="M{LEFT} {y_of(value):.1f}H{WIDTH - RIGHT}"/>'
                     f"<text class=y x={LEFT - 5} y={y_of(value) + 4:.1f}>{text}</text>")  # fmt: skip
    for i, points in enumerate(lines):
        drawn = " ".join(f"{across(t):.1f},{y_of(v):.1f}" for t, v in thinned(points))
        line = f'<polyline class=signal points="{drawn}"/>'
        parts.append(line if len(lines) == 1 else _group(i, line))
    for i, limit in enumerate(limits):
        text = f"{'from' if above else 'below'} {limit:g}"
        parts.append(_group(i, f'<path class=limit d="M{LEFT} {y_of(limit):.1f}H{WIDTH - RIGHT}"/>'
                            f'<text class=limit x={WIDTH - RIGHT - 4} y={y_of(limit) - 4:.1f}>{text}</text>'))
    return "".join(parts)


def thinned(points: Points) -> list[tuple[float, float]]:
    """Return a line of at most 2 * `MOST_COLUMNS` points, with all its peaks."""
    if len(points) <= 2 * MOST_COLUMNS:
        return list(points)
    size = len(points) / MOST_COLUMNS
    kept: list[tuple[float, float]] = []
    for column in range(MOST_COLUMNS):
        part = points[int(column * size) : int((column + 1) * size)]
        ends = {min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])}
        kept += sorted(ends)
    return kept


def _points(times: Sequence[float], values: Sequence[float]) -> Points:
    return list(zip(times, values, strict=False))


def _scene(times: Sequence[float], shown: Shown) -> tuple[Points, Points]:
    runs = shown.ran.trace.scene if shown.ran.trace else ()
    return [(times[i], d) for i, d, _ in runs], [(times[i], s) for i, _, s in runs]


def _best_scores(clip: ClipResult, classes: Sequence[int]) -> list[float]:
    best = []
    for i in range(len(clip.recording.analysed)):
        found = clip.recording.found(i)
        scores = [s for s, c in zip(found.scores.tolist(), found.classes.tolist(), strict=True) if c in classes]
        best.append(max(scores, default=0.0))
    return best


def _ticks(shown: Shown, times: Sequence[float], across: Callable[[float], float], top: float) -> str:
    looks = shown.ran.trace.looks if shown.ran.trace else ()
    columns = dict.fromkeys(f"{across(times[i]):.1f}" for i, _ in looks)
    drawn = "".join(f"M{x} {top:.1f}v14" for x in columns)
    return f'<path class=look d="{drawn}"/>'


def _reported(shown: Shown) -> list[tuple[float, float, str, str, str]]:
    extra = set(shown.matched.extra)
    seen = [s for s in shown.ran.seen if s.kind == "entered"]
    rows = []
    for i, (visit, entry) in enumerate(zip(seen, shown.entries, strict=True)):
        kind = "bar false" if i in extra else "bar found"
        words = f"{entry.label} at {clock(entry.time)}" + (": in no entry" if i in extra else "")
        rows.append((visit.time, visit.left if visit.left is not None else visit.time, words, kind, ""))
    return rows


def _end(path: Sequence[tuple[float, object]], time: float) -> float:
    return path[-1][0] if path else time


def _bars(bars: Sequence[tuple[float, float, str, str, str]], across: Callable[[float], float], top: float,
          seconds: float) -> tuple[str, int]:  # fmt: skip
    """Return bars (start, end, words, class, link) in as many lanes as they need, and how many those are."""
    lanes: list[float] = []
    parts = []
    for start, end, words, kind, link in sorted(bars):
        lane = next((i for i, free in enumerate(lanes) if free <= start), len(lanes))
        if lane == len(lanes) and lane < MOST_LANES:
            lanes.append(0.0)
        lane = min(lane, MOST_LANES - 1)
        lanes[lane] = max(lanes[lane], end, start + seconds * 0.006)
        width = max(4.0, across(end) - across(start))
        x = min(across(start), WIDTH - RIGHT - width)
        bar = (f'<rect class="{kind}" x={x:.1f} y={top + lane * (_BAR + 3):.1f} width={width:.1f} height={_BAR} rx=3>'
               f"<title>{escape(words)}</title></rect>")  # fmt: skip
        parts.append(f'<a href="{link}" aria-label="{escape(words)}">{bar}</a>' if link else bar)
    return "".join(parts), max(1, len(lanes))


def _time_grid(seconds: float, across: Callable[[float], float], bottom: float) -> str:
    parts = []
    for value in _steps(seconds, 10):
        label = f"{int(value // 60)}:{value % 60:02.0f}"
        parts.append(f'<path class=rule d="M{across(value):.1f} 0V{bottom:.1f}"/>'
                     f"<text class=x x={across(value):.1f} y={bottom + 15:.1f}>{label}</text>")  # fmt: skip
    return "".join(parts)


def _steps(most: float, count: int) -> list[float]:
    """Return about `count` round numbers from 0 to `most`."""
    rough = most / count
    power = 10.0 ** math.floor(math.log10(rough))
    sizes = (1, 2, 5, 10) if most < 60 or power > 100 else (1, 1.5, 2, 3, 6, 12)
    size = next((n * power for n in sizes if n * power >= rough), sizes[-1] * power)
    return [i * size for i in range(int(most / size) + 1)]
