"""The commands about clips; no logic. `cli` has the others."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Annotated, Any

import typer

from soteirad.errors import SoteiraError

DEFAULT_CONFIG = Path("/etc/soteira.yaml")
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def replay(
    clip: Annotated[Path, typer.Argument(help="A video file.")],
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Take settings from this file.")] = None,
    camera: Annotated[str | None, typer.Option("--camera", help="Take this camera's settings.")] = None,
    speed: Annotated[str, typer.Option("--speed", help="1, 10, any number, or max.")] = "max",
    every_frame: Annotated[bool, typer.Option("--every-frame", help="Look at every frame: the reference.")] = False,
    track: Annotated[str | None, typer.Option("--track", help="Labels to look for, with commas.")] = None,
    min_area: Annotated[float | None, typer.Option("--min-area", help="Smallest box, as a share.")] = None,
    fps: Annotated[float | None, typer.Option("--fps", help="Frames to analyse in a second; 0 is all.")] = None,
    as_json: JsonOption = False,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write the events to this CSV file.")] = None,
) -> None:
    """Play a clip through the same pipeline as a camera and print its events."""
    from soteirad.tools.check import replay_camera
    from soteirad.tools.present import event_line, summary_table
    from soteirad.tools.replay import replay as run_replay
    from soteirad.tools.replay import write_csv

    labels = None if track is None else [label.strip() for label in track.split(",")]
    overrides: dict[str, Any] = {"fps": fps, "track": labels, "min_area": min_area}
    name, settings = replay_camera(clip, config, camera, speed, overrides)
    result = run_replay(name, settings, every_frame, (lambda _: None) if as_json else lambda e: print(event_line(e)))
    if csv_file is not None:
        try:
            with csv_file.open("w", newline="") as file:
                write_csv(result.events, file)
        except OSError as error:
            raise SoteiraError(f"{csv_file}: the CSV file cannot be written: {error.strerror}") from None
    if as_json:
        print(json.dumps(result.document(), indent=1))
    else:
        summary_table(result.summary)


def record(
    camera: Annotated[str, typer.Argument(help="The camera's name in the configuration.")],
    minutes: Annotated[float, typer.Option("--minutes", min=0.01, max=1440, help="How long.")] = 10.0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file: .mp4, or .mkv.")] = None,
    max_size: Annotated[float | None, typer.Option("--max-size", min=0.1, help="Largest file, in megabytes.")] = None,
    detail: Annotated[bool, typer.Option("--detail", help="Record the detail stream.")] = False,
    unmasked: Annotated[bool, typer.Option("--unmasked", help="Even if there is a privacy_mask.")] = False,
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")] = DEFAULT_CONFIG,
) -> None:
    """Keep what a camera sends in a file, as it is, to replay it. Ctrl-C ends it and finishes the file."""
    from soteirad.tools.present import progress_of, recorded_lines
    from soteirad.tools.record import order
    from soteirad.tools.record import record as run_record

    what = order(config, camera, out, minutes, max_size, detail=detail, unmasked=unmasked)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with progress_of(camera, what.seconds) as told:
        done = run_record(what, stop, told.step, told.note)
    print("\n".join(recorded_lines(done)))
