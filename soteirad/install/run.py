"""`soteirad install` and `uninstall`: look, make a plan, show it, do it, say what comes next."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from soteirad.errors import InstallError
from soteirad.install.facts import Facts, Wishes
from soteirad.install.linux import install_plan
from soteirad.install.look import linux_facts, mac_facts
from soteirad.install.machine import FileAccounts, Programs, SystemAccounts
from soteirad.install.macos import agent_plan, agent_removal_plan, mac_plan, mac_removal_plan
from soteirad.install.plan import Plan
from soteirad.install.program import Interpreter
from soteirad.install.removal import BROKER, removal_plan
from soteirad.install.steps import Site, do_plan, keep_record
from soteirad.service.layout import AgentLayout, Layout

Say = Callable[[str], None]
Ask = Callable[[str], bool]


@dataclass(frozen=True)
class Job:
    """One installation or removal: its plan, the facts that it was made from, and where it is done."""

    facts: Facts
    plan: Plan
    site: Site
    record_path: Path


def install(root: Path, wishes: Wishes, dry_run: bool, agent: bool, say: Say) -> None:
    """Install the service on this machine, or into the image below `root`. Raises `InstallError`."""
    job = (_mac_job if sys.platform == "darwin" else _linux_job)(root, wishes, None, agent)
    carry_out(job, dry_run, say, f"Soteira {job.facts.program.version} as a service of this machine")


def uninstall(root: Path, purge: bool, dry_run: bool, agent: bool, say: Say, ask: Ask | None) -> None:
    """Take it away again; `ask` is asked before what is the owner's is deleted. Raises `InstallError`."""
    job = (_mac_job if sys.platform == "darwin" else _linux_job)(root, Wishes(), purge, agent)
    kept = ", with all that it has kept" if purge else ""
    gone = purge or not (job.plan.changes or job.facts.record.version)
    carry_out(job, dry_run, say, f"Soteira's service is taken away{kept}", ask if purge else None, gone=gone)


def linux_site(root: Path) -> Site:
    """Return where steps are done on Linux."""
    accounts = SystemAccounts() if root == Path("/") else FileAccounts(root)
    return Site(root, Programs(), accounts)


def _linux_job(root: Path, wishes: Wishes, purge: bool | None, agent: bool) -> Job:
    if agent:
        raise InstallError("--agent is for macOS: on Linux the service runs without anybody logged in")
    real = Path(os.path.realpath(root))
    # `//` and `/mnt/..` are this machine, too; and systemctl makes nothing of `..`.
    root = real if real == Path("/") or ".." in root.parts else root.absolute()
    if not (root / "etc").is_dir():
        raise InstallError(f"{root} holds no system: there is no folder {root / 'etc'}")
    layout, site = Layout(root), linux_site(root)
    facts = linux_facts(layout, site, Interpreter.this())
    plan = install_plan(facts, wishes) if purge is None else removal_plan(facts, purge)
    return Job(facts, plan, site, layout.record)


def _mac_job(root: Path, wishes: Wishes, purge: bool | None, agent: bool) -> Job:
    if root != Path("/"):
        raise InstallError("--root is for Linux: macOS has no images to install into")
    site = Site(root, Programs(), SystemAccounts())
    return mac_job(site, Interpreter.this(), wishes, purge, AgentLayout(Path.home()) if agent else None)


def mac_job(site: Site, python: Interpreter, wishes: Wishes, purge: bool | None, agent: AgentLayout | None) -> Job:
    """Return the job for a Mac: for the machine, or for the person whose layout is given."""
    facts, uid = mac_facts(Layout(site.root), site, python, agent), os.geteuid()
    if agent is not None:
        plan = agent_plan(facts, wishes, uid) if purge is None else agent_removal_plan(facts, purge, uid)
        return Job(facts, plan, site, agent.record)
    plan = mac_plan(facts, wishes) if purge is None else mac_removal_plan(facts, purge)
    return Job(facts, plan, site, facts.layout.record)


def carry_out(job: Job, dry_run: bool, say: Say, heading: str, ask: Ask | None = None, *, gone: bool = False) -> None:
    """Show a plan, and do it. `gone`: nothing is left that a record would be of. Raises `InstallError`."""
    plan, facts = job.plan, job.facts
    if not (dry_run or facts.is_root or facts.agent):
        raise InstallError(f"{plan.problems[0]} (--dry-run shows what it would do)")
    _show(plan, heading, dry_run, say)
    if dry_run:
        say("Nothing was done: this only shows what would be.")
        return
    question = (f"{BROKER}, and needs the configuration: say no now to do that first, once the service is stopped."
                "\nDelete all this?")  # fmt: skip
    if ask is not None and plan.changes and not ask(question):
        raise InstallError("nothing was done")
    record = do_plan(plan, job.site, facts.record, job.record_path, say)
    if not gone:
        before = facts.entries[job.record_path]
        # What still runs is the version before: it is to be restarted later.
        version = facts.program.version if plan.settled else facts.record.version
        keep_record(replace(record, version=version), before, job.record_path)
    say("Done." if plan.changes else "Nothing was to be done.")
    for step_text in plan.next_steps:
        say(f"  next: {step_text}")
    if plan.unfinished:
        raise InstallError(plan.unfinished)


def _show(plan: Plan, heading: str, dry_run: bool, say: Say) -> None:
    say(f"{heading} (+ to do, = already so, - left out):")
    for step in plan.steps:
        say(step.line())
    for note in plan.notes:
        say(f"  ! {note}")
    if plan.problems and not dry_run:
        raise InstallError("nothing was done: " + "\n  ".join(plan.problems))
    for problem in plan.problems:
        say(f"  ! {problem}")
