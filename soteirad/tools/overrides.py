"""`config diff`: the lines that keep in the file what was set over MQTT or on the page."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from soteirad.config import Config, load_config
from soteirad.config.overrides import Value, as_yaml, usable
from soteirad.hub.journal import Journal, is_there


def overrides_as_yaml(path: Path) -> str:
    """Return what to put into the configuration file at `path`; empty if nothing differs from it.

    Raises ConfigError and StorageError.
    """
    return as_yaml(overrides_of(load_config(path)))


def overrides_of(config: Config) -> dict[tuple[str, str], Value]:
    """Return what was set over MQTT or on the page, as (camera, setting) -> value. Raises StorageError."""
    file = config.storage.journal
    if not is_there(file):
        return {}
    with closing(Journal(file)) as journal:
        journal.open(make=False)
        return usable(config, journal.overrides())
