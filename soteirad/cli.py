"""The commands; no logic."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from soteirad import __version__, clip_commands, setup_commands
from soteirad.clip_commands import config_option
from soteirad.errors import ConfigError, SoteiraError

DEFAULT_CONFIG = clip_commands.DEFAULT_CONFIG

TRY_AGAIN = 75
"""The exit code (EX_TEMPFAIL) of a daemon that could not start for a reason that may pass: systemd tries again."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Why an output cannot be written that could be opened."""

app = typer.Typer(
    help="Three gates between your cameras and Home Assistant.", no_args_is_help=True, add_completion=False,
    pretty_exceptions_enable=False,
)  # fmt: skip

ConfigOption = Annotated[Path, config_option("The configuration file.")]
JsonOption = clip_commands.JsonOption
LINES_HELP = "A file with the lines, - for the standard input; without it, what was set over MQTT or on the page."
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
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
    from soteirad.hub.fork_server import ForkServer
    from soteirad.hub.state_folder import UMASK
    from soteirad.service.cores import forbid_core_dumps
    from soteirad.service.environment import take_secrets
    from soteirad.service.logs import setup_logging
    from soteirad.service.notify import Notifier
    from soteirad.service.signals import reap_children

    forbid_core_dumps()
    os.umask(UMASK)
    reap_children()
    environment = take_secrets(os.environ)
    setup_logging(log_level)
    notifier, fork_server = Notifier(), ForkServer()
    notifier.start()
    fork_server.start()
    from soteirad.config import load_config  # what takes long, while the fork server does the same
    from soteirad.hub.hub import Hub

    hub = Hub(lambda: load_config(config, environment), config, log_level, until_end, notifier, fork_server)
    try:
        code = hub.run()
    except SoteiraError as error:
        if not error.passes:
            raise
        print(f"soteirad: {error}", file=sys.stderr)
        raise typer.Exit(TRY_AGAIN) from None
    if hub.restart:  # the same process for systemd, with all that it was started with
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606
    raise typer.Exit(code)


@app.command()
def check(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Validate the configuration and the models it names, without starting anything."""
    from soteirad.tools.check import check_config

    loaded = check_config(config)
    names = ", ".join(loaded.cameras)
    typer.echo(f"{config}: good: {len(loaded.cameras)} camera{'s' * (len(loaded.cameras) != 1)} ({names})")


app.command()(clip_commands.replay)
app.command()(clip_commands.record)
app.command()(clip_commands.ask)
app.command()(clip_commands.tune)

models = typer.Typer(help="Detectors: those that ship, and your own.", no_args_is_help=True)
app.add_typer(models, name="models")


@models.command("list")
def models_list(as_json: JsonOption = False) -> None:
    """List the models that ship."""
    from soteirad.tools.models import list_models
    from soteirad.tools.present import model_table

    found = list_models()
    print(json.dumps(found, indent=1)) if as_json else model_table(found)


@models.command("add")
def models_add(
    file: Annotated[Path, typer.Argument(help="An .onnx or .tflite file.")],
    name: Annotated[str | None, typer.Option(help="The card's name; the file's without it.")] = None,
    head: Annotated[str | None, typer.Option(help="gfl, yolox, yolov5, yolov8, detr, ssd or end2end.")] = None,
    labels: Annotated[Path | None, typer.Option(help="A text file with one class name on each line.")] = None,
    size: Annotated[int | None, typer.Option(min=1, max=8192, help="Pixels of a side, for models of any size.")] = None,
    colour: Annotated[str | None, typer.Option(help="BGR or RGB.")] = None,
    mean: Annotated[str | None, typer.Option(help="Three numbers with commas, on the scale 0-255.")] = None,
    std: Annotated[str | None, typer.Option(help="Three numbers with commas, on the scale 0-255.")] = None,
    resize: Annotated[str | None, typer.Option(help="letterbox_top_left, letterbox_centre or stretch.")] = None,
    pad: Annotated[int | None, typer.Option(help="Grey value around a letterboxed picture.")] = None,
    image: Annotated[list[Path] | None, typer.Option(help="Golden pictures for labels of your own.")] = None,
    accept: Annotated[bool, typer.Option("--accept", help="Write the card whatever was found.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a card for a model of your own: guess what it is, try it, and show what it finds."""
    from soteirad.tools.models import Wishes, add_model, three_numbers
    from soteirad.tools.present import added_model

    wishes = Wishes(name, head, labels, (size, size) if size else None, colour, three_numbers("--mean", mean),
                    three_numbers("--std", std), resize, pad, tuple(image or ()), accept)  # fmt: skip
    added = add_model(file, wishes)
    print(json.dumps(added.document(), indent=1)) if as_json else added_model(added)


@models.command("convert")
def models_convert(
    model: Annotated[str, typer.Argument(help="A shipped model's name, or the path of a card.")],
    to: Annotated[Literal["onnx", "tflite", "coreml"], typer.Option("--to", help="The format.")] = "onnx",
    precision: Annotated[Literal["fp16"], typer.Option(help="How weights are stored.")] = "fp16",
    out: Annotated[Path | None, typer.Option(help="Folder for the new card; the card's own without it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Store a model with FP16 weights, in its own format or another, and check it on the golden pictures."""
    from soteirad.tools.convert import convert_model
    from soteirad.tools.present import converted_model

    converted = convert_model(model, to, out)
    print(json.dumps(converted.document(), indent=1)) if as_json else converted_model(converted)


@app.command()
def bench(
    model: Annotated[str, typer.Option("--model", help="A shipped model's name, or a card's path.")] = "nanodet-g-416",
    backend: Annotated[Literal["auto", "onnx", "openvino", "litert", "coreml"], typer.Option(
        help="One backend; auto is all that there are here.")] = "auto",
    precision: Annotated[Literal["auto", "fp32", "fp16", "bf16"], typer.Option(help="One arithmetic.")] = "auto",
    threads: Annotated[int, typer.Option(min=1, max=64, help="Threads for the model.")] = 1,
    device: Annotated[str, typer.Option(help="As detector.device.")] = "auto",
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Time each engine on a 1280x720 frame: preprocess, model, postprocess."""
    from soteirad.detect.card import load_card
    from soteirad.detect.choice import Wanted
    from soteirad.tools.bench import bench as run_bench
    from soteirad.tools.present import bench_table

    rows = run_bench(load_card(model), Wanted(backend, precision, threads, device))
    print(json.dumps([row.document() for row in rows], indent=1)) if as_json else bench_table(model, threads, rows)
    raise typer.Exit(all(row.problem is not None for row in rows))


@app.command(name="eval")
def evaluate(
    data: Annotated[str, typer.Option("--data", help="Folder in COCO's format, or its name in $SOTEIRA_DATA.")],
    model: Annotated[list[str], typer.Option("--model", help="Card, also as card@backend:precision; may be repeated.")],
    backend: Annotated[list[str] | None, typer.Option("--backend", help="onnx, openvino, litert; repeatable.")] = None,
    precision: Annotated[list[str] | None, typer.Option("--precision", help="fp32, fp16, bf16; repeatable.")] = None,
    threads: Annotated[int, typer.Option("--threads", min=1, max=64, help="Threads of the model.")] = 1,
    nms_iou: Annotated[float, typer.Option("--nms-iou", min=0.05, max=1.0, help="IoU at which boxes are one.")] = 0.65,
    html: Annotated[Path | None, typer.Option("--html", help="Write a report with the curves to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure models on COCO data: average precision, four curves, and how far the others lie from the first."""
    from soteirad.evaluate.dataset import load_dataset
    from soteirad.evaluate.present import print_evaluation, progress
    from soteirad.evaluate.report import write_report
    from soteirad.evaluate.run import evaluate as run_evaluation
    from soteirad.evaluate.run import parse_runs
    from soteirad.report_page import check_report_place

    runs = parse_runs(model, backend or [], precision or [], threads)
    if html is not None:
        check_report_place(html)
    dataset = load_dataset(data)
    with progress(runs, dataset, quiet=as_json) as step:
        evaluation = run_evaluation(runs, dataset, step, nms_iou)
    if html is not None:
        write_report(html, evaluation)
    if as_json:
        print(json.dumps(evaluation.document(), indent=1))
    else:
        print_evaluation(evaluation)


app.command()(setup_commands.install)
app.command()(setup_commands.uninstall)
app.command()(setup_commands.doctor)
app.command()(setup_commands.init)

config_app = typer.Typer(help="The configuration file, and what was changed over MQTT or on the page.")
app.add_typer(config_app, name="config")


@config_app.callback(invoke_without_command=True)
def config_alone(context: typer.Context, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Say where the page is, and how to get in; commands: what was changed, and how to keep it."""
    if context.invoked_subcommand is not None:
        if config != DEFAULT_CONFIG:
            raise typer.BadParameter(f"write --config after {context.invoked_subcommand}")
        return
    from soteirad.tools.page import find_page

    page = find_page(config)
    typer.echo("\n".join(page.addresses))
    if page.hint:
        typer.echo(page.hint, err=True)


@config_app.command("diff")
def config_diff(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Print the lines that keep in the file what was set over MQTT or on the page."""
    from soteirad.tools.overrides import overrides_as_yaml

    lines = overrides_as_yaml(config)
    if lines:
        typer.echo(lines, nl=False)
    else:
        typer.echo(f"{config}: nothing was set over MQTT or on the page that is not in the file", err=True)


@config_app.command("apply")
def config_apply(
    lines: Annotated[str | None, typer.Argument(metavar="[FILE]", help=LINES_HELP, show_default=False)] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Put lines into the configuration file: those of `soteirad tune`, of the page, or what was set over MQTT."""
    from soteirad.tools.apply import propose, read_lines, write
    from soteirad.tools.present import applied, proposed

    proposal = propose(config, None if lines is None else read_lines(lines))
    print(proposed(proposal, config))
    if not proposal.difference:
        return
    if not yes:
        if not sys.stdin.isatty():
            raise SoteiraError(f"{config}: there is no terminal to ask at, so nothing was written: say --yes")
        if not typer.confirm("Write this?"):
            raise typer.Exit(1)
    print(applied(config, write(proposal)))


@app.command()
def events(
    config: ConfigOption = DEFAULT_CONFIG,
    since: Annotated[str | None, typer.Option("--since", help="So long ago (30m, 2h, 7d), a day, or a time.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="The same, for the end.")] = None,
    camera: Annotated[str | None, typer.Option("--camera", help="Only these cameras, with commas.")] = None,
    label: Annotated[str | None, typer.Option("--label", help="Only these labels, with commas.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Only these types of events, with commas.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000_000, help="At most the last so many.")] = 50,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a table with the event log's columns.")] = False,
) -> None:
    """List the last events of the journal, the newest last."""
    from soteirad.archive import Wanted
    from soteirad.tools.events import list_events, moment, split, write_csv
    from soteirad.tools.present import archive_lines

    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    wanted = Wanted(split(camera), split(label), split(kind), since=moment("--since", since),
                    until=moment("--until", until), limit=limit)  # fmt: skip
    found = list_events(config, wanted)
    if as_json:
        print(json.dumps(found.document(), indent=1))
    elif as_csv:
        write_csv(found.rows, sys.stdout)
    elif found.rows:
        print("\n".join(archive_lines(found)))
    else:
        typer.echo("no such event", err=True)


@app.command()
def forget(
    config: ConfigOption = DEFAULT_CONFIG,
    force: Annotated[bool, typer.Option("--force", help="Even if a daemon seems to be online.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take back all that lies retained at the broker: state, pictures, and the devices in Home Assistant."""
    from soteirad.tools.forget import forget_all

    topics = forget_all(config, force)
    if as_json:
        print(json.dumps({"topics": topics}, indent=1))
    else:
        typer.echo("\n".join([*topics, f"{len(topics)} topics were taken back"]))


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
    """Run the command line: exit 0 good, 1 a finding, 2 wrong usage, 3 an internal fault, 75 try again."""
    try:
        try:
            app()
        finally:
            if sys.stdout is not None:  # closed by whoever started us
                sys.stdout.flush()
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        sys.exit(1)
    except SoteiraError as error:
        print(f"soteirad: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # whoever read it has enough
        _print_no_more()
        sys.exit(0)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL and error.filename is None:
            print(f"soteirad: the output cannot be written: {error.strerror}: make room where it goes", file=sys.stderr)
            _print_no_more()
            sys.exit(1)
        import traceback

        traceback.print_exc()
        print("soteirad: this is a fault in Soteira: please report it with the lines above", file=sys.stderr)
        sys.exit(3)


def _print_no_more() -> None:
    """Send to nowhere what still waits to be printed, or the interpreter would complain of it at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
