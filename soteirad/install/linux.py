"""The plan for Linux: a system user, files, and systemd's service where there is systemd. Pure: facts to plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from soteirad.install.facts import Facts, Wishes
from soteirad.install.ground import (
    Part,
    changed_since,
    config_part,
    link_part,
    merged,
    place_problems,
    secret_entries,
    secret_names,
    secrets_part,
    state_part,
)
from soteirad.install.plan import (
    ROOT,
    Plan,
    Remove,
    Run,
    Step,
    WriteFile,
    already,
    left,
    to_do,
)
from soteirad.install.record import older
from soteirad.install.unit import MADE, hidden, home_drop_in, refused, render_unit, secrets_drop_in, with_groups
from soteirad.service.layout import UNIT, USER, Layout

HANDS_SECRETS = 247
"""The first systemd that hands files to a service as credentials."""
_START_TIMEOUT_S = 660.0
_FULL_NAME = "Soteira camera daemon"


def install_plan(facts: Facts, wishes: Wishes) -> Plan:
    """Return what is to be done for a service that runs."""
    hands = facts.service.system != "none" and facts.service.version >= HANDS_SECRETS
    ground = merged(
        _user_part(facts),
        config_part(facts, USER),
        secrets_part(facts, ROOT if hands else USER),
        state_part(facts, facts.layout.state, USER, "the journal, pictures and logs, which only the service may read"),
        link_part(facts),
    )
    problems = (*place_problems(facts), *_unknown(facts, wishes), *_masked(facts), *_refused(facts), *ground.problems)
    notes = [*_version_notes(facts), *_unused(facts, wishes), *ground.notes]
    if facts.service.system == "none":
        cache = state_part(facts, facts.layout.cache, USER, "what may be computed again")
        steps = (*ground.steps, *cache.steps, left("the service", "there is no systemd on this machine"))
        return Plan(steps, tuple(notes), (*problems, *cache.problems), _without_systemd(facts))
    unit = merged(_unit_part(facts), _secrets_drop_in(facts, hands), _home_drop_in(facts), *_wished(facts, wishes))
    changed = any(step.actions for step in unit.steps)
    service = _service_part(facts, wishes, changed)
    steps = (*ground.steps, *unit.steps, *service.steps)
    notes += [*unit.notes, *service.notes]
    unfinished = _unfinished(facts) if wishes.start else None
    return Plan(steps, tuple(notes), (*problems, *unit.problems), _next(facts), unfinished, facts.settled(wishes))


def _user_part(facts: Facts) -> Part:
    what, why = f"the system user and group {USER}", "the service runs as it, and it may do nothing else"
    if facts.user is not None and facts.group is not None:
        person = facts.user.uid >= 1000 and not facts.user.shell.endswith(("nologin", "false"))
        note = (f"{USER} is a user who may log in (number {facts.user.uid}), and may read what the service may",)
        return Part((already(what),), note if person else ())
    if facts.user is not None:
        group_only = _run("groupadd", "--system", USER, facts=facts, makes="group")
        return Part((to_do(f"the system group {USER}", why, group_only),))
    if "systemd-sysusers" in facts.tools:
        root = (f"--root={facts.layout.root}",) if facts.is_image else ()
        sysusers = Run(("systemd-sysusers", *root, "-"), text=facts.shipped.sysusers, makes="user")
        return Part((to_do(what, why, sysusers),))
    if "useradd" in facts.tools:
        group = () if facts.group is not None else (_run("groupadd", "--system", USER, facts=facts, makes="group"),)
        home = "/" + str(facts.layout.state.relative_to(facts.layout.root))
        access = ("--gid", USER, "--home-dir", home, "--no-create-home", "--shell", "/usr/sbin/nologin")
        user = _run("useradd", "--system", *access, "--comment", _FULL_NAME, USER, facts=facts, makes="user")
        return Part((to_do(what, why, *group, user),))
    if "adduser" in facts.tools and not facts.is_image:  # BusyBox
        group = () if facts.group is not None else (Run(("addgroup", "-S", USER), makes="group"),)
        user = Run(("adduser", "-S", "-D", "-H", "-h", str(facts.layout.state), "-s", "/sbin/nologin", "-G", USER, "-g",
                    _FULL_NAME, USER), makes="user")  # fmt: skip
        return Part((to_do(what, why, *group, user),))
    return Part(problems=(f"nothing here makes users (systemd-sysusers, useradd): make a system user and a group {USER}"
                          " by hand",))  # fmt: skip


def _run(program: str, *arguments: str, facts: Facts, makes: str) -> Run:
    image = ("--prefix", str(facts.layout.root)) if facts.is_image else ()
    return Run((program, *image, *arguments), makes=makes)


def unit_text(facts: Facts) -> bytes:
    """Return the unit as it is to be on this machine."""
    return render_unit(facts.shipped.unit, facts.program.command, _drop_ins(facts)).encode()


def _unit_part(facts: Facts) -> Part:
    path = facts.layout.unit
    wanted = unit_text(facts)
    entry, inside = facts.entry(path), facts.inside(path)
    write = WriteFile(path, wanted, 0o644)
    if not entry.exists:
        return Part((to_do(str(path), "systemd starts the service with the machine, and again when it fails", write),))
    if entry.content == wanted:
        if entry.mode == 0o644 and entry.uid == 0:
            return Part((already(str(path)),))
        return Part((to_do(str(path), "only root may change it", write),))
    if facts.record.wrote(inside, entry.content):
        return Part((to_do(str(path), "replaced by this version's", write),))
    if entry.kind not in {"file", "link"}:
        return Part(problems=(f"{path} is no file: move it away",))
    keep = _free_name(facts, path)
    note = (
        f"{path} was not as `install` writes it: it is kept as {keep.name}. Put settings of your own into a file in "
        f"{_drop_ins(facts)}"
    )
    return Part((to_do(str(path), f"replaced by this version's; the one that lies there is kept as {keep.name}",
                       replace(write, keep=keep)),), (note,))  # fmt: skip


def _free_name(facts: Facts, path: Path) -> Path:
    names = [path.with_name(f"{path.name}.bak"), *(path.with_name(f"{path.name}.bak{n}") for n in range(2, 1000))]
    return next(name for name in names if not facts.entry(name).exists)


def _secrets_drop_in(facts: Facts, hands: bool) -> Part:
    names = secret_names(facts)
    if facts.entry(facts.layout.secrets).kind == "unseen":
        return Part((left("secrets.conf", "this user may not look at the secrets; root will"),))
    if not hands:
        return Part(notes=(f"systemd {facts.service.version} does not hand secrets to a service: the service reads "
                           f"{facts.layout.secrets} itself",) if names else ())  # fmt: skip
    text = secrets_drop_in(names, _drop_ins(facts), Path(facts.inside(facts.layout.secrets))) if names else None
    return _made_drop_in(facts, "secrets", text, f"hands the service its {_counted(len(names))}")


def _home_drop_in(facts: Facts) -> Part:
    needed = hidden(facts.program.needed, facts.hiders)
    text = home_drop_in(needed, _drop_ins(facts)) if needed else None
    part = _made_drop_in(facts, "home", text, "shows the service this program, which lies in a home directory")
    if not any(step.actions for step in part.steps) or not needed:
        return part
    notes = [f"who may write to {needed[0]} decides what the service does, and what root does with soteirad: "
             "/opt/soteira is better on a machine with several users"]  # fmt: skip
    if facts.guarded:
        notes.append("SELinux does not let services run what lies in a home directory: install it in /opt/soteira")
    return merged(part, Part(notes=tuple(notes)))


def _made_drop_in(facts: Facts, name: str, text: str | None, why: str) -> Part:
    """A drop-in whose whole text is made here; one of the owner's with that name is left alone."""
    path = facts.layout.drop_ins / f"{name}.conf"
    entry = facts.entry(path)
    ours = not entry.exists or facts.record.wrote(facts.inside(path), entry.content) or _is_made(entry.content)
    if text is None:
        if not entry.exists or not ours:
            return Part()
        return Part((to_do(str(path), "it is not needed any more", Remove(path)),))
    if entry.content == text.encode():
        return Part((already(str(path)),))
    if ours:
        return Part((to_do(str(path), why, WriteFile(path, text.encode(), 0o644)),))
    return Part((left(str(path), "it is yours, and left as it is"),),
                (f"{path} is yours; what belongs into a file there is:\n{text}",))  # fmt: skip


def _is_made(content: bytes | None) -> bool:
    return content is not None and content.startswith(MADE.encode())


def _wished(facts: Facts, wishes: Wishes) -> list[Part]:
    """Those drop-ins that were asked for, now or at an earlier time."""
    parts = []
    for name, text in sorted(facts.shipped.drop_ins.items()):
        path = facts.layout.drop_ins / f"{name}.conf"
        entry, inside = facts.entry(path), facts.inside(path)
        if name in wishes.without:
            parts.append(_unwished(facts, path))
        elif name in wishes.drop_ins or inside in facts.record.files:
            parts.append(_shipped_drop_in(facts, name, text, asked=name in wishes.drop_ins or entry.exists))
    return parts


def _shipped_drop_in(facts: Facts, name: str, text: str, asked: bool) -> Part:
    path = facts.layout.drop_ins / f"{name}.conf"
    entry = facts.entry(path)
    wanted, missing = with_groups(text, facts.groups)
    notes = (f"{path}: there is no group {' or '.join(missing)} on this machine",) if missing else ()
    if not asked:
        return Part()  # the owner took it away
    if entry.content == wanted.encode():
        return Part((already(str(path)),), notes)
    if not entry.exists or facts.record.wrote(facts.inside(path), entry.content) or entry.content == text.encode():
        write = WriteFile(path, wanted.encode(), 0o644)
        return Part((to_do(str(path), f"what {name} needs, as docs/service.md says", write),), notes)
    return Part((left(str(path), "it is yours, and left as it is"),))


def _unwished(facts: Facts, path: Path) -> Part:
    entry = facts.entry(path)
    if not entry.exists:
        return Part((already(str(path), "not there"),))
    if facts.record.wrote(facts.inside(path), entry.content):
        return Part((to_do(str(path), "taken away, as you asked", Remove(path)),))
    return Part((left(str(path), "it is yours: delete it yourself"),))


def _service_part(facts: Facts, wishes: Wishes, changed: bool) -> Part:
    """Reload, enable, start: as far as the machine runs, and the configuration is the owner's and right."""
    service, steps = facts.service, []
    running = service.system == "running"
    if running and (changed or service.stale):
        steps.append(to_do("systemd", "it reads the service's files again", Run(("systemctl", "daemon-reload"))))
    if not wishes.start:
        return Part((*steps, left("the service", "neither enabled nor started, as you asked")))
    if facts.untouched and not facts.is_image:
        why = "not enabled or started yet: the configuration is still the example, and would watch what is not there"
        return Part((*steps, left("the service", why)))
    if service.enabled:
        steps.append(already("the service starts with the machine"))
    else:
        root = (f"--root={facts.layout.root}",) if facts.is_image else ()
        steps.append(to_do("the service starts with the machine", "systemctl enable",
                           Run(("systemctl", *root, "enable", UNIT))))  # fmt: skip
    if not running:
        return Part((*steps, left("the service's start", "systemd does not run here: it starts with the machine")))
    if facts.findings:
        why = "the running one is left alone" if service.active else "not started"
        notes = ("the configuration has mistakes, which `soteirad check` tells, too:", *facts.findings)
        return Part((*steps, left("the service's start", f"{why}: there are mistakes in the configuration")), notes)
    return Part((*steps, _start(facts, changed)))


def _unfinished(facts: Facts) -> str | None:
    if not facts.findings:
        return None
    if facts.service.active:
        return "the service was not restarted, and is still what it was: there are mistakes in the configuration"
    return "the service was not started: there are mistakes in the configuration"


def _start(facts: Facts, changed: bool) -> Step:
    service = facts.service
    remedy = f"`journalctl -u {UNIT} -n 30` says why"
    restart = Run(("systemctl", "restart", UNIT), remedy=remedy, timeout=_START_TIMEOUT_S)
    if not service.active:
        return to_do("the service's start", "the first one tries all engines, which may take some minutes", restart)
    reason = None
    if changed or service.stale:
        reason = "its files changed"
    elif facts.record.version != facts.program.version:
        reason = f"it is still version {facts.record.version}" if facts.record.version else "its version is not known"
    elif changed_since(secret_entries(facts), service.started):
        reason = "secrets changed since it was started"
    return already("the service runs") if reason is None else to_do("the service's restart", reason, restart)


def _version_notes(facts: Facts) -> list[str]:
    before, now = facts.record.version, facts.program.version
    if before is None or before == now:
        return []
    if older(now, before):
        return [f"this is version {now}, and {before} was installed: it may not read what the newer one wrote; keep "
                f"a copy of {facts.layout.state} until you know"]  # fmt: skip
    return [f"version {before} becomes {now}"]


def _unused(facts: Facts, wishes: Wishes) -> list[str]:
    """Name the libraries that are here and that the service may not use as it is."""
    there = {name for name in facts.program.extras if facts.entry(facts.layout.drop_ins / f"{name}.conf").exists}
    return [f"{name} is installed, and the service may not use it: `sudo soteirad install --with {name}` allows it"
            for name in facts.program.extras if name not in {*wishes.drop_ins, *wishes.without, *there}]  # fmt: skip


def _unknown(facts: Facts, wishes: Wishes) -> list[str]:
    names = ", ".join(sorted(facts.shipped.drop_ins)) or "none"
    return [f"there is no drop-in {name}: there are {names}" for name in (*wishes.drop_ins, *wishes.without)
            if name not in facts.shipped.drop_ins]  # fmt: skip


def _masked(facts: Facts) -> list[str]:
    if facts.entry(facts.layout.unit).target == "/dev/null":
        return [f"the service is masked, so that nothing starts it: type `sudo systemctl unmask {UNIT}` first"]
    return []


def _refused(facts: Facts) -> list[str]:
    paths = (*facts.program.command, *map(str, hidden(facts.program.needed, facts.hiders)))
    return [f"systemd takes no path like {path}, with quotes, colons or backslashes: install Soteira in another folder"
            for path in paths if facts.service.system != "none" and refused(path)]  # fmt: skip


def _next(facts: Facts) -> tuple[str, ...]:
    config = Layout().config
    if facts.is_image:
        return (f"put your cameras into {config} of the image",)
    if facts.untouched:
        return ("`sudo soteirad init` finds your cameras and writes the configuration (or edit it by hand: "
                f"`sudoedit {config}`)", "`sudo soteirad install` once more then starts the service")  # fmt: skip
    if facts.findings:
        return (f"correct {config} (`sudo soteirad check`), then `sudo soteirad install` once more",)
    return ("`sudo soteirad doctor` says whether all is well",)


def _without_systemd(facts: Facts) -> tuple[str, ...]:
    command = " ".join(facts.program.command)
    return (f"let whatever starts services here run this as user {USER}: {command} run --config {Layout().config}",)


def _drop_ins(facts: Facts) -> Path:
    return Path(facts.inside(facts.layout.drop_ins))


def _counted(number: int) -> str:
    return "one secret" if number == 1 else f"{number} secrets"
