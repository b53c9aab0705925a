#!/usr/bin/env python3
"""Print how many settings `soteirad tune` tries in a second, on five minutes made of the demo clip.

    python scripts/bench_tune.py [CLIP] [--processes N]

The clip is measured first if it was not before; only the trying is timed.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import tempfile
import time
from pathlib import Path

from soteirad.assembly import model_card, pipeline_settings
from soteirad.resources import cache_folder
from soteirad.tools.check import replay_camera
from soteirad.tune.crew import Crew
from soteirad.tune.knobs import Knobs, first_round, groups
from soteirad.tune.store import Store

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "tests" / "data" / "demo.mp4"
SECONDS = 300


def five_minutes(folder: Path) -> Path:
    """Write the demo clip over and over."""
    listed, target = folder / "list.txt", folder / "five-minutes.mp4"
    listed.write_text(f"file '{DEMO}'\n" * 5)
    join = ["ffmpeg", "-v", "error", "-y", "-f", "concat", "-safe", "0", "-i", str(listed), "-c", "copy", "-t",
            str(SECONDS), "-fflags", "+bitexact", str(target)]  # fmt: skip
    subprocess.run(join, check=True)
    return target


def memory_mb(who: int) -> float:
    return resource.getrusage(who).ru_maxrss / 1024


def bench(clip: Path, processes: int) -> None:
    _, camera = replay_camera(clip, None, None, "max", {})
    cache = cache_folder()
    store = Store(None if cache is None else cache / "tune")
    crew = Crew(processes)
    began = time.perf_counter()
    recording = store.recording(camera)
    print(f"{clip.name}: {recording.facts.seconds:.0f} s, {len(recording.analysed)} frames analysed, "
          f"{recording.path.stat().st_size / 1e6:.0f} MB kept; ready in {time.perf_counter() - began:.1f} s")
    card = model_card(camera)
    present = Knobs.of(camera)
    knobs = first_round(present, present, camera, scores=True)
    settings = [pipeline_settings(k.apply(camera), card) for k in knobs]
    shares = [[settings[i] for i in share] for share in groups(knobs, processes)]
    began, cpu = time.perf_counter(), time.process_time()
    crew.sweep(recording, shares)
    seconds = time.perf_counter() - began
    crew.close()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = time.process_time() - cpu + children.ru_utime + children.ru_stime
    print(f"{len(knobs)} settings in {seconds:.1f} s on {processes} processes: {len(knobs) / seconds:.1f} a second, "
          f"{cpu:.0f} s of processor time; at most {memory_mb(resource.RUSAGE_SELF):.0f} MB here and "
          f"{memory_mb(resource.RUSAGE_CHILDREN):.0f} MB in a process")  # fmt: skip
    store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench(arguments.clip or five_minutes(Path(folder)), arguments.processes)


if __name__ == "__main__":
    main()
