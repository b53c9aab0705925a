"""The commands, on real files: an image of a system, which gets a real user, a real unit and real folders."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from soteirad import __version__
from soteirad.install import look, run
from soteirad.install.facts import Facts, Service, Wishes
from soteirad.install.machine import FileAccounts
from soteirad.install.plan import Plan, Run, to_do
from soteirad.install.record import Record, read_record
from soteirad.install.run import Job, carry_out
from soteirad.install.steps import Site
from soteirad.install.unit import MADE
from soteirad.resources import resource
from soteirad.service.layout import Layout
from soteirad.service.programs import Ran
from tests.command import typed
from tests.daemon import ROOT
from tests.disks import small_disk
from tests.install.machines import L, bare

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root installs: run this as root")
MODES = {
    "/etc/soteira.yaml": (0o640, "root", "soteira"),
    "/etc/soteira/secrets": (0o700, "root", "root"),
    "/etc/soteira/install.json": (0o644, "root", "root"),
    "/var/lib/soteira": (0o750, "soteira", "soteira"),
    "/etc/systemd/system/soteirad.service": (0o644, "root", "root"),
}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    (path / "etc").mkdir(parents=True)
    return path


def tree(folder: Path) -> dict[str, tuple[int, int, int, bytes | str | None]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found["/" + str(path.relative_to(folder))] = (status.st_mode, status.st_uid, status.st_gid, content)
    return found


def install(image: Path, *arguments: str) -> str:
    done = typed("install", "--root", image, *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def refused(*arguments: str | Path) -> str:
    done = typed(*arguments)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    return done.stderr


def test_everything_belongs_to_whom_it_should(image: Path) -> None:
    install(image)
    accounts = FileAccounts(image)
    user = accounts.user("soteira")
    assert user is not None and user.shell.endswith("nologin")
    for inside, (mode, owner, group) in MODES.items():
        found = (image / inside.lstrip("/")).lstat()
        gid = accounts.gid(group) if group != "root" else 0
        expected = (mode, 0 if owner == "root" else user.uid, gid)
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == expected, inside
    unit = Layout(image).unit.read_text(encoding="utf-8")
    assert unit.startswith(MADE) and "/usr/bin/env" not in unit
    assert Layout(image).config.read_bytes() == resource("etc/soteira.yaml").read_bytes()


def test_a_second_time_changes_nothing_and_says_so(image: Path) -> None:
    install(image)
    before = tree(image)
    assert "Nothing was to be done." in install(image)
    assert tree(image) == before


def test_a_dry_run_says_all_and_does_nothing_even_without_root(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look.os, "geteuid", lambda: 1000)
    said = install(image, "--dry-run")
    assert str(Layout(image).unit) in said and "Nothing was done" in said and "sudo" in said
    assert list(tree(image)) == ["/etc"]


def test_without_root_one_message_says_so_and_nothing_is_done(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look.os, "geteuid", lambda: 1000)
    for command in ("install", "uninstall"):
        told = refused(command, "--root", image)
        assert told.startswith("soteirad: this needs root: type `sudo` before it") and len(told.splitlines()) == 1
    assert list(tree(image)) == ["/etc"]


def test_configuration_and_events_of_the_owners_survive_an_installation_and_a_removal(image: Path) -> None:
    layout = Layout(image)
    layout.config.write_text("cameras: {porch: {source: a.mp4}}\n", encoding="utf-8")
    install(image)
    (layout.state / "journal.sqlite3").write_bytes(b"events")
    typed("uninstall", "--root", image)
    assert layout.config.read_text(encoding="utf-8") == "cameras: {porch: {source: a.mp4}}\n"
    assert (layout.state / "journal.sqlite3").read_bytes() == b"events" and not layout.unit.exists()


def test_a_purge_leaves_nothing_of_soteira(image: Path) -> None:
    layout = Layout(image)
    for name in ("passwd", "group"):
        (image / "etc" / name).touch()
    install(image)
    layout.secrets.joinpath("SOTEIRA_A").write_text("geheim", encoding="utf-8")
    (layout.state / "snapshots").mkdir()
    install(image)
    assert (layout.drop_ins / "secrets.conf").exists()
    done = typed("uninstall", "--root", image, "--purge", "--yes")
    assert done.returncode == 0 and "your secrets (SOTEIRA_A)" in done.stdout, done.stderr
    left = [path for path in tree(image) if "soteira" in path.lower()]
    assert left == [] and FileAccounts(image).user("soteira") is None and FileAccounts(image).gid("soteira") is None


def test_a_purge_does_not_delete_what_is_mounted_in_the_state_folder(image: Path) -> None:
    install(image)
    folder = Layout(image).state / "a disk"
    with small_disk(folder, 1) as disk:
        (disk.folder / "film.mp4").write_bytes(b"a film")
        assert f"`sudo umount '{folder}'` first" in refused("uninstall", "--root", image, "--purge", "--yes")
        assert (disk.folder / "film.mp4").read_bytes() == b"a film"


def test_a_purge_asks_and_without_a_terminal_does_nothing(image: Path) -> None:
    install(image)
    before = tree(image)
    assert "say --yes" in refused("uninstall", "--root", image, "--purge")
    assert tree(image) == before


def test_where_nothing_was_installed_a_removal_leaves_no_trace(image: Path) -> None:
    for arguments in ((), ("--purge", "--yes")):
        assert typed("uninstall", "--root", image, *arguments).returncode == 0
        assert list(tree(image)) == ["/etc"]


def test_what_is_not_soteiras_is_never_removed(image: Path) -> None:
    layout = Layout(image)
    install(image)
    mine = [layout.drop_ins / "mine.conf", layout.config.with_name("soteira.ca.pem"), layout.secrets.parent / "box.pem"]
    layout.drop_ins.mkdir(exist_ok=True)
    for path in mine:
        path.write_text("mine", encoding="utf-8")
    typed("uninstall", "--root", image, "--purge", "--yes")
    assert all(path.read_text(encoding="utf-8") == "mine" for path in mine)


def test_a_unit_that_the_owner_edited_is_kept_beside_the_new_one(image: Path) -> None:
    unit = Layout(image).unit
    install(image)
    written = unit.read_bytes()
    for name in ("soteirad.service.bak", "soteirad.service.bak2"):
        unit.write_text(f"[Service]\n# {name}\n", encoding="utf-8")
        assert name in install(image)
        assert unit.with_name(name).read_text(encoding="utf-8") == f"[Service]\n# {name}\n"
    assert unit.read_bytes() == written


def test_over_an_older_version_its_unit_is_replaced_and_the_version_noted(image: Path) -> None:
    layout = Layout(image)
    install(image)
    old = Record("0.0.9", made=frozenset({"user"})).with_file("/etc/systemd/system/soteirad.service", b"old unit\n")
    layout.record.write_bytes(old.emit())
    layout.unit.write_bytes(b"old unit\n")
    assert f"version 0.0.9 becomes {__version__}" in install(image)
    assert (
        layout.unit.read_text(encoding="utf-8").startswith(MADE)
        and not layout.unit.with_suffix(".service.bak").exists()
    )
    assert json.loads(layout.record.read_bytes())["version"] == __version__


def test_a_drop_in_comes_and_goes_as_it_is_asked_for(image: Path) -> None:
    name = sorted(look.shipped().drop_ins)[0]
    path = Layout(image).drop_ins / f"{name}.conf"
    install(image, "--with", name)
    assert path.is_file() and "Nothing was to be done." in install(image)
    install(image, "--without", name)
    assert not path.exists()


def test_on_a_full_disk_one_message_says_so_and_afterwards_it_goes_on(tmp_path: Path) -> None:
    with small_disk(tmp_path / "image", 1) as disk:
        disk.folder.chmod(0o755)
        (disk.folder / "etc").mkdir()
        install(disk.folder)
        typed("uninstall", "--root", disk.folder)
        before = set(tree(disk.folder))
        disk.fill(leave=0)
        told = refused("install", "--root", disk.folder)
        assert "the disk is full: make room" in told and len(told.splitlines()) == 1
        # A folder that was empty, and a link, need no room.
        assert set(tree(disk.folder)) <= before | {"/ballast", "/etc/systemd/system", "/usr/local/bin/soteirad"}
        disk.relieve()
        install(disk.folder)
        assert "Nothing was to be done." in install(disk.folder)


def test_on_a_disk_that_may_only_be_read_nothing_is_begun(tmp_path: Path) -> None:
    with small_disk(tmp_path / "image", 1) as disk:
        disk.folder.chmod(0o755)
        (disk.folder / "etc").mkdir()
        disk.lock()
        assert "may only be read: mount it for writing" in refused("install", "--root", disk.folder)


def test_an_image_whose_links_lead_out_of_it_is_refused_and_nothing_outside_is_touched(
    tmp_path: Path, image: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (image / "var").symlink_to(outside)
    assert "leads out of" in refused("install", "--root", image)
    assert list(outside.iterdir()) == [] and list(tree(image)) == ["/etc", "/var"]


def test_an_image_may_be_named_by_where_it_lies_from_here(image: Path) -> None:
    (image / "bin").mkdir()
    assert "systemctl enable" in install(image / "bin" / "..") and "Nothing was to be done." in install(image)


@pytest.mark.parametrize("root", ["/", "//", "/etc/.."])
def test_this_machine_is_no_image_however_its_root_is_written(root: str) -> None:
    assert not run._linux_job(Path(root), Wishes(), None, False).facts.is_image


def test_a_link_that_leads_in_a_circle_is_told(image: Path) -> None:
    circle = image / "etc/systemd"
    circle.symlink_to("systemd")
    assert str(circle) in refused("install", "--root", image)
    assert "holds no system" in refused("install", "--root", circle)


def test_a_folder_that_is_no_system_is_refused(tmp_path: Path) -> None:
    assert "holds no system" in refused("install", "--root", tmp_path)
    assert "macOS" in refused("install", "--root", tmp_path, "--agent")


def test_who_reads_only_the_first_line_does_not_stop_what_was_begun(image: Path) -> None:
    command = f"{sys.executable} -m soteirad install --root {image} | true"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Nothing was to be done." in install(image)


def test_an_interrupted_installation_knows_what_it_has_made(image: Path) -> None:
    layout = Layout(image)

    def interrupted(line: str) -> None:
        if line == f"  done: {layout.config}":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.install(image, Wishes(), False, False, interrupted)
    assert read_record(layout.record.read_bytes()).wrote("/etc/soteira.yaml", layout.config.read_bytes())
    assert "soteirad.service" in install(image)


def test_an_installation_that_is_killed_has_written_down_what_it_made(image: Path) -> None:
    layout = Layout(image)

    def killed(line: str) -> None:
        if line == f"  done: {layout.unit}":
            os._exit(9)

    child = os.fork()
    if not child:
        run.install(image, Wishes(), False, False, killed)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    record = read_record(layout.record.read_bytes())
    assert record.wrote("/etc/systemd/system/soteirad.service", layout.unit.read_bytes()) and "user" in record.made
    install(image)
    typed("uninstall", "--root", image)
    assert not layout.unit.exists() and not layout.unit.with_suffix(".service.bak").exists()


def test_a_record_that_is_lost_is_begun_anew_and_what_is_as_it_was_written_is_known_again(image: Path) -> None:
    layout = Layout(image)
    install(image)
    layout.record.unlink()
    install(image)
    assert read_record(layout.record.read_bytes()).version == __version__
    layout.record.unlink()
    typed("uninstall", "--root", image)
    assert not layout.unit.exists() and not layout.unit.with_suffix(".service.bak").exists()


class Systemctl:
    """A systemd that knows these verbs, and cannot start the service."""

    def find(self, program: str) -> str | None:
        return program

    def run(self, command: tuple[str, ...], text: str = "", timeout: float = 60.0) -> Ran:
        assert command[0] == "systemctl"
        return {"daemon-reload": Ran(0), "enable": Ran(0), "restart": Ran(1, "Job failed.\nSee journalctl.")}[
            command[1]
        ]

    def wait(self, seconds: float) -> None:
        raise AssertionError("nothing here is tried again")


def test_a_service_that_does_not_start_is_told_with_where_to_look_and_the_rest_is_kept(image: Path) -> None:
    layout, said = Layout(image), list[str]()
    steps = (
        to_do("systemd", "reads", Run(("systemctl", "daemon-reload"), makes="something")),
        to_do("start", "now", Run(("systemctl", "restart", "soteirad.service"), remedy="`journalctl` says why")),
    )
    facts: Facts = replace(bare(), layout=layout, service=Service("running", 252))
    job = Job(facts, Plan(steps), Site(image, Systemctl(), FileAccounts(image)), layout.record)  # type: ignore[arg-type]
    with pytest.raises(Exception, match=r"failed \(Job failed. See journalctl.\): `journalctl` says why"):
        carry_out(job, False, said.append, "")
    assert said[-1] == "  done: systemd" and "something" in layout.record.read_text(encoding="utf-8")


def test_the_daemon_never_loads_what_only_installs() -> None:
    code = "import sys, soteirad.cli, soteirad.hub.hub, soteirad.camera; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "soteirad.camera" in done.stdout.split() and "soteirad.install" not in done.stdout


def test_wishes_start_the_service_unless_told_otherwise() -> None:
    assert Wishes().start and L.root == Path("/")
