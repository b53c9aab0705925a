"""The commands; no logic."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from soteirad import __version__
from soteirad.errors import ConfigError, SoteiraError

DEFAULT_CONFIG = Path("/etc/soteira.yaml")

app = typer.Typer(
    help="Three gates between your cameras and Home Assistant.", no_args_is_help=True, add_completion=False,
    pretty_exceptions_enable=False,
)  # fmt: skip

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], typer.Option("--log-level")]


@app.command()
def run(
    config: ConfigOption = DEFAULT_CONFIG,
    log_level: LogLevel = "info",
    until_end: Annotated[bool, typer.Option("--until-end", help="End when every file source has ended.")] = False,
) -> None:
    """Watch the cameras until told to stop."""
    # One thread per process for linear algebra: the processes are the parallelism.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    from soteirad.config import load_config
    from soteirad.hub.hub import Hub
    from soteirad.service.logs import setup_logging

    loaded = load_config(config)
    setup_logging(log_level)
    raise typer.Exit(Hub(loaded, log_level, until_end).run())


@app.command()
def check(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Validate the configuration and the models it names, without starting anything."""
    from soteirad.tools.check import check_config

    loaded = check_config(config)
    names = ", ".join(loaded.cameras)
    typer.echo(f"{config}: good: {len(loaded.cameras)} camera{'s' * (len(loaded.cameras) != 1)} ({names})")


@app.command()
def replay(
    clip: Annotated[Path, typer.Argument(help="A video file.")],
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Take settings from this file.")] = None,
    camera: Annotated[str | None, typer.Option("--camera", help="Take this camera's settings.")] = None,
    speed: Annotated[str, typer.Option("--speed", help="1, 10, any number, or max.")] = "max",
    every_frame: Annotated[bool, typer.Option("--every-frame", help="Look at every frame: the reference.")] = False,
    track: Annotated[str | None, typer.Option("--track", help="Labels to look for, with commas.")] = None,
    min_area: Annotated[float | None, typer.Option("--min-area", help="Smallest box, as a share.")] = None,
    fps: Annotated[float | None, typer.Option("--fps", help="Frames to analyse in a second; 0 is all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
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


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from soteirad.config import json_schema

    print(json.dumps(json_schema(), indent=2))


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def main() -> None:
    """Run the command line: exit 0 good, 1 a finding, 2 wrong usage, 3 an internal fault."""
    try:
        app()
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        sys.exit(1)
    except SoteiraError as error:
        print(f"soteirad: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(0)
    except Exception:
        import traceback

        traceback.print_exc()
        print("soteirad: this is a fault in Soteira: please report it with the lines above", file=sys.stderr)
        sys.exit(3)
