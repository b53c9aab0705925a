"""The commands that bring Soteira to a machine and check it there; no logic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from soteirad.clip_commands import DEFAULT_CONFIG, SERVER_HELP, JsonOption


def doctor(
    llm: Annotated[bool, typer.Option("--llm", help="Ask the vision models about known pictures.")] = False,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The configuration file.")] = None,
    base_url: Annotated[str | None, typer.Option("--base-url", help=SERVER_HELP)] = None,
    model: Annotated[str | None, typer.Option("--model", help="The model on that server.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check what Soteira works with. So far: --llm."""
    from soteirad.tools.ask import llm_of
    from soteirad.tools.doctor import examine
    from soteirad.tools.present import finding_line

    if not llm:
        raise typer.BadParameter("say what to check: --llm")
    if config is None and base_url is None:
        config = DEFAULT_CONFIG
    found = []
    for finding in examine(llm_of(config, base_url, model)):
        found.append(finding)
        if not as_json:
            print(finding_line(finding), flush=True)
    if as_json:
        print(json.dumps([finding.document() for finding in found], indent=1))
    raise typer.Exit(any(finding.verdict == "fail" for finding in found))
