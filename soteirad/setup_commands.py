"""The commands that bring Soteira to a machine and check it there; no logic."""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from soteirad.clip_commands import DEFAULT_CONFIG, SERVER_HELP, JsonOption, config_option
from soteirad.errors import SoteiraError


def doctor(
    config: Annotated[Path, config_option("The configuration file.")] = DEFAULT_CONFIG,
    only: Annotated[list[str] | None, typer.Option("--only", help="Check this alone; may be repeated.")] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Look at cameras briefly, and prove no engine.")] = False,
    llm: Annotated[bool, typer.Option("--llm", help="Ask the vision models about known pictures, too.")] = False,
    base_url: Annotated[str | None, typer.Option("--base-url", help=f"With --llm: {SERVER_HELP}")] = None,
    model: Annotated[str | None, typer.Option("--model", help="The model on that server.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check everything: cameras, detector, broker, Home Assistant, disk, clock, service ... and say what to do."""
    from soteirad.doctor.examination import NAMES, examine
    from soteirad.doctor.finding import worst
    from soteirad.doctor.patient import admit
    from soteirad.doctor.present import Screen, document

    if unknown := [name for name in only or () if name not in NAMES]:
        raise typer.BadParameter(f"--only {unknown[0]}: there are {', '.join(NAMES)}")
    if base_url is not None and not llm:
        raise typer.BadParameter("--base-url is for --llm")
    patient = admit(config, pictures=llm, fast=fast)
    screen = Screen(quiet=as_json)
    found = examine(patient, only or (), screen.begin)
    if base_url is not None:
        from soteirad.doctor.vision import see
        from soteirad.tools.ask import llm_of

        found = see(llm_of(None, base_url, model))
    with closing(found):  # Ctrl-C ends what a check has started
        findings = screen.show_all(found)
    if as_json:
        print(json.dumps(document(patient, findings), indent=1))
    raise typer.Exit(worst(findings) == "fail")


def install(
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only show what would be done.")] = False,
    with_: Annotated[list[str] | None, typer.Option(
        "--with", metavar="NAME", help="Also what a camera or processor on this machine needs: usb, gpu ...")] = None,
    without: Annotated[list[str] | None, typer.Option(
        "--without", metavar="NAME", help="Take such a part away again.")] = None,
    start: Annotated[bool, typer.Option("--start/--no-start", help="Enable and start the service.")] = True,
    agent: Annotated[bool, typer.Option(
        "--agent", help="macOS: for the cameras of this Mac, while you are logged in.")] = False,
    root: Annotated[Path, typer.Option("--root", help="Into the system below this folder: an image.")] = Path("/"),
) -> None:  # fmt: skip
    """Make Soteira a service of this machine, or bring it up to date; shows each step."""
    from soteirad.install.facts import Wishes
    from soteirad.install.run import install as run_install

    run_install(root, Wishes(tuple(with_ or ()), tuple(without or ()), start), dry_run, agent, _say)


def uninstall(
    purge: Annotated[bool, typer.Option("--purge", help="Also configuration, secrets and events.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only show what would be done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    agent: Annotated[bool, typer.Option("--agent", help="macOS: the one that is yours alone.")] = False,
    root: Annotated[Path, typer.Option("--root", help="From the system below this folder: an image.")] = Path("/"),
) -> None:
    """Stop the service and take away what `install` made; your configuration and your events stay."""
    from soteirad.install.run import uninstall as run_uninstall

    run_uninstall(root, purge, dry_run, agent, _say, None if yes else _confirmed)


def _say(line: str) -> None:
    try:
        print(line, flush=True)
    except BrokenPipeError:  # nobody reads on, as with `| head`: what was begun is done all the same
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _confirmed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise SoteiraError("there is no terminal to ask at, so nothing was done: say --yes")
    return typer.confirm(question)


def init(
    config: Annotated[Path, config_option("The file to write.")] = DEFAULT_CONFIG,
    answers: Annotated[Path | None, typer.Option("--answers", help="A file with the answers; asks nothing.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a configuration; it is kept as .bak.")] = False,
) -> None:
    """Find cameras, try them and the broker, and write a first configuration."""
    from soteirad.init.run import initialise

    raise typer.Exit(initialise(config, answers, force=force))
