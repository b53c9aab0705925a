"""`init` from its first question to the written file."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from soteirad.config.address import is_device
from soteirad.config.loader import config_from
from soteirad.errors import SoteiraError
from soteirad.init.answers import plan_from
from soteirad.init.document import Composed, compose
from soteirad.init.plan import Plan
from soteirad.init.session import converse
from soteirad.init.terminal import Terminal
from soteirad.init.writer import Target, check_target, write
from soteirad.resources import resource
from soteirad.service.layout import Layout

STOPPED = 130
"""What a shell makes of Ctrl-C."""


def initialise(config: Path, answers: Path | None, *, force: bool, layout: Layout = Layout()) -> int:  # noqa: B008
    """Make a first configuration at `config`, from a file with answers or by asking; returns the exit code.

    Raises SoteiraError.
    """
    target, terminal = Target(config, layout), Terminal()
    # What the parts have to say comes back as their result; the log would only say it twice.
    logging.getLogger("soteirad").addHandler(logging.NullHandler())
    check_target(target, force=force)
    if answers is None and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise SoteiraError("there is no terminal to ask at: run this at one, or give the answers in a file with "
                           "--answers (docs/init.md shows one)")  # fmt: skip
    try:
        plan = converse(terminal, config) if answers is None else plan_from(answers, terminal.say)
        composed = _composed(plan, target)
        if answers is None and not _agreed(terminal, composed, target):
            terminal.say("Nothing was written.")
            return 1
        backup = write(target, composed.text, composed.secrets, force=force)
    except KeyboardInterrupt:
        terminal.say("\nStopped: nothing was written.")
        return STOPPED
    except EOFError:
        terminal.say()
        raise SoteiraError("the answers ended before the questions did: nothing was written") from None
    for line in told(plan, composed, target, backup):
        terminal.say(line)
    return 0


def _composed(plan: Plan, target: Target) -> Composed:
    """Return the file's text, which the daemon would take. Raises ConfigError."""
    folder = str(target.layout.secrets) if target.installed else None
    composed = compose(plan, str(resource("etc/soteira.yaml")), folder)
    config_from(composed.text, target.path, {**os.environ, **composed.secrets})
    return composed


def _agreed(terminal: Terminal, composed: Composed, target: Target) -> bool:
    terminal.print(f"\n4. THE FILE\n\n{composed.fit_to_show}")
    return terminal.yes(f"Write this to {target.path}?", True)


def told(plan: Plan, composed: Composed, target: Target, backup: Path | None) -> list[str]:
    """Return what was done, and what an owner does next."""
    lines = [f"\nWritten: {target.path}"]
    if backup is not None:
        lines.append(f"The old one is kept as {backup}")
    if composed.secrets:
        count = len(composed.secrets)
        lines.append(f"{count} password{'s are' if count > 1 else ' is'} in {target.layout.secrets}, where only root "
                     "can read them")  # fmt: skip
    if not target.installed:
        return [*lines, f"Next: soteirad run --config {target.path}"]
    usb = " --with usb" if any(is_device(camera.source) for camera in plan.cameras) else ""
    lines += [f"Next: sudo soteirad install{usb}", "      (also if it is installed already: this gives the service its "
              "passwords, and starts it)"]  # fmt: skip
    return lines
