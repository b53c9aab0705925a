"""Owners and modes, of real files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from soteirad.doctor.patient import Account, Patient, admit
from soteirad.doctor.rights import allows, check, mode_allows
from soteirad.service.layout import Layout
from soteirad.web.token import ensure_token
from tests.doctor.people import STRANGER, US, one, patient, verdicts


def installed(folder: Path) -> Patient:
    """Return a patient as `install` leaves it, all of it our own."""
    sick = patient(folder)
    (folder / "state").mkdir(mode=0o750)
    ensure_token(folder / "state")
    sick.layout.secrets.mkdir(parents=True, mode=0o700)
    sick.layout.secrets.chmod(0o700)
    sick.layout.drop_ins.mkdir(parents=True)
    sick.layout.unit.write_text("[Service]\n")
    return sick


def secret(sick: Patient, name: str, given: bool = True) -> Path:
    file = sick.layout.secrets / name
    file.write_text("x")
    file.chmod(0o600)
    if given:
        with (sick.layout.drop_ins / "secrets.conf").open("a") as drop_in:
            drop_in.write(f"[Service]\nLoadCredential={name}:/etc/soteira/secrets/{name}\n")
    return file


def test_an_installation_as_it_should_be_is_well(tmp_path: Path) -> None:
    sick = installed(tmp_path)
    secret(sick, "SOTEIRA_A")
    found = list(check(sick))
    assert verdicts(found) == ["ok"] * 3
    assert [finding.what for finding in found] == [str(sick.path), "secrets", str(tmp_path / "state")]


@pytest.mark.parametrize(("mode", "verdict", "told"), [
    (0o644, "warn", "may read it"), (0o666, "fail", "may change it"),
])  # fmt: skip
def test_a_configuration_for_everybody_is_told(mode: int, verdict: str, told: str, tmp_path: Path) -> None:
    sick = installed(tmp_path)
    sick.path.chmod(mode)
    found = one(check(sick), verdict)
    assert told in found.text and f"chmod 640 {sick.path}" in found.remedy


def test_a_service_that_may_not_read_its_configuration_is_a_fault(tmp_path: Path) -> None:
    sick = replace(installed(tmp_path), account=STRANGER)
    found = [finding for finding in check(sick) if finding.verdict == "fail"]
    assert "may not read it" in found[0].text and "chgrp soteira" in found[0].remedy
    assert "may not write there" in found[1].text and "chown -R soteira:" in found[1].remedy


def test_secrets_that_others_may_read_are_faults(tmp_path: Path) -> None:
    sick = installed(tmp_path)
    secret(sick, "SOTEIRA_A").chmod(0o640)
    sick.layout.secrets.chmod(0o750)
    found = [finding for finding in check(sick) if finding.verdict == "fail"]
    assert [finding.remedy.split()[1:3] for finding in found] == [["chmod", "700"], ["chmod", "600"]]


def test_a_secret_that_systemd_does_not_hand_over_is_a_fault_and_so_is_one_that_is_gone(tmp_path: Path) -> None:
    sick = installed(tmp_path)
    secret(sick, "SOTEIRA_NEW", given=False)
    secret(sick, "SOTEIRA_OLD").unlink()
    found = [finding for finding in check(sick) if finding.verdict == "fail"]
    assert "is not given SOTEIRA_NEW" in found[0].text and "soteirad install" in found[0].remedy
    assert "SOTEIRA_OLD" in found[1].text and "does not start" in found[1].text


def test_a_state_folder_that_everybody_sees_is_told(tmp_path: Path) -> None:
    sick = installed(tmp_path)
    (tmp_path / "state").chmod(0o755)
    assert "look into it" in one(check(sick), "warn").text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_of_somebody_else_in_the_state_folder_are_a_fault_and_named(tmp_path: Path) -> None:
    sick = replace(installed(tmp_path), account=Account("soteira", 54321, frozenset({54321})))
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents:
        if folder.stat().st_uid == 0 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o001)
    os.chown(tmp_path / "state", 54321, 54321)
    os.chown(tmp_path / "state" / "web-token", 54321, 54321)
    os.chown(sick.path, 0, 54321)
    sick.path.chmod(0o640)
    assert "fail" not in verdicts(check(sick))
    for name in ("a", "b", "c", "journal.sqlite3"):
        (tmp_path / "state" / name).touch()
    found = one(check(sick), "fail")
    assert "a, b, c and 1 more belong to somebody else" in found.text


def test_a_token_that_others_may_read_is_told(tmp_path: Path) -> None:
    sick = installed(tmp_path)
    (tmp_path / "state" / "web-token").chmod(0o640)
    assert "it opens the page" in one(check(sick), "warn").text


def test_without_an_installation_nothing_is_missed(tmp_path: Path) -> None:
    assert verdicts(check(replace(patient(tmp_path), account=None))) == ["ok"]


def test_folders_above_count_too(tmp_path: Path) -> None:
    file = tmp_path / "closed" / "file"
    file.parent.mkdir(mode=0o700)
    file.write_text("x")
    file.chmod(0o644)
    assert not allows(file, Account("x", 54321, frozenset({54321})), 4)
    assert allows(file, US, 4)


@pytest.mark.parametrize(("uid", "gid", "mode", "may"), [
    (1, 9, 0o400, True), (1, 9, 0o040, False), (9, 2, 0o040, True), (9, 2, 0o404, False), (9, 9, 0o004, True),
    (9, 9, 0o440, False), (0, 0, 0o000, True),
])  # fmt: skip
def test_the_first_of_owner_group_and_others_decides(uid: int, gid: int, mode: int, may: bool) -> None:
    found = os.stat_result((0o100000 | mode, 1, 1, 1, 1, 2, 0, 0, 0, 0))
    assert mode_allows(found, Account("x", uid, frozenset({gid})), 4) is may


def test_a_path_in_a_remedy_can_be_typed_as_it_is(tmp_path: Path) -> None:
    sick = installed(tmp_path / "my house")
    sick.path.chmod(0o644)
    assert f"chmod 640 '{sick.path}'" in one(check(sick), "warn").remedy


def test_a_configuration_of_one_s_own_is_nothing_to_the_service_s_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soteirad.doctor.patient.account_of", lambda _name: STRANGER)
    own = patient(tmp_path).path
    assert admit(own, layout=Layout(tmp_path / "root")).account is None
    (tmp_path / "root/etc").mkdir(parents=True)
    installed_one = own.rename(tmp_path / "root/etc/soteira.yaml")
    assert admit(installed_one, layout=Layout(tmp_path / "root")).account is STRANGER


def test_a_secret_that_is_a_link_to_nowhere_is_told(tmp_path: Path) -> None:
    sick = installed(tmp_path)
    secret(sick, "SOTEIRA_A").unlink()
    (sick.layout.secrets / "SOTEIRA_A").symlink_to("gone")
    assert "No such file" in one(check(sick), "fail").text


def test_a_file_that_the_daemon_takes_away_meanwhile_is_nobody_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sick = installed(tmp_path)
    gone, listed = tmp_path / "state" / "journal.sqlite3-wal", Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: [*listed(folder), *([gone] if folder == gone.parent else [])])
    assert verdicts(check(sick)) == ["ok"] * 2


def test_a_file_in_the_place_of_the_state_folder_is_a_fault(tmp_path: Path) -> None:
    sick = patient(tmp_path)
    (tmp_path / "state").write_text("x")
    assert one(check(sick), "fail").text == "this is no folder"
