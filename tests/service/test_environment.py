"""The daemon's environment: what other processes do not get."""

from __future__ import annotations

from soteirad.service.environment import take_secrets


def test_taking_the_secrets_leaves_none_to_child_processes_and_returns_all() -> None:
    before = {"SOTEIRA_A": "geheim", "SOTEIRA_2_B": "", "CREDENTIALS_DIRECTORY": "/run/c", "PATH": "/bin",
              "soteira_a": "kept", "MY_SOTEIRA_A": "kept"}  # fmt: skip
    environ = dict(before)
    assert take_secrets(environ) == before
    assert environ == {"PATH": "/bin", "soteira_a": "kept", "MY_SOTEIRA_A": "kept"}
    assert take_secrets(environ) == environ
