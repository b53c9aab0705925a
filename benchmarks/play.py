"""A process that plays a clip through the pipeline as fast as it goes, and says what that cost.

    python -m benchmarks.play CLIP --labels person,car [--min-area 0.001] [--every-frame] [--fps 10]

Pickles what `replay` gives to standard output: its processor seconds are those from the first frame to the last.
"""

from __future__ import annotations

import argparse
import pickle
import subprocess
import sys
from pathlib import Path

from benchmarks.clips import Clip
from soteirad.tools.check import replay_camera
from soteirad.tools.replay import Replay, replay
from tests.shared_data import CHECKOUT


def main() -> None:
    """Play what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--labels", required=True)
    parser.add_argument("--min-area", type=float, default=0.01)
    parser.add_argument("--every-frame", action="store_true")
    parser.add_argument("--fps", type=float, default=10)
    arguments = parser.parse_args()
    objects = {"track": arguments.labels.split(","), "min_area": arguments.min_area}
    name, camera = replay_camera(arguments.clip, None, None, "max", objects)
    camera = camera.model_copy(update={"fps": arguments.fps})
    sys.stdout.buffer.write(pickle.dumps(replay(name, camera, arguments.every_frame)))


def played(clip: Clip, every_frame: bool = False, fps: float = 10) -> Replay:
    """Play a clip in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.play", str(clip.path), "--labels", ",".join(clip.labels),
               "--min-area", str(clip.min_area), "--fps", str(fps)]  # fmt: skip
    if every_frame:
        command.append("--every-frame")
    done = subprocess.run(command, cwd=CHECKOUT, stdout=subprocess.PIPE, check=True)
    found = pickle.loads(done.stdout)
    assert isinstance(found, Replay)
    return found


if __name__ == "__main__":
    main()
