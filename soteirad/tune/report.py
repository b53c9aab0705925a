"""A tuning as one HTML file: it makes no request, and an owner who is no programmer can read it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from pathlib import Path

from soteirad import __version__
from soteirad.report_page import STYLE, write_page
from soteirad.tune.advice import BALANCED_SHARE, FEW_ENTRIES, GOALS, SAVING_SHARE, Goal, Score
from soteirad.tune.bounds import BALANCED_TIMES, SAVING_TIMES
from soteirad.tune.charts import clock, plot, timeline
from soteirad.tune.gallery import Gallery
from soteirad.tune.knobs import Knobs
from soteirad.tune.match import IOU, TOLERANCE_S
from soteirad.tune.present import rows
from soteirad.tune.run import ClipResult, Tuning

MOST_PICTURES = 60
"""In one report: entries first, then what was reported and is none."""

_SENSE: dict[Goal, str] = {
    "miss nothing": "Finds the most, and is in no key more careless than your present settings or the defaults.",
    "balanced": f"The fewest looks that find {BALANCED_SHARE:.0%} of that, at most {BALANCED_TIMES:g} times as "
                f"careless as the defaults.",
    "save power": f"The fewest looks that find {SAVING_SHARE:.0%} of that, at most {SAVING_TIMES:g} times as careless "
                  f"as the defaults ({BALANCED_TIMES:g} times with fewer than {FEW_ENTRIES} entries).",
}


def write_report(path: Path, tuning: Tuning) -> None:
    """Write the report. Raises SoteiraError when the file cannot be written."""
    write_page(path, html_report(tuning))


def html_report(tuning: Tuning) -> str:
    """Return the whole document."""
    folder = Path(__file__).parent
    script = (folder / "report.js").read_text(encoding="utf-8")
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = STYLE + (folder / "report.css").read_text(encoding="utf-8")
    title = f"Tuning of {tuning.camera}" if tuning.camera else "Tuning"
    gallery = Gallery(MOST_PICTURES)
    pictures = [gallery.of(number, clip, rows(tuning)) for number, clip in enumerate(tuning.clips)]
    parts = [
        f"<h1>{escape(title)}</h1>",
        _summary(tuning),
        *([f"<div class=notes>{''.join(f'<p>{escape(n)}</p>' for n in tuning.notes)}</div>"] if tuning.notes else []),
        "<h2>Recommendations</h2>",
        f"<div class=cards>{''.join(_card(i, n, s, tuning) for i, (n, s) in enumerate(rows(tuning)))}</div>",
        f"<p class=note>{_basis(tuning)}</p>",
        "<p class=note>Put the lines into your configuration yourself, or save them to a file and let "
        "<code>soteirad config apply FILE</code> do it.</p>",
        "<h2>All settings that were tried</h2>",
        "<p>Each point is one combination of settings. Upwards is more entries found, to the left is less work for the "
        "detector. Hollow points report entries that are none. The dashed line joins those that none beats.</p>",
        f"<div class=scroll tabindex=0>{plot(tuning.scores, tuning.front, rows(tuning))}</div>",
        _tables(tuning),
        "<h2>What the gates saw</h2>",
        _choice(tuning),
        *(_clip(i, clip, tuning, gallery, pictures[i]) for i, clip in enumerate(tuning.clips)),
        _DEFINITIONS.format(tolerance=f"{TOLERANCE_S:g}", iou=f"{IOU:g}"),
        f"<footer>soteirad {escape(__version__)}</footer>",
    ]
    return _PAGE.format(title=escape(title), style=style, script=script, allowed=allowed, body="\n".join(parts))


def _summary(tuning: Tuning) -> str:
    seconds = sum(clip.recording.facts.seconds for clip in tuning.clips)
    names = ", ".join(escape(clip.recording.facts.clip) for clip in tuning.clips)
    truth = "your own labels" if tuning.labelled else "what the detector finds when it looks at every frame"
    return (f"<p>{len(tuning.scores)} combinations of settings were tried on {names} ({clock(seconds)} in all). They "
            f"are judged by {truth}: {tuning.present.entries} entries that should be reported.</p>")  # fmt: skip


def _basis(tuning: Tuning) -> str:
    count = tuning.present.entries
    return (f"All of this rests on {count} entr{'y' if count == 1 else 'ies'}. What looks less often than now may miss "
            f"what is in none of these clips: who only passes by, or is far away.")  # fmt: skip


def _card(index: int, name: str, score: Score, tuning: Tuning) -> str:
    goal = next((g for g in GOALS if g == name), None)
    delay = "-" if score.delay is None else f"{score.delay:+.1f} s"
    facts = (("entries found", f"{score.found} of {score.entries}"), ("false entries", str(score.extra)),
             ("reported later by", delay), ("looks a minute", f"{score.looks:.0f}"),
             ("one processor (estimate)", f"{score.cpu:.0%}"))  # fmt: skip
    listed = "".join(f"<dt>{key}</dt><dd>{value}</dd>" for key, value in facts)
    if goal is None:
        return (f'<section class="card m{index}"><h3>{name}</h3><p>Your present settings.</p><dl>{listed}</dl>'
                f"</section>")  # fmt: skip
    lines, same = tuning.yaml(goal), _same(goal, tuning)
    changes = "".join(f"<li>{key}: <del>{old:g}</del> → <b>{new:g}</b></li>"
                      for key, (old, new) in score.knobs.changes(tuning.present.knobs).items())  # fmt: skip
    paste = (f"<ul>{changes}</ul><pre id=yaml{index} tabindex=0>{escape(lines)}</pre>"
             f"<button type=button data-copy=yaml{index}>Copy these lines</button>"
             if lines else "<p>Nothing to change: these are your present settings.</p>")  # fmt: skip
    if same and lines:
        paste = f"<p>The same settings as <b>{same}</b>.</p>"
    return (f'<section class="card m{index}"><h3>{name}</h3><p>{_SENSE[goal]}</p><dl>{listed}</dl>{paste}</section>')


def _same(goal: Goal, tuning: Tuning) -> Goal | None:
    """Return an earlier recommendation that is the same."""
    earlier = GOALS[: GOALS.index(goal)]
    return next((g for g in earlier if tuning.advice[g].knobs == tuning.advice[goal].knobs), None)


def _choice(tuning: Tuning) -> str:
    items = "".join(
        f'<label class="m{i}"><input type=radio name=show value={i}{" checked" if i == 0 else ""}>{name}</label>'
        for i, (name, _) in enumerate(rows(tuning))
    )
    return f"<fieldset class=choice><legend>Show with the settings</legend>{items}</fieldset>"


def _clip(number: int, clip: ClipResult, tuning: Tuning, gallery: Gallery, pictures: str) -> str:
    shown = [score.knobs for _, score in rows(tuning)]
    classes = [i for i, name in enumerate(tuning.names) if name in clip.camera.objects.track]
    name = escape(clip.recording.facts.clip)
    drawn = timeline(clip, shown, classes, lambda entry: gallery.link(number, entry))
    left_out = gallery.left_out(number)
    more = f"<p class=note>{left_out} more are not shown, to keep this file small.</p>" if left_out else ""
    return (f"<h3>{name}</h3><div class=scroll tabindex=0 role=region aria-label='Timeline of {name}'>{drawn}</div>"
            f"<h3>Entries in {name}</h3>{pictures}{more}")  # fmt: skip


def _tables(tuning: Tuning) -> str:
    best = _table([*rows(tuning), *(("", s) for s in tuning.front)], tuning.present.knobs)
    everything = _table([("", s) for s in tuning.scores], tuning.present.knobs)
    return (f"<h3>Now, the recommendations, and the settings that none beats</h3>{best}"
            f"<details><summary>All {len(tuning.scores)} settings</summary>{everything}</details>")  # fmt: skip


def _table(scores: Sequence[tuple[str, Score]], present: Knobs) -> str:
    keys = tuple(present.values())
    heads = ("", "found", "false", "later by", "looks/min", "processor", *keys)
    lines = []
    for name, score in scores:
        delay = "-" if score.delay is None else f"{score.delay:.2f} s"
        cells = [f"{score.found}/{score.entries}", str(score.extra), delay, f"{score.looks:.1f}", f"{score.cpu:.1%}"]
        changed = score.knobs.changes(present)
        settings = "".join(f"<td{' class=changed' if key in changed else ''}>{value:g}</td>"
                           for key, value in score.knobs.values().items())  # fmt: skip
        kind = " class=ours" if name else ""
        lines.append(f"<tr{kind}><th>{name}</th>{''.join(f'<td>{c}</td>' for c in cells)}{settings}</tr>")
    head = "".join(f"<th>{h}</th>" for h in heads)
    return (f"<div class=wide tabindex=0><table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
            f"</div>")  # fmt: skip


_DEFINITIONS = """<h2>How to read this</h2>
<p>An entry is an object that comes into the picture and is confirmed: Soteira's event <code>entered</code>. A report
counts as found when it has an entry's label, is at most {tolerance} s away from it and, where its place is known,
overlaps it (IoU {iou}); each report takes one entry. All other reports are false. "Later by" is how much later than the
entry the report comes, on average.</p>
<p>A look is one run of the detector, which costs most of the processor's time. The processor's share is an estimate:
what each stage took while this clip was measured, times how often it would run with the settings. It is the one figure
here that differs from run to run; recommendations do not hang on it.</p>
<p>Advice is as good as the footage. Take a clip of an ordinary day and one of a difficult moment, such as dusk or rain,
and give both.</p>"""

_PAGE = """<!doctype html>
<html lang=en><head><meta charset=utf-8><meta name=viewport content="width=device-width, initial-scale=1">
<meta http-equiv=Content-Security-Policy content="default-src 'none'; style-src 'unsafe-inline'; img-src data:;
 script-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'">
<title>{title}</title><style>{style}</style></head><body data-show=0>
{body}
<script>{script}</script></body></html>
"""
