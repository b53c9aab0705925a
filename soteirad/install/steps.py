"""Does the steps of a plan, and keeps account of what was made."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from soteirad import whole_file
from soteirad.errors import InstallError
from soteirad.install import places
from soteirad.install.machine import Accounts, Runner
from soteirad.install.plan import (
    ROOT,
    Action,
    Change,
    HandOver,
    MakeFolder,
    MakeLink,
    Move,
    Plan,
    Remove,
    Run,
    SetAccess,
    WriteFile,
)
from soteirad.install.record import Record
from soteirad.service.programs import Ran

_REASONS = {
    errno.ENOSPC: "the disk is full: make room",
    errno.EDQUOT: "the disk's quota is used up: make room",
    errno.EROFS: "this disk may only be read: mount it for writing",
    errno.EACCES: "this user may not write there: run it with sudo",
    errno.EPERM: "this may not be changed here (a container, or a file with the attribute `immutable`?)",
    errno.ELOOP: "there is a link in its place: remove it",
    errno.EEXIST: "somebody else just made it: look at it",
}


@dataclass(frozen=True)
class Site:
    """Where steps are done: the root of all paths, the programs and the accounts."""

    root: Path
    runner: Runner
    accounts: Accounts


def do_plan(plan: Plan, site: Site, record: Record, record_path: Path, say: Callable[[str], None]) -> Record:
    """Do all that is to be done; what was made is written down with each step. Raises `InstallError`."""
    written = record
    try:
        for step in plan.steps:
            for action in step.actions:
                record = _do(action, site, record)
            if record != written:  # at once: a connection that is lost ends this command without a word
                _write_down(record, record_path, quietly=True)
                written = record
            if step.actions:
                say(f"  done: {step.what}")
    except BaseException as error:
        _write_down(record, record_path, quietly=True)
        if not isinstance(error, InstallError):
            raise
        raise InstallError(f"{error}. What was done before stays, and nothing is half done: run the same command again "
                           "then") from error  # fmt: skip
    return record


def keep_record(record: Record, before: places.Entry, path: Path) -> None:
    """Write down what was made, unless it is written already. Raises `InstallError`."""
    if record.emit() != before.content:
        _write_down(record, path)


def _write_down(record: Record, path: Path, quietly: bool = False) -> None:
    try:
        places.make_folder(path.parent, 0o755, -1, -1)
        whole_file.put(path, record.emit(), 0o644)
    except OSError as error:
        if not quietly:
            raise InstallError(f"{path} could not be written: {_reason(error)}") from None


def _do(action: Action, site: Site, record: Record) -> Record:
    if isinstance(action, Run):
        _run(action, site.runner)
        return replace(record, made=record.made | {action.makes}) if action.makes else record
    path = action.path
    reason = places.distrusted(path, site.root)
    if reason is not None:
        raise InstallError(f"{path} was not touched: {reason}, who could lead this command astray")
    try:
        return _change(action, site, record)
    except OSError as error:
        raise InstallError(f"{path} could not be changed: {_reason(error)}") from None


def _change(action: Change, site: Site, record: Record) -> Record:
    inside = "/" + str(action.path.relative_to(site.root))
    match action:
        case WriteFile():
            _write(action, site)
            return record.with_file(inside, action.content)
        case MakeLink(path, target):
            if not path.parent.exists():
                places.make_folder(path.parent, 0o755, -1, -1)
            places.make_link(path, target)
            return record.with_link(inside, target)
        case Remove(path, tree, if_empty):
            places.remove(path, tree=tree, if_empty=if_empty)
            return record.without(inside)
        case Move(path, to):
            path.rename(to)
            return record.without(inside)
        case MakeFolder(path, mode, owner, group):
            places.make_folder(path, mode, *_numbers(site.accounts, owner, group))
        case SetAccess(path, mode, owner, group):
            places.set_access(path, mode, *_numbers(site.accounts, owner, group))
        case HandOver(path, owner, group):
            places.hand_over(path, *_numbers(site.accounts, owner, group))
    return record


def _write(action: WriteFile, site: Site) -> None:
    uid, gid = _numbers(site.accounts, action.owner, action.group)
    if not action.path.parent.exists():
        places.make_folder(action.path.parent, 0o755, -1, -1)
    if action.keep is not None:
        os.link(action.path, action.keep, follow_symlinks=False)  # not renamed: there is always one
    whole_file.put(action.path, action.content, action.mode, uid, gid, fresh=action.fresh)


def _numbers(accounts: Accounts, owner: str | None, group: str | None) -> tuple[int, int]:
    """Return the numbers of two names; -1 for None, which changes nothing."""
    uid = gid = -1
    if owner is not None:
        user = accounts.user(owner)
        if user is None and owner != ROOT:
            raise InstallError(f"there is no user {owner}, though one was just made: make the user by hand")
        uid = 0 if owner == ROOT or user is None else user.uid
    if group is not None:
        found = 0 if group == ROOT else accounts.gid(group)
        if found is None:
            raise InstallError(f"there is no group {group}, though one was just made: make the group by hand")
        gid = found
    return uid, gid


def _run(action: Run, runner: Runner) -> None:
    ran = Ran(0)
    for attempt in range(action.tries):
        if attempt:
            runner.wait(1.0)
        ran = runner.run(action.command, action.text, action.timeout)
        if ran.code == 0:
            return
    if not action.may_fail:
        said = " ".join(ran.said.split())[-300:] or f"exit code {ran.code}"
        remedy = f": {action.remedy}" if action.remedy else ""
        raise InstallError(f"`{' '.join(action.command)}` failed ({said}){remedy}")


def _reason(error: OSError) -> str:
    return _REASONS.get(error.errno or 0) or error.strerror or str(error)
