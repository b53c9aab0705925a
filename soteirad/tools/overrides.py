"""`config diff`: the lines that keep in the file what was set over MQTT or on the page."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from soteirad.config import load_config
from soteirad.config.overrides import as_yaml, usable
from soteirad.hub.journal import Journal, is_there


def overrides_as_yaml(path: Path) -> str:
    """Return what to put into the configuration file at `path`; empty if nothing differs from it.

    Raises ConfigError and StorageError.
    """
    config = load_config(path)
    file = config.storage.journal
    if not is_there(file):
        return ""
    with closing(Journal(file)) as journal:
        journal.open()
        return as_yaml(usable(config, journal.overrides()))
