"""Clips played as fast as they go, in processes of their own, and the CPU seconds from the first frame to the last."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.clips import Clip
from benchmarks.followed import Row
from soteirad.event import Event
from tests.shared_data import CHECKOUT

FPS = 10


@dataclass(frozen=True)
class Played:
    """What a clip cost, how many frames were analysed and looked at, and what was reported.

    `paths` are the hits of each track, by its number, where they were noted.
    """

    cpu_s: float
    looks: int = 0
    analysed: int = 0
    visits: int = 0
    events: tuple[Event, ...] = field(default=(), repr=False)
    paths: Mapping[int, tuple[Row, ...]] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return f"{self.cpu_s:.2f} CPU s, {self.looks} looks, {self.visits} reported"


def replayed(clip: Clip, every_frame: bool = False, fps: float = FPS) -> Played:
    """Play a clip with `soteirad replay`."""
    return _played(run("soteirad", "replay", "--json", *settings(clip, fps),
                       *(["--every-frame"] if every_frame else [])))  # fmt: skip


def followed(clip: Clip) -> Played:
    """Play a clip with a look at every frame, and note where each object was meanwhile."""
    document = run("benchmarks.followed", *settings(clip))
    paths = {int(track): tuple(tuple(row) for row in rows) for track, rows in document["paths"].items()}
    return replace(_played(document), paths=paths)


def published(clip: Clip) -> Played:
    """Play a clip through the published pipeline."""
    document = run("benchmarks.published", *settings(clip))
    return Played(document["cpu_seconds"], document["detector_runs"], visits=len(document["entries"]))


def decoded(clip: Clip) -> Played:
    """Decode a clip and do nothing else."""
    return Played(run("benchmarks.decode_only", str(clip.path), "--fast")["cpu_s"])


def settings(clip: Clip, fps: float = FPS) -> list[str]:
    """Return the arguments that a player of clips takes."""
    labels = ["--track", ",".join(clip.labels)] if clip.labels else []
    return [str(clip.path), *labels, "--min-area", str(clip.min_area), "--fps", str(fps)]


def run(module: str, *arguments: str) -> Any:
    """Run a module and return the JSON that it prints."""
    command = [sys.executable, "-m", module, *arguments]
    return json.loads(subprocess.run(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, check=True).stdout)


def _played(document: dict[str, Any]) -> Played:
    """Return what `replay --json` told of one clip."""
    summary = document["summary"]
    events = tuple(Event.from_payload(payload) for payload in document["events"])
    return Played(summary["cpu_seconds"], summary["detector_runs"], summary["analysed"],
                  sum(event.opens_visit for event in events), events)  # fmt: skip
