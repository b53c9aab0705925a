"""From the first frame in which somebody can be seen, by ground truth, to the event at an MQTT subscriber."""

from __future__ import annotations

import json
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.clips import Clip, clips
from benchmarks.figure import Figure, missing
from benchmarks.play import replayed
from benchmarks.runs import Bench, running
from benchmarks.turns import percentile, tell
from soteirad.tune.match import TOLERANCE_S, Entry, match
from tests import truth
from tests.brokers import Subscriber
from tests.clips import truth as demo_truth
from tests.daemon import epoch
from tests.shared_data import DATA, shared_folder

WHAT = "first visible frame -> event at a subscriber"
TARGET_S = 1.2
FPS = 10
SETTLE_S = 2.0
"""Who is found in a clip's first seconds is `present`, and is left out."""
PETS = "mot/PETS09-S2L1-gt.txt"
PETS_FRAME = (768, 576)
ENTRY_S = 1.5
"""Nobody takes longer to walk in."""


@dataclass(frozen=True)
class Reaction:
    """An object that became visible at `visible` (media seconds), and was told so many seconds `after` that.

    `by_gates` is how much later than in a run that looks at every frame, None if that did not find it; both are None
    where they are not known, and `after` is None if the object was not told at all.
    """

    clip: str
    label: str
    visible: float
    after: float | None
    by_gates: float | None = None


@dataclass(frozen=True)
class Report:
    """An `entered` at the subscriber: the entry, and how late it came after its frame was due (seconds)."""

    entry: Entry
    late: float


def measure(bench: Bench) -> list[Figure]:
    """Play each clip that has a ground truth once, in real time, through the daemon."""
    known = {"demo": demo_entries, "vtest": pets_entries, "car park": parking_entries}
    here = [clip for clip in clips()[0] if clip.name in known and not (bench.quick and clip.name != "demo")]
    found: list[Reaction] = []
    for clip in here:
        if clip.name == "vtest" and not (shared_folder() / PETS).exists():
            continue
        true = [entry for entry in known[clip.name]() if entry.label in clip.labels]
        reacted = reactions(clip.name, true, _play(bench, clip))
        found += reacted if bench.quick else beside_every_frame(reacted, true, _every_frame(clip))
    seen = [r.after for r in found if r.after is not None]
    if not seen:
        return [missing("reaction", WHAT, "no event of a known object came", TARGET_S)]
    return _figures(found, seen)


def demo_entries() -> list[Entry]:
    """Return what enters in the demonstration, from its first visible pixels on."""
    return [
        Entry(v["label"], v["first_visible"], tuple((frame / FPS, box) for frame, *box in v["boxes"]))
        for v in demo_truth()["visits"]
    ]


def parking_entries() -> list[Entry]:
    """Return what enters on the car park, labelled by eye."""
    visits = json.loads((DATA / "person-bicycle-car.json").read_text())["visits"]
    return [Entry(v["label"], v["first_visible"], tuple((at, box) for at, *box in v["track"])) for v in visits]


def pets_entries() -> list[Entry]:
    """Return who enters in PETS09-S2L1, whose frames are those of vtest.avi."""
    return mot_entries((shared_folder() / PETS).read_text().splitlines(), FPS)


def mot_entries(lines: Iterable[str], fps: float, frame: tuple[int, int] = PETS_FRAME) -> list[Entry]:
    """Return the persons of a ground truth in the format of MOT challenges who were not there from the beginning.

    Its boxes begin when a person is in the picture whole. What was to be seen before is continued from them backwards.
    """
    tracks: dict[int, list[tuple[float, float, float, float, float]]] = defaultdict(list)
    for line in lines:
        number, person, x, y, width, height = (float(value) for value in line.split(",")[:6])
        tracks[int(person)].append((number / fps, x, y, x + width, y + height))
    found = []
    for track in map(sorted, tracks.values()):
        path = [*_before(truth.Entry("person", track[0][0], track[0][0], tuple(track), frame), fps),
                *((at, tuple(box)) for at, *box in track)]  # fmt: skip
        found.append(Entry("person", path[0][0], tuple(path)))
    return [entry for entry in found if entry.time > SETTLE_S]


def _before(labelled: truth.Entry, fps: float) -> list[tuple[float, tuple[float, ...]]]:
    """Return where somebody was before the labels begin, from the border on; nothing who did not come over a border."""
    boxes = []
    for step in range(1, round(ENTRY_S * fps) + 1):
        at = labelled.track[0][0] - step / fps
        x1, y1, x2, y2 = box = labelled.box_at(at)
        if x2 - x1 < 1 or y2 - y1 < 1:
            return boxes[::-1]
        boxes.append((at, box))
    return []


def reactions(clip: str, true: Sequence[Entry], reports: Sequence[Report]) -> list[Reaction]:
    """Return how long after they became visible the true entries were told."""
    found = {entry: reports[report] for report, entry in match([r.entry for r in reports], true).pairs}
    told = {index: r.entry.time - true[index].time + r.late for index, r in found.items()}
    return [Reaction(clip, entry.label, entry.time, told.get(index)) for index, entry in enumerate(true)]


def beside_every_frame(found: Sequence[Reaction], true: Sequence[Entry], every: Sequence[Entry]) -> list[Reaction]:
    """Add how much of the reactions the gates caused: the run that looked at every frame has the same delays else."""
    at = {entry: every[report].time for report, entry in match(every, true).pairs}
    return [
        replace(r, by_gates=r.after - (at[i] - r.visible)) if r.after is not None and i in at else r
        for i, r in enumerate(found)
    ]


def _play(bench: Bench, clip: Clip) -> list[Report]:
    """Play a clip in real time and return what was told to have entered."""
    objects = {"track": list(clip.labels), "min_area": clip.min_area}
    camera = {"source": str(clip.path), "fps": FPS, "objects": objects}
    with running(bench, {"cam1": camera}) as (daemon, broker):
        subscriber = Subscriber(broker, "soteira/cam1/event")
        subscriber.start()
        daemon.wait_log("the file has ended", timeout=300.0)
        wall = time.time() - time.monotonic()
        messages = [(json.loads(m.payload), m.time + wall) for m in subscriber.messages()]
        subscriber.stop()
    return [_report(event, at) for event, at in messages if event["event_type"] == "entered"]


def _report(event: Mapping[str, Any], received: float) -> Report:
    """Judge an event that was received at a time (seconds since the epoch); a file's frame is captured when due."""
    entry = Entry(event["label"], event["media_time"], ((event["media_time"], event["box"]),))
    return Report(entry, received - epoch(event["time"]))


def _every_frame(clip: Clip) -> list[Entry]:
    """Return what enters for a detector that looks at every analysed frame."""
    tell(f"  {clip.name}: looking at every frame ...")
    return [
        Entry(str(e.label), e.media_time, ((e.media_time, e.box),))
        for e in replayed(clip, every_frame=True, fps=FPS).events
        if e.event_type == "entered" and e.media_time is not None and e.box is not None
    ]


def _figures(found: Sequence[Reaction], seen: Sequence[float]) -> list[Figure]:
    per_clip = {clip: [r.after for r in found if r.clip == clip and r.after is not None]
                for clip in dict.fromkeys(r.clip for r in found)}  # fmt: skip
    untold = [f"{r.clip} {r.label} at {r.visible:.1f} s" for r in found if r.after is None]
    slow = sorted((r for r in found if r.after is not None and r.after > TARGET_S), key=lambda r: -(r.after or 0.0))
    gates = [r.by_gates for r in found if r.by_gates is not None]
    parts = [f"{clip} p50 {statistics.median(v):.2f}, p95 {percentile(v, 95):.2f}" for clip, v in per_clip.items() if v]
    note = f"{len(seen)} of {len(found)} entries, files in real time at {FPS} fps: {'; '.join(parts)} s"
    note += f"; slower than {TARGET_S} s: {', '.join(_spoken(r) for r in slow)}" if slow else ""
    note += f"; not told within {TOLERANCE_S:.0f} s: {', '.join(untold)}" if untold else ""
    detail = {"entries": [vars(r) for r in found]}
    figures = [
        Figure("reaction", f"{WHAT}, p95", percentile(seen, 95), TARGET_S, "s", note=note, detail=detail),
        Figure("reaction_p50", f"{WHAT}, p50", statistics.median(seen), None, "s"),
    ]
    if gates:
        figures.append(Figure("reaction_by_gates", "the part of it that the gates cause, p95", percentile(gates, 95),
                              None, "s", note=f"against a look at every frame, {len(gates)} entries; "
                              f"p50 {statistics.median(gates):.2f} s"))  # fmt: skip
    return figures


def _spoken(reaction: Reaction) -> str:
    part = "" if reaction.by_gates is None else f", {reaction.by_gates:.1f} of it the gates'"
    return f"{reaction.clip} {reaction.label} at {reaction.visible:.1f} s ({reaction.after:.1f} s{part})"
