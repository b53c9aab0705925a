"""The plan for macOS: launchd's daemon for the machine, or its agent for one person. Pure: facts to plan."""

from __future__ import annotations

import plistlib
from dataclasses import dataclass
from pathlib import Path

from soteirad.install.facts import Facts, Wishes
from soteirad.install.ground import (
    Part,
    config_part,
    link_part,
    merged,
    place_problems,
    secrets_part,
    state_part,
)
from soteirad.install.plan import MakeFolder, Plan, Remove, Run, Step, WriteFile, already, left, to_do
from soteirad.install.removal import farewell, kept_steps, link_steps, purge_part
from soteirad.service.layout import LABEL, MAC_USER, AgentLayout

_IDS = range(399, 299, -1)
"""Numbers for users and groups of services on macOS lie between 200 and 400; Apple's own begin at 200."""
_TRIES = 20
"""launchd refuses to load a service while it still ends the one before: that may take this many seconds."""
_FULL_NAME = "Soteira camera daemon"


@dataclass(frozen=True)
class Place:
    """Where launchd's service lies: its file, and the domain (`system`, or a person's `gui/501`) that it belongs to."""

    plist: Path
    domain: str

    @property
    def target(self) -> str:
        """The service's name for launchctl."""
        return f"{self.domain}/{LABEL}"


def mac_plan(facts: Facts, wishes: Wishes) -> Plan:
    """Return what is to be done for a service of the machine."""
    layout, user = facts.layout, MAC_USER
    log = state_part(facts, layout.log_folder, user, "what the service says: soteirad.log")
    ground = merged(
        _user_part(facts),
        config_part(facts, user),
        secrets_part(facts, user),
        state_part(facts, layout.state, user, "the journal and pictures, which only the service may read"),
        state_part(facts, layout.cache, user, "what may be computed again"),
        log,
        link_part(facts),
    )
    wanted = daemon_plist(facts.shipped.daemon_plist, facts.program.command)
    place = Place(layout.daemon_plist, "system")
    service = _service_part(facts, wishes, place, wanted, facts.untouched)
    problems = [*place_problems(facts), *ground.problems, *service.problems]
    if wishes.drop_ins or wishes.without:
        problems.append("--with and --without are for Linux")
    next_steps = ("`sudo soteirad doctor` says whether all is well",) if not facts.untouched else (
        "`sudo soteirad init` finds your cameras and writes the configuration",
        "`sudo soteirad install` once more then starts the service")  # fmt: skip
    steps = (*ground.steps, *service.steps)
    return Plan(
        steps,
        (*ground.notes, *service.notes),
        tuple(problems),
        next_steps,
        _unfinished(facts, wishes),
        facts.settled(wishes),
    )


def agent_plan(facts: Facts, wishes: Wishes, uid: int) -> Plan:
    """Return what is to be done for a service of the person who is logged in, which may use the Mac's own cameras."""
    layout = _agent(facts)
    steps: list[Step] = []
    for path, why in ((layout.folder, "all that is Soteira's and yours"), (layout.state, "the journal and pictures"),
                      (layout.log_folder, "what the service says: soteirad.log")):  # fmt: skip
        exists = facts.entry(path).exists
        steps.append(already(str(path)) if exists else to_do(str(path), why, MakeFolder(path, 0o700, None, None)))
    example = agent_example(facts.shipped.example, layout)
    config = facts.entry(layout.config)
    if config.exists:
        steps.append(already(str(layout.config), "yours, left as it is"))
    else:
        file = WriteFile(layout.config, example, 0o600, None, None, fresh=True)
        steps.append(to_do(str(layout.config), "the example; only you may read it", file))
    untouched = config.content in {None, example} or facts.record.wrote(facts.inside(layout.config), config.content)
    wanted = agent_plist(facts.shipped.agent_plist, facts.program.command, layout)
    service = _service_part(facts, wishes, Place(layout.plist, f"gui/{uid}"), wanted, untouched)
    problems = list(service.problems)
    if uid == 0:
        problems.append("--agent is for the person at the screen: type it without sudo")
    next_steps = ("`soteirad doctor` says whether all is well",) if not untouched else (
        f"write your cameras into {layout.config}, such as avfoundation:0",
        "`soteirad install --agent` once more starts it; macOS then asks whether it may use the camera")  # fmt: skip
    return Plan(
        (*steps, *service.steps),
        service.notes,
        tuple(problems),
        next_steps,
        _unfinished(facts, wishes),
        facts.settled(wishes),
    )


def daemon_plist(shipped: bytes, command: tuple[str, ...]) -> bytes:
    """Return launchd's file for the machine, with this machine's command."""
    document = plistlib.loads(shipped)
    document["ProgramArguments"] = [*command, *document["ProgramArguments"][1:]]
    return plistlib.dumps(document, sort_keys=False)


def agent_plist(shipped: bytes, command: tuple[str, ...], layout: AgentLayout) -> bytes:
    """Return launchd's file for one person: it has no way to say whose home it means, so their paths are put in."""
    document = plistlib.loads(shipped)
    document["ProgramArguments"] = [*command, "run", "--config", str(layout.config)]
    document["StandardOutPath"] = document["StandardErrorPath"] = str(layout.log_folder / "soteirad.log")
    return plistlib.dumps(document, sort_keys=False)


def agent_example(example: bytes, layout: AgentLayout) -> bytes:
    """Return the example with a place for the journal that is the person's own."""
    path = str(layout.state).replace("\\", "\\\\").replace('"', '\\"')
    return example.rstrip(b"\n") + f'\n\n# Where you may write.\nstorage: {{path: "{path}"}}\n'.encode()


def mac_removal_plan(facts: Facts, purge: bool) -> Plan:
    """Return what is to be taken away from the machine."""
    steps = [*_stop_steps(facts, Place(facts.layout.daemon_plist, "system")), *link_steps(facts)]
    notes: tuple[str, ...] = ()
    if purge:
        part = purge_part(facts, (facts.layout.cache, facts.layout.log_folder), MAC_USER)
        steps, notes = [*steps, *part.steps], part.notes
        if facts.user is not None:
            user = Run(("dscl", ".", "-delete", f"/Users/{MAC_USER}"))
            steps.append(to_do(f"the system user and group {MAC_USER}", "removed", user,
                               Run(("dscl", ".", "-delete", f"/Groups/{MAC_USER}"))))  # fmt: skip
    else:
        steps += kept_steps(facts)
    problems = () if facts.is_root else ("this needs root: type `sudo` before it",)
    return Plan(tuple(steps), notes, problems, farewell(facts, purge))


def agent_removal_plan(facts: Facts, purge: bool, uid: int) -> Plan:
    """Return what is to be taken away from one person."""
    layout = _agent(facts)
    steps = _stop_steps(facts, Place(layout.plist, f"gui/{uid}"))
    for path in (layout.folder, layout.log_folder):
        if not facts.entry(path).exists:
            continue
        if purge:
            steps.append(to_do(str(path), "deleted, with all that it holds", Remove(path, tree=True)))
        else:
            steps.append(left(str(path), "kept (--purge deletes it)"))
    return Plan(tuple(steps), next_steps=farewell(facts, purge))


def _agent(facts: Facts) -> AgentLayout:
    if facts.agent is None:
        raise ValueError("these facts are of a machine, and of no person")
    return facts.agent


def _user_part(facts: Facts) -> Part:
    what = f"the system user and group {MAC_USER}"
    if facts.user is not None and facts.group is not None:
        return Part((already(what),))
    number = next((number for number in _IDS if number not in facts.ids), None)
    if number is None:
        return Part(problems=("there is no free number for a system user between 300 and 399",))
    runs: list[Run] = []
    gid = number if facts.group is None else facts.group
    if facts.group is None:
        runs += _record(f"/Groups/{MAC_USER}", PrimaryGroupID=str(gid), RealName=_FULL_NAME, Password="*")  # noqa: S106 - none
    if facts.user is None:
        runs += _record(f"/Users/{MAC_USER}", UniqueID=str(number), PrimaryGroupID=str(gid), UserShell="/usr/bin/false",
                        NFSHomeDirectory="/var/empty", RealName=_FULL_NAME, Password="*", IsHidden="1")  # noqa: S106 - none  # fmt: skip
    runs.append(Run(("dscacheutil", "-flushcache"), makes="user"))
    return Part((to_do(what, "the service runs as it; it cannot log in", *runs),))


def _record(path: str, **keys: str) -> list[Run]:
    """Return what makes one record of the directory: a call for each key."""
    calls = [Run(("dscl", ".", "-create", path))]
    return calls + [Run(("dscl", ".", "-create", path, key, value)) for key, value in keys.items()]


def _service_part(facts: Facts, wishes: Wishes, place: Place, wanted: bytes, untouched: bool) -> Part:
    path, entry = place.plist, facts.entry(place.plist)
    inside = facts.inside(path)
    person = facts.agent is not None
    steps: list[Step] = []
    notes: list[str] = []
    if entry.exists and entry.kind != "file":
        return Part(problems=(f"{path} is no file: move it away",))
    changed = entry.content != wanted
    if not changed:
        steps.append(already(str(path)))
    else:
        who = None if person else "root"
        edited = entry.exists and not facts.record.wrote(inside, entry.content)
        keep = path.with_name(f"{path.name}.bak") if edited else None
        if keep is not None and facts.entry(keep).exists:
            return Part(problems=(f"{path} was edited, and there is a {keep.name} already: move that away",))
        notes += [f"{path} was not as `install` writes it: it is kept as {keep.name}"] if keep else []
        steps.append(to_do(str(path), "launchd starts the service with the machine, and again when it fails"
                           if not person else "launchd starts the service when you log in, and again when it fails",
                           WriteFile(path, wanted, 0o644, who, who, keep)))  # fmt: skip
    return Part((*steps, *_start_steps(facts, wishes, place, changed, untouched)), tuple(notes))


def _start_steps(facts: Facts, wishes: Wishes, place: Place, changed: bool, untouched: bool) -> list[Step]:
    service = facts.service
    if not wishes.start:
        return [left("the service", "neither enabled nor started, as you asked")]
    if untouched:
        # launchd loads all that lies in its folder when the machine starts.
        off = Run(("launchctl", "disable", place.target))
        why = "switched off until the configuration is yours: the example would watch what is not there"
        return [to_do("the service", why, off)] if service.enabled else [left("the service", why)]
    if facts.findings:
        return [left("the service's start", "there are mistakes in the configuration: " + "; ".join(facts.findings))]
    return [_start(facts, place, changed)]


def _unfinished(facts: Facts, wishes: Wishes) -> str | None:
    return (
        "the service was not started: there are mistakes in the configuration"
        if facts.findings and wishes.start
        else None
    )


def _start(facts: Facts, place: Place, changed: bool) -> Step:
    service = facts.service
    load = (Run(("launchctl", "enable", place.target)),
            Run(("launchctl", "bootstrap", place.domain, str(place.plist)), tries=_TRIES,
                remedy="the log (docs/install.md says where) tells why"))  # fmt: skip
    if not service.active:
        return to_do("the service's start", "the first one tries all engines, which may take some minutes", *load)
    if changed:
        out = Run(("launchctl", "bootout", place.target), may_fail=True)
        return to_do("the service's restart", "its file changed", out, *load)
    if facts.record.version not in {None, facts.program.version}:
        again = Run(("launchctl", "kickstart", "-k", place.target))
        return to_do("the service's restart", f"it is still version {facts.record.version}", again)
    return already("the service runs")


def _stop_steps(facts: Facts, place: Place) -> list[Step]:
    path, entry = place.plist, facts.entry(place.plist)
    steps = []
    if facts.service.active:
        stop = Run(("launchctl", "bootout", place.target))
        steps.append(to_do("the service", "stopped: it ends its cameras in order", stop))
    if not entry.exists:
        return [*steps, already(str(path), "not there")]
    if facts.inside(path) not in facts.record.files:
        return [*steps, left(str(path), "it was not written by `install`: delete it yourself")]
    return [*steps, to_do(str(path), "removed", Remove(path))]
