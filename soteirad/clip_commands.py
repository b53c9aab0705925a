"""The commands about clips; no logic. `cli` has the others."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from soteirad.event import Event

DEFAULT_CONFIG = Path("/etc/soteira.yaml")
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def replay(
    clips: Annotated[list[Path], typer.Argument(metavar="CLIP...", help="Video files.")],
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Take settings from this file.")] = None,
    camera: Annotated[str | None, typer.Option("--camera", help="Take this camera's settings.")] = None,
    speed: Annotated[str, typer.Option("--speed", help="1 is real time; 10, any number, or max.")] = "max",
    every_frame: Annotated[bool, typer.Option("--every-frame", help="Look at every frame: the reference.")] = False,
    track: Annotated[str | None, typer.Option("--track", help="Labels to look for, with commas.")] = None,
    min_area: Annotated[float | None, typer.Option("--min-area", help="Smallest box, as a share.")] = None,
    fps: Annotated[float | None, typer.Option("--fps", help="Frames to analyse in a second; 0 is all.")] = None,
    as_json: JsonOption = False,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write the events to this CSV file.")] = None,
    folder: Annotated[Path | None, typer.Option("--record", metavar="DIR", help="Keep each frame's signals.")] = None,
) -> None:
    """Play clips through the same pipeline as a camera and print their events."""
    from soteirad.tools.check import replay_camera
    from soteirad.tools.present import event_line, summary_table
    from soteirad.tools.replay import Play, replay_all, report, summed, write_csv

    labels = None if track is None else [label.strip() for label in track.split(",")]
    overrides: dict[str, Any] = {"fps": fps, "track": labels, "min_area": min_area}
    plays = [Play(clip, *replay_camera(clip, config, camera, speed, overrides)) for clip in clips]

    def heading(play: Play) -> None:
        if len(plays) > 1 and not as_json:
            print(f"{play.clip}:", flush=True)

    def show(event: Event) -> None:
        if not as_json:
            print(event_line(event), flush=True)

    done = replay_all(plays, every_frame, folder, heading, show)
    if csv_file is not None:
        write_csv(csv_file, plays, done)
    if as_json:
        print(json.dumps(report(plays, done), indent=1))
    else:
        summary_table(done[0].summary if len(done) == 1 else summed([one.summary for one in done]))


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
