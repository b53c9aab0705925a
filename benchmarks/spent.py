"""A process that plays a clip and tells where its processor seconds went: decoding, the model, and all else.

    python -m benchmarks.spent CLIP --track person [--min-area 0.001] [--fps 10]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from soteirad.assembly import choose_engine, model_card
from soteirad.capture.decoder import Decoder
from soteirad.detect.backend import create_backend
from soteirad.tools.check import replay_camera
from soteirad.tools.replay import replay


class Meter:
    """Adds up the processor seconds of calls."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def watch(self, owner: type, method: str, part: str) -> None:
        """Count a method's calls for `part`."""
        original: Callable[..., Any] = getattr(owner, method)

        def measured(*arguments: Any, **named: Any) -> Any:
            began = time.process_time()
            try:
                return original(*arguments, **named)
            finally:
                self.seconds[part] = self.seconds.get(part, 0.0) + time.process_time() - began

        setattr(owner, method, measured)


def main() -> None:
    """Play what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--track", default="person")
    parser.add_argument("--min-area", type=float, default=0.01)
    parser.add_argument("--fps", type=float, default=10)
    arguments = parser.parse_args()
    settings = {"track": arguments.track.split(","), "min_area": arguments.min_area, "fps": arguments.fps}
    name, camera = replay_camera(arguments.clip, None, None, "max", settings)
    choice = choose_engine(camera, model_card(camera))
    meter = Meter()
    if choice is not None:
        meter.watch(type(create_backend(model_card(camera), choice.engine)), "run", "model")
    meter.watch(Decoder, "next", "decode")
    done = replay(name, camera)
    print(json.dumps({"total": done.summary["cpu_seconds"], "looks": done.summary["detector_runs"], **meter.seconds}))


if __name__ == "__main__":
    main()
