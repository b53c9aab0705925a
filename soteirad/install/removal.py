"""The plan of taking an installation away: what was made here, and with `purge` what belongs to the owner. Pure."""

from __future__ import annotations

import shlex
from pathlib import Path

from soteirad.install.facts import Facts
from soteirad.install.ground import Part, secret_names
from soteirad.install.linux import unit_text
from soteirad.install.plan import Action, Move, Plan, Remove, Run, Step, already, left, to_do
from soteirad.install.unit import MADE
from soteirad.service.layout import UNIT, USER

_STOP_TIMEOUT_S = 90.0
BROKER = "what lies at the broker (the devices in Home Assistant) stays there: `sudo soteirad forget` takes it back"


def removal_plan(facts: Facts, purge: bool) -> Plan:
    """Return what is to be taken away on Linux."""
    files = [*_unit_steps(facts), *_drop_in_steps(facts), *link_steps(facts)]
    steps = [*_stop_steps(facts), *files]
    if facts.service.system == "running" and any(step.actions for step in files):
        reset = Run(("systemctl", "reset-failed", UNIT), may_fail=True)
        steps.append(to_do("systemd", "it forgets the service", Run(("systemctl", "daemon-reload")), reset))
    notes: tuple[str, ...]
    if purge:
        part = purge_part(facts, (facts.layout.cache,), USER)
        steps += [*part.steps, *_user_steps(facts)]
        notes = part.notes
    else:
        steps += kept_steps(facts)
        notes = ()
    problems = [] if facts.is_root else ["this needs root: type `sudo` before it"]
    problems += facts.distrusted
    if purge:
        problems += _in_use(facts)
    return Plan(tuple(steps), notes, tuple(problems), farewell(facts, purge))


def _in_use(facts: Facts) -> list[str]:
    """Why a purge would delete what is not Soteira's, or take what a running service stands on."""
    problems = [f"{point} is mounted, and all that lies there would be deleted: type `sudo umount "
                f"{shlex.quote(str(point))}` first" for point in facts.mounted]  # fmt: skip
    if facts.service.active and not _own_unit(facts):
        problems.append(f"the service runs, by a unit that `install` did not write: type `sudo systemctl stop {UNIT}` "
                        "first")  # fmt: skip
    return problems


def _stop_steps(facts: Facts) -> list[Step]:
    service = facts.service
    if service.system == "none" or not facts.entry(facts.layout.unit).exists or not _own_unit(facts):
        return []
    root = (f"--root={facts.layout.root}",) if facts.is_image else ()
    steps = []
    if service.active:
        steps.append(to_do("the service", "stopped: it ends its cameras in order",
                           Run(("systemctl", "stop", UNIT), timeout=_STOP_TIMEOUT_S)))  # fmt: skip
    if service.enabled:
        steps.append(to_do("the service", "no longer started with the machine",
                           Run(("systemctl", *root, "disable", UNIT))))  # fmt: skip
    return steps


def _own_unit(facts: Facts) -> bool:
    """Whether `install` wrote it, even if it was edited since."""
    path = facts.layout.unit
    content = facts.entry(path).content or b""
    return facts.inside(path) in facts.record.files or content.startswith(MADE.encode())


def _unit_steps(facts: Facts) -> list[Step]:
    path = facts.layout.unit
    entry = facts.entry(path)
    if not entry.exists:
        return [already(str(path), "not there")]
    if not _own_unit(facts):
        return [left(str(path), "it was not written by `install`: stop the service and delete it yourself")]
    # The same text without a record of it: the disk was full when that was to be written.
    if facts.record.wrote(facts.inside(path), entry.content) or entry.content == unit_text(facts):
        return [to_do(str(path), "removed", Remove(path))]
    keep = path.with_name(f"{path.name}.bak")
    if facts.entry(keep).exists:
        return [left(str(path), f"it was edited, and there is a {keep.name} already: delete it yourself")]
    return [to_do(str(path), f"it was edited, and is kept as {keep.name}", Move(path, keep))]


def _drop_in_steps(facts: Facts) -> list[Step]:
    steps, all_ours = [], True
    for name, entry in sorted(facts.below(facts.layout.drop_ins).items()):
        path = facts.layout.drop_ins / name
        if facts.record.wrote(facts.inside(path), entry.content) or (entry.content or b"").startswith(MADE.encode()):
            steps.append(to_do(str(path), "removed", Remove(path)))
        else:
            all_ours = False
            steps.append(left(str(path), "it is yours, and left as it is"))
    if facts.entry(facts.layout.drop_ins).kind == "folder" and all_ours:
        steps.append(to_do(str(facts.layout.drop_ins), "removed", Remove(facts.layout.drop_ins, if_empty=True)))
    return steps


def link_steps(facts: Facts) -> list[Step]:
    """The link to the command, if it was made here."""
    path = facts.layout.command
    entry = facts.entry(path)
    made = facts.record.links.get(facts.inside(path))
    if made is None or not entry.exists:
        return []
    if entry.target == made:
        return [to_do(str(path), "removed", Remove(path))]
    return [left(str(path), "it is not what was put there")]


def kept_steps(facts: Facts) -> list[Step]:
    """What is the owner's, and stays."""
    layout = facts.layout
    found = [path for path in (layout.config, layout.secrets, layout.state) if facts.entry(path).exists]
    return [left(str(path), "kept (--purge deletes it)") for path in found]


def purge_part(facts: Facts, more: tuple[Path, ...], user: str) -> Part:
    """The owner's own: configuration, secrets, state; a link is deleted and not what it leads to."""
    layout, steps, notes = facts.layout, [], []
    secrets = secret_names(facts)
    what = {layout.config: "your configuration", layout.secrets: f"your secrets ({', '.join(secrets) or 'none'})",
            layout.state: "all events, pictures, clips and logs"}  # fmt: skip
    for path in (layout.config, layout.secrets, layout.state, *more):
        entry = facts.entry(path)
        if not entry.exists:
            continue
        stranger = path == layout.state and entry.kind == "folder" and entry.uid != 0 and (
            facts.user is None or entry.uid != facts.user.uid) and entry.uid in facts.names  # fmt: skip
        if stranger:
            steps.append(left(str(path), f"it belongs to {facts.owner(entry)}, not to {user}: delete it yourself"))
            continue
        if entry.kind == "link":
            notes.append(f"{path} is a link: what it leads to, {entry.target}, is not deleted")
        actions: list[Action] = [Remove(path, tree=True)]
        steps.append(to_do(str(path), f"deleted: {what.get(path, 'what may be computed again')}", *actions))
    steps.append(to_do(str(layout.record.parent), "removed, if nothing else is in it", Remove(layout.record),
                       Remove(layout.record.parent, if_empty=True)) if facts.entry(layout.record.parent).exists
                 else already(str(layout.record.parent), "not there"))  # fmt: skip
    notes.append("a state folder that you gave another place (storage.path) is not deleted")
    return Part(tuple(steps), tuple(notes))


def _user_steps(facts: Facts) -> list[Step]:
    user, what = facts.user, f"the system user and group {USER}"
    if user is None:
        return []
    like_ours = user.uid < 1000 and user.home == "/var/lib/soteira" and user.shell.endswith(("nologin", "false"))
    if "user" not in facts.record.made and not like_ours:
        return [left(what, "not made by `install`")]
    image = ("--prefix", str(facts.layout.root)) if facts.is_image else ()
    if "userdel" in facts.tools:
        # userdel takes the group with it where the machine's owner has not switched that off.
        return [to_do(what, "removed", Run(("userdel", *image, USER)), Run(("groupdel", *image, USER), may_fail=True))]
    if "deluser" in facts.tools and not facts.is_image:
        return [to_do(what, "removed", Run(("deluser", USER)))]
    return [left(what, "nothing here removes users: do it by hand")]


def farewell(facts: Facts, purge: bool) -> tuple[str, ...]:
    """What is left for the owner to do."""
    how = {"pipx": "pipx uninstall soteirad", "uv": "uv tool uninstall soteirad", "checkout": "delete the checkout"}
    program = f"the program itself stays: {how.get(facts.program.how, 'pip uninstall soteirad, or delete its folder')}"
    if purge:
        return (program,)
    # sudo finds the program no more: its link is gone.
    return BROKER.replace("sudo soteirad", f"sudo {shlex.join(facts.program.command)}"), program
