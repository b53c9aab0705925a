"""The commands that bring Soteira to a machine and check it there; no logic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from soteirad.clip_commands import DEFAULT_CONFIG, SERVER_HELP, JsonOption


def doctor(
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")] = DEFAULT_CONFIG,
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
    findings = screen.show_all(found)
    if as_json:
        print(json.dumps(document(patient, findings), indent=1))
    raise typer.Exit(worst(findings) == "fail")
