"""Facts of a machine, as plans are made from them: data only; `look` gathers them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from soteirad.install.machine import Account
from soteirad.install.places import Entry
from soteirad.install.record import Record
from soteirad.service.layout import AgentLayout, Layout

System = Literal["running", "installed", "none"]


@dataclass(frozen=True)
class Program:
    """The command that installs: what runs it, and from where.

    `command` are the words before `run`; `needed` are the folders without which it does not run, `unreadable` those
    that the service's user cannot read; `how` brought it here: pipx, uv, pip or a checkout. `extras` are the optional
    libraries with it for which there is a drop-in of the same name.
    """

    version: str
    command: tuple[str, ...]
    needed: tuple[Path, ...] = ()
    unreadable: tuple[Path, ...] = ()
    how: str = "pip"
    extras: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shipped:
    """The files that ship: the example, the unit, its drop-ins by name, launchd's two."""

    example: bytes
    unit: str
    drop_ins: Mapping[str, str]
    sysusers: str
    daemon_plist: bytes
    agent_plist: bytes


@dataclass(frozen=True)
class Service:
    """What systemd or launchd says of the service; `started` is Unix time, `version` systemd's own."""

    system: System = "none"
    version: int = 0
    enabled: bool = False
    active: bool = False
    started: float | None = None
    stale: bool = False
    """Whether systemd has yet to read what was written before."""


@dataclass(frozen=True)
class Wishes:
    """What the owner asked for."""

    drop_ins: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    start: bool = True


@dataclass(frozen=True)
class Facts:
    """All of it. `entries` holds what lies in each place of the layout, secrets and drop-ins included."""

    layout: Layout
    program: Program
    shipped: Shipped
    is_root: bool = True
    is_image: bool = False
    record: Record = field(default_factory=Record)
    entries: Mapping[Path, Entry] = field(default_factory=dict)
    user: Account | None = None
    group: int | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    """The names of those who own something here."""
    groups: frozenset[str] = frozenset()
    """Which of the groups that drop-ins want there are."""
    tools: frozenset[str] = frozenset()
    service: Service = field(default_factory=Service)
    hiders: tuple[Path, ...] = ()
    """Where the unit lets the service see nothing."""
    findings: tuple[str, ...] = ()
    """What `soteirad check` says of the configuration."""
    read_only: tuple[Path, ...] = ()
    mounted: tuple[Path, ...] = ()
    """What is mounted in those places of the layout that a purge deletes."""
    distrusted: tuple[str, ...] = ()
    guarded: bool = False
    """Whether SELinux enforces its rules."""
    ids: frozenset[int] = frozenset()
    """macOS: numbers of users and groups that are taken."""
    agent: AgentLayout | None = None

    def entry(self, path: Path) -> Entry:
        """Return what lies in a place."""
        return self.entries.get(path, Entry())

    def below(self, folder: Path) -> dict[str, Entry]:
        """Return what lies in a folder, by name."""
        return {path.name: entry for path, entry in self.entries.items() if path.parent == folder and entry.exists}

    def inside(self, path: Path) -> str:
        """Return a path as it is on the machine itself, also of an image."""
        return "/" + str(path.relative_to(self.layout.root))

    def owner(self, entry: Entry) -> str:
        """Return whose something is."""
        return "root" if entry.uid == 0 else self.names.get(entry.uid, f"user number {entry.uid}")

    def settled(self, wishes: Wishes) -> bool:
        """Whether what runs after the installation is this version: nothing that ran before is left alone."""
        return not self.service.active or (wishes.start and not self.findings)

    @property
    def untouched(self) -> bool:
        """Whether the configuration is missing, or still the example."""
        entry = self.entry(self.layout.config)
        if not entry.exists or entry.content == self.shipped.example:
            return True
        return self.record.wrote(self.inside(self.layout.config), entry.content)


Look = Callable[[], Facts]
