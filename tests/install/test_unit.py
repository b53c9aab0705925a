"""The text of the unit and its drop-ins, as systemd itself reads it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from soteirad.install.unit import hidden, home_drop_in, quoted, refused, render_unit, secrets_drop_in, with_groups
from soteirad.resources import resource

DROP_INS = Path("/etc/systemd/system/soteirad.service.d")
SHIPPED = resource("systemd/soteirad.service")


@pytest.mark.parametrize(
    "shipped", ["ExecStart=/usr/bin/env soteirad run -c /x", "ExecStart=/usr/local/bin/soteirad run -c /x"]
)
def test_the_command_of_this_machine_takes_the_place_of_the_shipped_one(shipped: str) -> None:
    text = render_unit(f"[Service]\n{shipped}\nExecReload=/bin/kill run\n", ("/opt/s/bin/soteirad",), DROP_INS)
    assert text.splitlines()[-2:] == ["ExecStart=/opt/s/bin/soteirad run -c /x", "ExecReload=/bin/kill run"]


def test_the_shipped_unit_says_where_the_command_stands_and_keeps_all_else() -> None:
    text = render_unit(SHIPPED.read_text(encoding="utf-8"), ("/opt/s/bin/soteirad",), DROP_INS)
    assert "\nExecStart=/opt/s/bin/soteirad run --config /etc/soteira.yaml\n" in text
    changed = set(SHIPPED.read_text(encoding="utf-8").splitlines()) - set(text.splitlines())
    assert len(changed) == 1 and changed.pop().startswith("ExecStart=")


@pytest.mark.parametrize("folder", ["plain", "with space", "per%cent", "dol$lar", "ümlaut", "semi;colon", "#", "at@{}"])
def test_systemd_finds_the_command_wherever_it_lies(tmp_path: Path, folder: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing (install systemd)")
    command = tmp_path / folder / "soteirad"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    unit = tmp_path / "probe.service"
    for path, found in ((command, True), (command.with_name("other"), False)):
        unit.write_text(f"[Service]\nExecStart={quoted(str(path))} run\n", encoding="utf-8")
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
        )
        assert ("is not executable" not in done.stderr) == found, done.stderr


@pytest.mark.parametrize("folder", ['quo"te', "it's", "back\\slash", "new\nline"])
def test_paths_that_systemd_refuses_are_known(folder: str) -> None:
    assert refused(f"/opt/{folder}/soteirad") and not refused("/opt/with space, per%cent/soteirad")


def test_each_secret_is_a_credential_of_its_own() -> None:
    lines = secrets_drop_in(["SOTEIRA_B", "SOTEIRA_A"], DROP_INS, Path("/etc/soteira/secrets")).splitlines()
    assert lines[2:] == ["[Service]", "LoadCredential=SOTEIRA_A:/etc/soteira/secrets/SOTEIRA_A",
                         "LoadCredential=SOTEIRA_B:/etc/soteira/secrets/SOTEIRA_B"]  # fmt: skip


def test_of_what_lies_in_homes_only_the_topmost_folders_are_shown() -> None:
    needed = [
        Path(path) for path in ("/root/.local/uv/python", "/root/.local/uv", "/opt/soteira", "/home/bob/v", "/rooted")
    ]
    assert hidden(needed, [Path("/home"), Path("/root")]) == (Path("/home/bob/v"), Path("/root/.local/uv"))


def test_what_is_shown_of_homes_may_only_be_read_and_the_rest_is_not_there() -> None:
    lines = home_drop_in([Path("/root/b"), Path("/root/a b")], DROP_INS).splitlines()
    assert lines[2:] == ["[Service]", "ProtectHome=tmpfs", 'BindReadOnlyPaths="/root/a b"', "BindReadOnlyPaths=/root/b"]


def test_groups_that_are_not_there_are_not_asked_for() -> None:
    text = "[Service]\nSupplementaryGroups=video render\n"
    assert with_groups(text, {"video"}) == ("[Service]\nSupplementaryGroups=video\n", ("render",))
    assert with_groups(text, {"video", "render"}) == (text, ())
    assert with_groups(text, set()) == ("[Service]\n# SupplementaryGroups=video render\n", ("video", "render"))
