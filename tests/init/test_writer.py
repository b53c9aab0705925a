"""What is written is there whole, with the right rights, and never over what an owner wrote."""

from __future__ import annotations

import errno
import grp
import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from soteirad.errors import SoteiraError
from soteirad.init import writer
from soteirad.init.writer import Target, check_target, write
from soteirad.resources import resource
from soteirad.service.layout import Layout

TEXT = "cameras: {a: {source: x}}\n"
SECRETS = {"SOTEIRA_A": "one", "SOTEIRA_B": "two"}


@pytest.fixture
def target(tmp_path: Path) -> Target:
    (tmp_path / "etc").mkdir()
    layout = Layout(tmp_path)
    return Target(layout.config, layout)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_secrets_are_root_s_alone_and_the_file_is_nobody_else_s_until_there_is_the_group(target: Target) -> None:
    old = os.umask(0)
    try:
        assert write(target, TEXT, SECRETS, force=False) is None
    finally:
        os.umask(old)
    folder = target.layout.secrets
    assert {path.name: path.read_text() for path in folder.iterdir()} == SECRETS
    assert [mode(folder), mode(folder / "SOTEIRA_A"), mode(target.path)] == [0o700, 0o600, 0o600]
    assert target.path.read_text() == TEXT
    assert [path.name for path in target.path.parent.iterdir() if path.name.endswith(".tmp")] == []


def test_the_service_s_group_may_read_its_configuration(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grp, "getgrnam", lambda _name: SimpleNamespace(gr_gid=os.getegid()))
    write(target, TEXT, {}, force=False)
    assert mode(target.path) == 0o640 and not target.layout.secrets.exists()


def test_another_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    target = Target(tmp_path / "my.yaml", Layout())
    write(target, TEXT, {}, force=False)
    assert mode(target.path) == 0o600 and not target.installed


def test_what_an_owner_wrote_is_left_alone_and_kept_when_it_is_to_be_replaced(target: Target) -> None:
    target.path.write_text("mine\n")
    target.path.chmod(0o640)
    with pytest.raises(SoteiraError, match="stays as it is"):
        write(target, TEXT, SECRETS, force=False)
    assert everything(target.layout.root) == {"etc/soteira.yaml": b"mine\n"}
    first = write(target, TEXT, {}, force=True)
    second = write(target, TEXT, {}, force=True)
    assert first is not None and second is not None
    assert [first.name, second.name] == ["soteira.yaml.bak", "soteira.yaml.bak2"]
    assert (first.read_text(), mode(first), second.read_text()) == ("mine\n", 0o640, TEXT)


@pytest.mark.parametrize("content", [b"", b"\n", resource("etc/soteira.yaml").read_bytes()])
def test_an_empty_file_and_the_example_are_nobody_s(target: Target, content: bytes) -> None:
    target.path.write_bytes(content)
    assert write(target, TEXT, {}, force=False) is None
    assert target.path.read_text() == TEXT and len(list(target.path.parent.iterdir())) == 1


@pytest.mark.parametrize("fails", [1, 2, 3, 4])
def test_a_full_disk_leaves_all_as_it_was(target: Target, monkeypatch: pytest.MonkeyPatch, fails: int) -> None:
    target.path.write_text("mine\n")
    target.layout.secrets.mkdir(parents=True)
    (target.layout.secrets / "SOTEIRA_B").write_text("before")
    before, count, put = everything(target.layout.root), 0, writer.put

    def full(*arguments: Any) -> None:
        nonlocal count
        count += 1
        if count == fails:
            raise OSError(errno.ENOSPC, "No space left on device")
        put(*arguments)

    monkeypatch.setattr(writer, "put", full)
    with pytest.raises(SoteiraError, match=r"No space left on device.*nothing was changed"):
        write(target, TEXT, SECRETS, force=True)
    assert everything(target.layout.root) == before


def test_a_link_in_the_place_of_the_secrets_is_not_followed(target: Target, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target.layout.secrets.parent.mkdir()
    target.layout.secrets.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SoteiraError, match="no folder of root's"):
        write(target, TEXT, SECRETS, force=False)
    assert not any((tmp_path / "elsewhere").iterdir()) and not target.path.exists()


def test_a_link_in_the_place_of_a_secret_is_replaced_and_not_followed(target: Target, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("not mine")
    target.layout.secrets.mkdir(parents=True, mode=0o755)
    (target.layout.secrets / "SOTEIRA_A").symlink_to(other)
    write(target, TEXT, SECRETS, force=False)
    assert other.read_text() == "not mine" and (target.layout.secrets / "SOTEIRA_A").read_text() == "one"
    assert mode(target.layout.secrets) == 0o700


def test_a_configuration_that_is_a_link_stays_one(target: Target, tmp_path: Path) -> None:
    real = tmp_path / "real.yaml"
    real.write_bytes(b"")
    target.path.symlink_to(real)
    write(target, TEXT, {}, force=False)
    assert target.path.is_symlink() and real.read_text() == TEXT


def test_a_place_that_cannot_be_written_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(SoteiraError, match="this is a folder"):
        check_target(Target(tmp_path, Layout()), force=False)
    with pytest.raises(SoteiraError, match="there is no folder"):
        check_target(Target(tmp_path / "a/b.yaml", Layout()), force=False)
    (tmp_path / "x").symlink_to("x")
    with pytest.raises(SoteiraError, match="correct the link"):
        check_target(Target(tmp_path / "x", Layout()), force=False)
