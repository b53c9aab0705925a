"""A clip played with a look at every frame, and where each object was meanwhile.

    python -m benchmarks.followed CLIP [--track person,cat] [--min-area 0.01] [--fps 10]

Plays as `soteirad replay --every-frame --json` and prints its document with `paths` in it: for each track its hits, by
the track's number, as rows of media seconds and x1, y1, x2, y2 in pixels. They begin before the entry is sure.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

from soteirad.pipeline import Analysis
from soteirad.tools.check import replay_camera
from soteirad.tools.replay import replay
from soteirad.track.tracker import Tracker
from soteirad.watch import CameraWatch, LookResult, OnStep

Row = tuple[float, float, float, float, float]


class Paths:
    """Stands where a replay's signals are kept, and notes the tracks' hits instead."""

    def __init__(self) -> None:
        self.by_track: defaultdict[int, list[Row]] = defaultdict(list)
        self._tracker: Tracker | None = None

    def attach(self, watch: CameraWatch) -> OnStep:
        """Return what to give the watch's steps to."""
        self._tracker = watch.pipeline.tracker
        return self.step

    def step(self, analysis: Analysis, result: LookResult | None) -> None:
        """Note which tracks the look at a frame has hit, and where."""
        if result is None or self._tracker is None:
            return
        frame = analysis.frame
        for track in self._tracker.tracks:
            if track.last_seen == frame.time:
                x1, y1, x2, y2 = track.box
                row = frame.time, x1 * frame.width, y1 * frame.height, x2 * frame.width, y2 * frame.height
                self.by_track[track.id].append(row)


def main() -> None:
    """Play what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--track", type=lambda text: text.split(","))
    parser.add_argument("--min-area", type=float)
    parser.add_argument("--fps", type=float)
    wanted = parser.parse_args()
    overrides = {"track": wanted.track, "min_area": wanted.min_area, "fps": wanted.fps}
    paths = Paths()
    name, camera = replay_camera(wanted.clip, None, None, "max", overrides)
    played = replay(name, camera, every_frame=True, signals=paths)  # type: ignore[arg-type]
    print(json.dumps({**played.document(), "paths": paths.by_track}))


if __name__ == "__main__":
    main()
