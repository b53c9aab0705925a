"""Shipped files."""

from __future__ import annotations

import pytest

from soteirad.resources import resource

SHIPPED = (
    "models/nanodet-g-416.yaml",
    "etc/soteira.yaml",
    "systemd/soteirad.service",
    "systemd/sysusers.d/soteira.conf",
    "launchd/io.github.soteira.soteirad.daemon.plist",
)


@pytest.mark.parametrize("name", SHIPPED)
def test_files_that_ship_are_found_in_a_checkout(name: str) -> None:
    assert resource(name).is_file()
