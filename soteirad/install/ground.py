"""What an installation needs on any system: configuration, secrets, state folder, link. Pure: facts to steps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from soteirad.install.facts import Facts
from soteirad.install.places import Entry
from soteirad.install.plan import (
    ROOT,
    Action,
    HandOver,
    MakeFolder,
    MakeLink,
    SetAccess,
    Step,
    WriteFile,
    already,
    left,
    to_do,
)

SECRET = re.compile(r"SOTEIRA_[A-Z0-9_]+")
_CONFIG_MODE = 0o640
_STATE_MODE = 0o750
_EVERYBODY = 0o007
_COMMON = tuple(Path(folder) for folder in ("/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin"))


@dataclass(frozen=True)
class Part:
    """Steps of one part of a plan, and what they leave the owner to know or to mend first."""

    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def config_part(facts: Facts, user: str) -> Part:
    """The configuration: the example where there is none. What is there is only kept from others' eyes."""
    path = facts.layout.config
    entry = facts.entry(path)
    if not entry.exists:
        file = WriteFile(path, facts.shipped.example, _CONFIG_MODE, ROOT, user, fresh=True)
        return Part((to_do(str(path), "the example, every setting explained; only root and the service may read it",
                           file),))  # fmt: skip
    if entry.kind == "link":
        return Part((left(str(path), f"it is a link to {entry.target}: you care for who may read that"),))
    if entry.kind == "unseen":
        return Part((left(str(path), "this user may not look at it; root will"),))
    if entry.kind != "file":
        return Part(problems=(f"{path} is no file: move it away",))
    notes = [] if entry.uid == 0 else [f"{path} belongs to {facts.owner(entry)}, who decides with it what is watched"]
    if entry.mode & _EVERYBODY and not facts.untouched:
        notes.append(f"everybody on this machine could read {path} until now: change its passwords if that matters")
    if entry.mode == _CONFIG_MODE and facts.group is not None and entry.gid == facts.group:
        whose = "the example, as it was" if facts.untouched else "yours, left as it is"
        return Part((already(str(path), whose),), tuple(notes))
    access = SetAccess(path, _CONFIG_MODE, None, user)
    return Part((to_do(str(path), f"only its owner and the group {user} may read it; what it says stays", access),),
                tuple(notes))  # fmt: skip


def secret_names(facts: Facts) -> tuple[str, ...]:
    """Return the secrets that there are files of."""
    found = facts.below(facts.layout.secrets).items()
    return tuple(sorted(name for name, entry in found if SECRET.fullmatch(name) and entry.kind in {"file", "link"}))


def secret_entries(facts: Facts) -> list[Entry]:
    """Return the files of secrets."""
    return [facts.entry(facts.layout.secrets / name) for name in secret_names(facts)]


def secrets_part(facts: Facts, reader: str) -> Part:
    """The folder of secrets: root's, or readable by the group `reader` where nobody else hands them over."""
    path, shared = facts.layout.secrets, reader != ROOT
    folder_mode, file_mode = (0o750, 0o640) if shared else (0o700, 0o600)
    who = f"root and the group {reader}" if shared else "root"
    entry = facts.entry(path)
    if entry.kind == "unseen":
        return Part((left(str(path), "this user may not look at it; root will"),))
    if entry.exists and entry.kind != "folder":
        return Part(problems=(f"{path} is no folder: move it away",))
    actions: list[Action] = []
    gid = 0 if not shared else facts.group
    if not entry.exists:
        actions.append(MakeFolder(path, folder_mode, ROOT, reader))
    elif (entry.uid, entry.gid, entry.mode) != (0, gid, folder_mode):
        actions.append(SetAccess(path, folder_mode, ROOT, reader))
    for name, found in sorted(facts.below(path).items()):
        if found.kind == "file" and (found.uid, found.gid, found.mode) != (0, gid, file_mode):
            actions.append(SetAccess(path / name, file_mode, ROOT, reader))
    strange = [name for name in facts.below(path) if not SECRET.fullmatch(name)]
    notes = [f"{path / name} is not handed over: the names of secrets are SOTEIRA_ and capital letters, digits and _"
              for name in sorted(strange)]  # fmt: skip
    if not actions:
        return Part((already(str(path)),), tuple(notes))
    why = f"a file for each password, as {{SOTEIRA_X}} in the configuration; only {who} may read them"
    return Part((to_do(str(path), why, *actions),), tuple(notes))


def state_part(facts: Facts, path: Path, user: str, what: str) -> Part:
    """A folder of the service's own. One of a person's is a problem: nothing of a stranger's is given away."""
    entry = facts.entry(path)
    match entry.kind:
        case "missing":
            return Part((to_do(str(path), what, MakeFolder(path, _STATE_MODE, user, user)),))
        case "link" if entry.target == f"private/{path.name}":
            return Part(
                (left(str(path), "it is of a service without a user of its own: systemd moves it at the start"),)
            )
        case "link":
            return Part((left(str(path), f"it is a link to {entry.target}: that folder has to belong to {user}"),))
        case "unseen":
            return Part((left(str(path), "this user may not look at it; root will"),))
        case "folder":
            return _state_folder(facts, path, user, what)
    return Part(problems=(f"{path} is no folder: move it away",))


def _state_folder(facts: Facts, path: Path, user: str, what: str) -> Part:
    entry, access = facts.entry(path), SetAccess(path, _STATE_MODE, user, user)
    if facts.user is not None and entry.uid == facts.user.uid:
        if entry.mode & _EVERYBODY == 0:
            return Part((already(str(path)),))
        return Part((to_do(str(path), "others may not look into it", access),))
    nobodys = entry.uid == 0 or entry.uid not in facts.names
    if not nobodys and not entry.empty:
        return Part(problems=(f"{path} belongs to {facts.owner(entry)}: if it is Soteira's, type `sudo chown -R "
                              f"{user}:{user} {path}`; if it is not, move it away",))  # fmt: skip
    reason = f"{what}; so far it belongs to {facts.owner(entry)}"
    return Part((to_do(str(path), reason, HandOver(path, user, user), access),))


def link_part(facts: Facts) -> Part:
    """A link to the command where sudo finds it, unless it is there already."""
    path, command = facts.layout.command, facts.program.command
    if len(command) > 1:
        return Part((left(str(path), "this Soteira has no command of its own"),))
    target = command[0]
    if Path(target).parent in _COMMON:
        return Part((already(str(path), f"{target} is found without it"),))
    entry = facts.entry(path)
    if entry.kind == "link" and entry.target == target:
        return Part((already(str(path)),))
    if not entry.exists or (entry.kind == "link" and facts.record.links.get(facts.inside(path)) == entry.target):
        return Part((to_do(str(path), f"a link to {target}, so that sudo and other users find the command",
                           MakeLink(path, target)),))  # fmt: skip
    return Part((left(str(path), "another one lies there, which is not from here"),),
                (f"`soteirad` may mean {path}, which is another one: this one is {target}",))  # fmt: skip


def place_problems(facts: Facts) -> tuple[str, ...]:
    """Return why nothing can be written where it belongs, or nobody could run it; that root is needed comes first."""
    problems = [] if facts.is_root else [f"this needs root: type `sudo` before it{_how_to_find(facts)}"]
    problems += facts.distrusted
    problems += [f"{path} is on a disk that may only be read: mount it for writing" for path in facts.read_only]
    for path in facts.program.unreadable:
        problems.append(
            f"the service cannot get at {path}, where this Soteira lies: install it in /opt/soteira (docs/install.md), "
            "or let others read it (chmod)"
        )
    return tuple(problems)


def _how_to_find(facts: Facts) -> str:
    command = facts.program.command[0]
    return "" if Path(command).parent in _COMMON else f", and the whole path, as sudo may not find it: {command}"


def merged(*parts: Part) -> Part:
    """Return all parts as one."""
    return Part(
        tuple(step for part in parts for step in part.steps),
        tuple(note for part in parts for note in part.notes),
        tuple(problem for part in parts for problem in part.problems),
    )


def changed_since(entries: list[Entry], started: float | None) -> bool:
    """Tell whether a file is newer than the service that was given it."""
    return started is not None and any(entry.changed > started for entry in entries)
