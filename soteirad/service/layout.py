"""Where an installed Soteira lies on this machine, and under which names: what installs and checks agree here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

USER = "soteira"
"""The system user and group of the service on Linux. The configuration is `root:soteira` 0640, the state its own."""
MAC_USER = "_soteira"
"""The same on macOS, where names of system users begin with an underscore."""
UNIT = "soteirad.service"
LABEL = "io.github.soteira.soteirad"
"""launchd's name of the service."""
SECRET_PREFIX = "SOTEIRA_"  # noqa: S105 - how names begin


def service_user(system: str) -> str:
    """Return the service's user (and group) on a system, as platform.system() calls it."""
    return MAC_USER if system == "Darwin" else USER


@dataclass(frozen=True)
class Layout:
    """All places of an installation; `root` is `/` but for an image that is being made, and for tests."""

    root: Path = Path("/")

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.root / "etc/soteira.yaml"

    @property
    def secrets(self) -> Path:
        """A folder of root's, 0700: each file is a secret, named as it is written in the configuration (SOTEIRA_X)."""
        return self.root / "etc/soteira/secrets"

    @property
    def record(self) -> Path:
        """What `soteirad install` made, so that a later one knows it again and `uninstall` takes away nothing else."""
        return self.root / "etc/soteira/install.json"

    @property
    def state(self) -> Path:
        """The journal, pictures and logs: `storage.path` without another one."""
        return self.root / "var/lib/soteira"

    @property
    def cache(self) -> Path:
        """What may be computed again."""
        return self.root / "var/cache/soteira"

    @property
    def unit(self) -> Path:
        """The systemd unit, where the machine's owner puts theirs."""
        return self.root / "etc/systemd/system" / UNIT

    @property
    def drop_ins(self) -> Path:
        """The folder of what is added to the unit."""
        return self.root / "etc/systemd/system" / f"{UNIT}.d"

    @property
    def command(self) -> Path:
        """A link to the command, for sudo and for scripts."""
        return self.root / "usr/local/bin/soteirad"

    @property
    def daemon_plist(self) -> Path:
        """macOS: the service of the machine, for cameras in the network."""
        return self.root / "Library/LaunchDaemons" / f"{LABEL}.plist"

    @property
    def log_folder(self) -> Path:
        """macOS: what the service says."""
        return self.root / "Library/Logs/Soteira"


@dataclass(frozen=True)
class AgentLayout:
    """macOS: where an installation lies that belongs to one person and runs while they are logged in."""

    home: Path

    @property
    def folder(self) -> Path:
        """The folder that holds all the rest."""
        return self.home / "Library/Application Support/Soteira"

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.folder / "soteira.yaml"

    @property
    def record(self) -> Path:
        """What `soteirad install --agent` made."""
        return self.folder / "install.json"

    @property
    def state(self) -> Path:
        """The journal, pictures and logs."""
        return self.folder / "state"

    @property
    def plist(self) -> Path:
        """The service of this person, which may ask them for the camera."""
        return self.home / "Library/LaunchAgents" / f"{LABEL}.plist"

    @property
    def log_folder(self) -> Path:
        """What the service says."""
        return self.home / "Library/Logs/Soteira"
