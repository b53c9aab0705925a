"""Gathers the facts that plans are made from; changes nothing."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from soteirad.install import places
from soteirad.install.facts import Facts, Program, Service, Shipped, System
from soteirad.install.machine import Runner
from soteirad.install.places import Entry
from soteirad.install.program import Interpreter, program
from soteirad.install.record import read_record
from soteirad.install.steps import Site
from soteirad.install.unit import groups_in
from soteirad.resources import resource
from soteirad.service.layout import LABEL, MAC_USER, UNIT, USER, AgentLayout, Layout

_TOOLS = ("systemctl", "systemd-sysusers", "useradd", "adduser", "userdel", "groupdel", "deluser")
_HIDERS = ("/home", "/root", "/run/user")
_EMPTIED = ("/tmp", "/var/tmp", "/run", "/dev")  # noqa: S108 - where nothing may lie that is to stay
_CHECK_TIMEOUT_S = 120.0


def shipped() -> Shipped:
    """Return the files that ship."""
    drop_ins = {path.stem: path.read_text(encoding="utf-8") for path in sorted(resource("systemd").glob("*.conf"))}
    plist = "launchd/io.github.soteira.soteirad.{}.plist"
    return Shipped(
        resource("etc/soteira.yaml").read_bytes(),
        resource("systemd/soteirad.service").read_text(encoding="utf-8"),
        drop_ins,
        resource("systemd/sysusers.d/soteira.conf").read_text(encoding="utf-8"),
        resource(plist.format("daemon")).read_bytes(),
        resource(plist.format("agent")).read_bytes(),
    )


def layout_entries(layout: Layout) -> dict[Path, Entry]:
    """Return what lies in each place of a layout, what is in its small folders included."""
    paths = [
        *(layout.config, layout.record, layout.record.parent, layout.secrets, layout.state, layout.cache),
        *(layout.unit, layout.drop_ins, layout.command, layout.daemon_plist, layout.log_folder),
    ]
    for folder in (layout.secrets, layout.drop_ins):
        paths += _inside(folder)
    paths += [path for path in _inside(layout.unit.parent) if path.name.startswith(f"{UNIT}.bak")]
    entries = {path: places.look_at(path) for path in paths}
    if entries[layout.secrets].kind == "folder" and not os.access(layout.secrets, os.R_OK | os.X_OK):
        entries[layout.secrets] = Entry("unseen")
    return entries


def linux_facts(layout: Layout, site: Site, python: Interpreter) -> Facts:
    """Return the facts of a Linux machine, or of an image of one."""
    image = layout.root != Path("/")
    ships, entries = shipped(), layout_entries(layout)
    hiders = tuple(dict.fromkeys(path for hider in map(Path, _HIDERS) for path in (hider, hider.resolve())))
    user = site.accounts.user(USER)
    wanted = {group for text in ships.drop_ins.values() for group in groups_in(text)}
    facts = Facts(
        layout,
        _in_image(program(python, hiders), layout.root) if image else _not_emptied(program(python, hiders)),
        ships,
        is_root=os.geteuid() == 0,
        is_image=image,
        record=read_record(entries[layout.record].content),
        entries=entries,
        user=user,
        group=site.accounts.gid(USER),
        names=owner_names(site, entries),
        groups=frozenset(group for group in wanted if site.accounts.gid(group) is not None),
        tools=frozenset(tool for tool in _TOOLS if site.runner.find(tool)),
        service=_service(layout, site.runner, image),
        hiders=hiders,
        read_only=_read_only(layout),
        mounted=_mounted(layout, entries),
        distrusted=distrusted(layout, (layout.config, layout.secrets, layout.state, layout.unit, layout.command)),
        guarded=not image and places.look_at(Path("/sys/fs/selinux/enforce")).content == b"1",
    )
    return replace(facts, findings=_findings(facts, site.runner))


def owner_names(site: Site, entries: Mapping[Path, Entry]) -> dict[int, str]:
    """Return the names of all who own something; a number that nobody has is left out."""
    names = {entry.uid: site.accounts.user_name(entry.uid) for entry in entries.values()}
    return {uid: name for uid, name in names.items() if name is not None}


def distrusted(layout: Layout, paths: Iterable[Path]) -> tuple[str, ...]:
    """Return why root had better not write in some of these places."""
    reasons = [places.distrusted(path, layout.root) for path in paths]
    return tuple(dict.fromkeys(f"{reason}: root had better not write there" for reason in reasons if reason))


def check_findings(command: tuple[str, ...], config: Path, secrets: Path, runner: Runner) -> tuple[str, ...]:
    """Return what `soteirad check` says of a configuration, with the service's secrets; nothing, if it is right."""
    credentials = ("env", f"CREDENTIALS_DIRECTORY={secrets}")
    ran = runner.run((*credentials, *command, "check", "--config", str(config)), timeout=_CHECK_TIMEOUT_S)
    if ran.code == 0:
        return ()
    return tuple(ran.said.splitlines()) or (f"`soteirad check` ended with exit code {ran.code}",)


def _findings(facts: Facts, runner: Runner) -> tuple[str, ...]:
    layout = facts.layout
    if facts.is_image or not facts.is_root or facts.untouched or facts.service.system != "running":
        return ()
    found = check_findings(facts.program.command, layout.config, layout.secrets, runner)
    if not any(b"Environment" in (entry.content or b"") for entry in facts.below(layout.drop_ins).values()):
        return found
    # The owner gives the service variables that are not known here.
    return tuple(line for line in found if not re.search(r"SOTEIRA_\w+ is not set", line))


def _service(layout: Layout, runner: Runner, image: bool) -> Service:
    if runner.find("systemctl") is None:
        return Service()
    said = runner.run(("systemctl", "--version")).said
    match = re.search(r"systemd (\d+)", said)
    version = int(match[1]) if match else 0
    if image:
        enabled = runner.run(("systemctl", f"--root={layout.root}", "is-enabled", UNIT)).code == 0
        return Service("installed", version, enabled)
    system: System = "running" if Path("/run/systemd/system").is_dir() else "installed"
    enabled = runner.run(("systemctl", "is-enabled", UNIT)).code == 0
    if system == "installed":
        return Service(system, version, enabled)
    # When it was begun, not when it was ready: secrets are handed over before it runs.
    wanted = "ActiveState,ExecMainStartTimestampMonotonic,NeedDaemonReload"
    said = runner.run(("systemctl", "show", UNIT, "--property", wanted)).said
    shown = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    state, since = shown.get("ActiveState", ""), shown.get("ExecMainStartTimestampMonotonic", "0")
    ago = time.clock_gettime(time.CLOCK_MONOTONIC) - int(since) / 1e6 if since.isdigit() else 0.0
    active = state in {"active", "activating", "reloading"}
    started = time.time() - ago if active and since != "0" else None
    return Service(system, version, enabled, active, started, shown.get("NeedDaemonReload") == "yes")


def _in_image(found: Program, root: Path) -> Program:
    """Return the program as it lies in an image, if that is where it is; what is on this machine says nothing there."""
    words = tuple("/" + str(Path(word).relative_to(root)) if Path(word).is_relative_to(root) else word
                  for word in found.command)  # fmt: skip
    return replace(found, command=words, needed=(), unreadable=())


def _not_emptied(found: Program) -> Program:
    """Return it with what lies in a folder that the service sees another one of, as if it could not be read."""
    lost = tuple(path for path in found.needed if any(path.is_relative_to(folder) for folder in _EMPTIED))
    return replace(found, unreadable=tuple(dict.fromkeys((*lost, *found.unreadable))))


def _read_only(layout: Layout) -> tuple[Path, ...]:
    found = []
    for path in (layout.config, layout.state, layout.unit):
        folder = next(parent for parent in path.parents if parent.exists())
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            found.append(folder)
    return tuple(dict.fromkeys(found))


def _mounted(layout: Layout, entries: Mapping[Path, Entry]) -> tuple[Path, ...]:
    places_to_go = (layout.config, layout.secrets, layout.state, layout.cache)
    return tuple(point for place in places_to_go if entries[place].kind not in {"missing", "link"}
                 for point in places.mounts_in(place))  # fmt: skip


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def mac_facts(layout: Layout, site: Site, python: Interpreter, agent: AgentLayout | None) -> Facts:
    """Return the facts of a Mac; with `agent`, of the person to whom it belongs."""
    entries = layout_entries(layout)
    if agent is not None:
        paths = (agent.folder, agent.config, agent.record, agent.state, agent.plist, agent.log_folder)
        entries |= {path: places.look_at(path) for path in paths}
    uid = os.geteuid()
    place = (agent.plist, f"gui/{uid}") if agent is not None else (layout.daemon_plist, "system")
    record = entries[layout.record if agent is None else agent.record]
    keep = place[0].with_name(f"{place[0].name}.bak")
    entries[keep] = places.look_at(keep)
    facts = Facts(
        layout,
        program(python, ()),
        shipped(),
        is_root=uid == 0,
        record=read_record(record.content),
        entries=entries,
        user=site.accounts.user(MAC_USER),
        group=site.accounts.gid(MAC_USER),
        names=owner_names(site, entries),
        service=_launchd(site.runner, *place),
        distrusted=distrusted(layout, (layout.config, layout.state, layout.daemon_plist)) if agent is None else (),
        ids=frozenset(number for what, key in (("/Users", "UniqueID"), ("/Groups", "PrimaryGroupID"))
                      for number in _numbers(site.runner.run(("dscl", ".", "-list", what, key)).said)),
        agent=agent,
    )  # fmt: skip
    if agent is None:
        ready, config = facts.is_root and not facts.untouched, layout.config
    else:
        ready, config = facts.entry(agent.config).exists, agent.config
    if not ready:
        return facts
    return replace(facts, findings=check_findings(facts.program.command, config, layout.secrets, site.runner))


def _launchd(runner: Runner, plist: Path, domain: str) -> Service:
    """Return what launchd says; what it was not told to leave alone is enabled as soon as its file is there."""
    loaded = runner.run(("launchctl", "print", f"{domain}/{LABEL}")).code == 0
    disabled = re.search(
        rf'"{re.escape(LABEL)}" => (true|disabled)', runner.run(("launchctl", "print-disabled", domain)).said
    )
    return Service("running", enabled=disabled is None, active=loaded)


def _numbers(listed: str) -> list[int]:
    """Return the numbers at the end of each line that dscl lists."""
    return [
        int(line.split()[-1]) for line in listed.splitlines() if line.split() and line.split()[-1].lstrip("-").isdigit()
    ]
