"""What the soak found: the requirements that are broken, and the section of docs/reliability.md."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from soteirad.diagnostics import percentiles
from tests.generated import table
from tests.soak.house import ENTRY_S, Story
from tests.soak.troubles import KINDS, LOAD, SERVER, Fault
from tests.soak.vitals import FORK_SERVER, HUB, Sample, typical

GROWTH_LIMIT = 0.05
LEAKS_FROM_MINUTES = 10.0
"""A shorter run says nothing about leaks: allocators and caches are still filling."""
BASE_S, WINDOW_S = 300.0, 60.0
AFTER_FAULT_S = 3.0
EARLY_S, SLOW_S = 1.0, 4.5
"""An entry is told within this time around the clip's own: a stream begins up to a key frame's distance late."""
SERVER_FAULTS_IN_30 = 20
LATEST_S = 3.0


@dataclass
class Record:
    """All that was seen. Times are monotonic."""

    minutes: float
    began: float
    ended: float
    lap_s: float
    control: str
    stories: dict[str, Story]
    servers_began: dict[str, list[float]]
    faults: list[Fault]
    samples: list[Sample]
    log: str
    broken: list[str] = field(default_factory=list)

    @property
    def faulted(self) -> list[str]:
        return [name for name in self.stories if name != self.control]


@dataclass(frozen=True)
class Laps:
    """The control camera's visits: how many there were, and how many were told wrongly."""

    whole: int
    missed: int
    repeated: int


def count_laps(entered: Sequence[float], left: Sequence[float], began: float, lap: float, since: float,
               until: float) -> Laps:  # fmt: skip
    """Count the events of each whole lap of a clip that began at `began`, between `since` and `until`."""
    first = int((since - began) // lap) + 1
    last = int((until - LATEST_S - began) // lap)
    counts = [
        sum(first_of <= at < first_of + lap for at in times)
        for first_of in (began + number * lap for number in range(first, last)) for times in (entered, left)
    ]  # fmt: skip
    return Laps(max(0, last - first), counts.count(0), sum(count - 1 for count in counts if count > 1))


def untimely(entered: Iterable[float], servers_began: Sequence[float], lap: float) -> list[float]:
    """Return the entries that were told when nobody entered in the clip."""
    found = []
    for at in entered:
        began = max((start for start in servers_began if start <= at), default=None)
        phase = None if began is None else (at - began) % lap
        if phase is None or not ENTRY_S - EARLY_S <= phase <= ENTRY_S + SLOW_S:
            found.append(at)
    return found


def counter_gap(diagnostics: dict[str, Any]) -> int:
    """Return how many decoded frames are nowhere: damaged ones are taken like others, and not analysed."""
    return int(diagnostics["decoded"] - diagnostics["dropped"] - diagnostics["late"] - diagnostics["frames"])


def figures(record: Record) -> str:
    """Return the section's text; notes what is broken in `record.broken`."""
    return "\n\n".join(part(record) for part in (_head, _faults, _control, _counters, _leaks, _conclusion))


def _head(record: Record) -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    if record.log.count("Traceback"):
        record.broken.append("the daemon's log has a traceback")
    return (f"{len(record.stories)} cameras (640x360, 10 frames a second, RTSP), {len(record.faults)} faults in "
            f"{(record.ended - record.began) / 60:.0f} minutes, on a machine with {os.cpu_count()} cores and "
            f"{memory:.0f} GB; default time limits.")  # fmt: skip


def _faults(record: Record) -> str:
    rows = []
    for kind in KINDS:
        ours = [fault for fault in record.faults if fault.kind == kind]
        times = [fault.recovered for fault in ours if fault.recovered is not None]
        for fault in ours:
            record.broken += [f"{_which(fault)}: {problem}" for problem in _problems(fault)]
        shown = times and kind != LOAD  # a camera that never went need not come back
        told = (f"{statistics.median(times):.1f} s", f"{max(times):.1f} s") if shown else ("-", "-")
        warnings = f"{statistics.median(f.warnings for f in ours):.0f}" if ours else "-"
        rows.append((kind, str(len(ours)), *told, str(sum(bool(f.others_changed) for f in ours)), warnings))
        if not ours:
            record.broken.append(f"{kind}: never tried")
    cuts = sum(fault.kind == SERVER for fault in record.faults)
    if record.minutes >= 30 and cuts < SERVER_FAULTS_IN_30:
        record.broken.append(f"{SERVER}: only {cuts} times")
    head = ("fault", "times", "recovery p50", "max", "times that other cameras noticed", "warnings in the log, p50")
    return table(head, rows)


def _which(fault: Fault) -> str:
    return " ".join(filter(None, (fault.kind, fault.camera and f"({fault.camera})")))


def _problems(fault: Fault) -> list[str]:
    found = [fault.problem] if fault.problem else []
    if fault.recovered is None:
        found.append("no recovery was seen")
    elif fault.recovered > fault.limit:
        found.append(f"recovered after {fault.recovered:.1f} s, allowed are {fault.limit:.1f} s ({fault.note})")
    if fault.others_changed:
        found.append(f"the status of {', '.join(fault.others_changed)} changed too")
    return found


def _control(record: Record) -> str:
    story = record.stories[record.control]
    since = next((at for at, said in story.status if said == "online"), record.ended)
    laps = count_laps(story.kinds("entered"), story.kinds("left"), record.servers_began[record.control][0],
                      record.lap_s, since, record.ended)  # fmt: skip
    if laps.missed or laps.repeated or not laps.whole:
        record.broken.append(f"{record.control}, which nothing touched: of {laps.whole} visits {laps.missed} events "
                             f"were missed and {laps.repeated} repeated")  # fmt: skip
    odd = [kind for kind in ("source_lost", "scene_changed") if story.kinds(kind)]
    changes = sum(at > since for at, _ in story.status)
    if odd or changes:
        record.broken.append(f"{record.control}, which nothing touched: {changes} changes of status, {', '.join(odd)}")
    told, soon, wrong = 0, 0, 0
    for name in record.faulted:
        entered, status = record.stories[name].kinds("entered"), record.stories[name].status
        again = [at for at, said in status if said == "online"][1:]
        told += len(entered)
        soon += sum(any(0 <= at - back < AFTER_FAULT_S for back in again) for at in entered)
        wrong += len(untimely(entered, record.servers_began[name], record.lap_s))
    if wrong:
        record.broken.append(f"{wrong} of {told} entries at faulted cameras were told when nobody entered")
    return (f"The camera that nothing touched showed {laps.whole} visits: {laps.missed} events missed, {laps.repeated} "
            f"repeated. The faulted ones told {told} entries, {soon} of them within {AFTER_FAULT_S:.0f} s of a "
            f"reconnection; {wrong} when nobody entered.")  # fmt: skip


def _counters(record: Record) -> str:
    loads = [(fault.began, fault.ended) for fault in record.faults if fault.kind == LOAD]
    calm: list[float] = []
    busy: list[float] = []
    for story in record.stories.values():
        for event in story.events.values():
            if "total" in event.get("latency_ms", {}):
                under = any(began <= event["at"] <= ended for began, ended in loads)
                (busy if under else calm).append(event["latency_ms"]["total"])
    gaps = [(counter_gap(values), name) for name, story in record.stories.items()
            for _, values in story.diagnostics if "decoded" in values]  # fmt: skip
    worst, name = max(gaps, key=lambda gap: abs(gap[0]), default=(0, ""))
    if abs(worst) > 1:
        record.broken.append(f"{name}: its counters do not add up, {worst} frames are missing")
    return (f"From capture to event {_latency(calm)}; with all cores busy {_latency(busy)}. Counters (decoded = "
            f"dropped + late + taken) were off by at most {abs(worst)} in {len(gaps)} reports.")  # fmt: skip


def _latency(values: list[float]) -> str:
    if not values:
        return "was not measured"
    found = percentiles(values)
    return f"p50 {found['p50']:.0f} ms, p95 {found['p95']:.0f} ms ({len(values)} events)"


def _leaks(record: Record) -> str:
    length = record.ended - record.began
    base, window = record.began + min(BASE_S, length / 3), min(WINDOW_S, length / 6)
    rows = []
    for who in (HUB, FORK_SERVER, *record.stories):
        early = [s for s in record.samples if s.who == who and base - window <= s.time <= base]
        late = [s for s in record.samples if s.who == who and s.time >= record.ended - window]
        if not early or not late:
            record.broken.append(f"{who}: its memory was not measured")
            continue
        row = [who]
        for what in ("rss", "fds", "threads"):
            before, after = typical(early, what), typical(late, what)
            growth = after / before - 1
            row.append(f"{before:.0f}, {after:.0f} ({growth:+.1%})")
            judged = who in (HUB, record.control) and record.minutes >= LEAKS_FROM_MINUTES
            if judged and growth >= GROWTH_LIMIT:
                record.broken.append(f"{who}: {what} grew by {growth:.1%}")
        rows.append((*row, f"{typical(late, 'pss'):.0f}"))
    head = ("process", "RSS in MB, then and at the end", "file descriptors", "threads", "PSS in MB")
    note = (f"After {(base - record.began) / 60:.0f} minutes and at the end (medians of {window:.0f} s); faulted "
            f"cameras have had other processes since:")  # fmt: skip
    return f"{note}\n\n{table(head, rows)}"


def _conclusion(record: Record) -> str:
    if not record.broken:
        return "All requirements were met."
    return "Not met:\n\n" + "\n".join(f"* {line}" for line in record.broken)
