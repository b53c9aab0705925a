"""A Mac, which could not be had: its directory and launchd are strict stand-ins, its files are real."""

from __future__ import annotations

import os
import plistlib
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from soteirad.errors import InstallError
from soteirad.install.facts import Facts, Wishes
from soteirad.install.look import mac_facts, shipped
from soteirad.install.macos import agent_example, agent_plan, agent_plist, daemon_plist
from soteirad.install.program import Interpreter
from soteirad.install.run import Job, carry_out, mac_job
from soteirad.install.steps import Site
from soteirad.service.layout import LABEL, AgentLayout, Layout
from soteirad.service.programs import Ran
from tests.command import typed
from tests.install.machines import OWN, Mac

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root installs: run this as root")
TARGET = f"system/{LABEL}"
HOME = AgentLayout(Path("/Users/bob"))
STRINGS = {"Label", "UserName", "GroupName", "WorkingDirectory", "StandardOutPath", "StandardErrorPath",
           "LimitLoadToSessionType"}  # fmt: skip
NUMBERS = {"ThrottleInterval", "ExitTimeOut", "Umask"}


def checked(document: dict[str, Any]) -> dict[str, Any]:
    """A file of launchd's, each key known and of the kind that launchd.plist(5) wants."""
    for key, value in document.items():
        if key in STRINGS:
            assert isinstance(value, str) and value, key
        elif key in NUMBERS:
            assert type(value) is int and value >= 0, key
        elif key == "RunAtLoad":
            assert value is True
        elif key == "KeepAlive":
            assert value == {"SuccessfulExit": False}
        elif key == "SoftResourceLimits":
            assert set(value) == {"NumberOfFiles"} and type(value["NumberOfFiles"]) is int
        elif key == "EnvironmentVariables":
            assert all(isinstance(text, str) for pair in value.items() for text in pair)
        else:
            assert key == "ProgramArguments", f"launchd does not know {key}"
            assert all(isinstance(word, str) for word in value) and Path(value[0]).is_absolute()
    return document


@pytest.fixture
def mac(tmp_path: Path) -> Mac:
    for folder in ("etc", "Library/LaunchDaemons", "usr/local", "var/lib"):
        (tmp_path / folder).mkdir(parents=True)
    tmp_path.chmod(0o755)
    return Mac(tmp_path)


def python(root: Path) -> Interpreter:
    """One that anybody could run: this machine's own place does not matter here."""
    return Interpreter(Path("/usr"), Path("/usr"), Path("/usr/bin/python3"), Path("/usr/lib"), Path("/usr/bin"), root)


def job(mac: Mac, root: Path, purge: bool | None = None, **wishes: Any) -> Job:
    return mac_job(Site(root, mac, mac), python(root), Wishes(**wishes), purge, None)


def do(mac: Mac, root: Path, purge: bool | None = None, **wishes: Any) -> str:
    said: list[str] = []
    carry_out(job(mac, root, purge, **wishes), False, said.append, "", gone=bool(purge))
    return "\n".join(said)


def running(mac: Mac, root: Path) -> Layout:
    layout = Layout(root)
    layout.config.write_bytes(OWN)
    do(mac, root)
    mac.ran.clear()
    return layout


def test_the_user_gets_a_number_that_is_free_and_may_not_log_in(mac: Mac, tmp_path: Path) -> None:
    do(mac, tmp_path)
    user = mac.records["/Users/_soteira"]
    assert user["UniqueID"] == user["PrimaryGroupID"] == mac.records["/Groups/_soteira"]["PrimaryGroupID"] == "398"
    assert (user["UserShell"], user["IsHidden"], user["Password"]) == ("/usr/bin/false", "1", "*")


def test_the_example_is_not_started_not_even_with_the_machine(mac: Mac, tmp_path: Path) -> None:
    assert "soteirad init" in do(mac, tmp_path)
    assert mac.loaded == {} and mac.disabled == {TARGET}


def test_a_configuration_of_the_owners_is_started(mac: Mac, tmp_path: Path) -> None:
    running(mac, tmp_path)
    document = checked(mac.loaded[TARGET])
    assert document["UserName"] == document["GroupName"] == "_soteira"
    assert document["ProgramArguments"][-3:] == ["run", "--config", "/etc/soteira.yaml"]


def test_what_was_switched_off_is_switched_on_when_the_configuration_is_there(mac: Mac, tmp_path: Path) -> None:
    do(mac, tmp_path)
    running(mac, tmp_path)
    assert set(mac.loaded) == {TARGET} and not mac.disabled


def test_everything_belongs_to_whom_it_should(mac: Mac, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.secrets.mkdir(parents=True)
    (layout.secrets / "SOTEIRA_A").write_text("geheim", encoding="utf-8")
    do(mac, tmp_path)
    secret = layout.secrets / "SOTEIRA_A"
    own = (0o750, 398, 398)
    modes = {layout.state: own, layout.cache: own, layout.log_folder: own}
    modes |= {layout.config: (0o640, 0, 398), layout.secrets: (0o750, 0, 398), secret: (0o640, 0, 398)}
    modes |= {layout.daemon_plist: (0o644, 0, 0)}
    for path, expected in modes.items():
        found = path.lstat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == expected, path


def test_a_second_time_changes_nothing(mac: Mac, tmp_path: Path) -> None:
    running(mac, tmp_path)
    assert "Nothing was to be done." in do(mac, tmp_path) and mac.ran == []


def test_a_changed_file_restarts_the_service_once_the_one_before_has_ended(mac: Mac, tmp_path: Path) -> None:
    layout = running(mac, tmp_path)
    old = layout.daemon_plist.read_bytes()
    layout.daemon_plist.write_bytes(old.replace(b"<integer>30</integer>", b"<integer>10</integer>"))
    assert ".bak" in do(mac, tmp_path)
    assert layout.daemon_plist.read_bytes() == old and mac.loaded[TARGET]["ThrottleInterval"] == 30
    assert mac.waited == 2.0 and [command[1] for command in mac.ran][:2] == ["bootout", "enable"]


def test_another_version_restarts_the_service(mac: Mac, tmp_path: Path) -> None:
    layout = running(mac, tmp_path)
    layout.record.write_bytes(replace(job(mac, tmp_path).facts.record, version="0.0.1").emit())
    do(mac, tmp_path)
    assert mac.ran == [("launchctl", "kickstart", "-k", TARGET)]


def test_mistakes_in_the_configuration_start_nothing(mac: Mac, tmp_path: Path) -> None:
    mac.check = Ran(1, "/etc/soteira.yaml:1:1: wrong")
    Layout(tmp_path).config.write_bytes(OWN)
    with pytest.raises(InstallError, match="not started: there are mistakes"):
        do(mac, tmp_path)
    assert mac.loaded == {} and mac.check_of == f"CREDENTIALS_DIRECTORY={tmp_path}/etc/soteira/secrets"


def test_drop_ins_are_for_linux_and_images_too(mac: Mac, tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="--with and --without are for Linux"):
        do(mac, tmp_path, drop_ins=("usb",))


def test_a_removal_stops_the_service_and_leaves_what_is_the_owners(mac: Mac, tmp_path: Path) -> None:
    layout = running(mac, tmp_path)
    do(mac, tmp_path, purge=False)
    assert mac.loaded == {} and not layout.daemon_plist.exists() and layout.config.read_bytes() == OWN
    assert "/Users/_soteira" in mac.records


def test_a_purge_leaves_nothing(mac: Mac, tmp_path: Path) -> None:
    running(mac, tmp_path)
    do(mac, tmp_path, purge=True)
    assert not [path for path in tmp_path.rglob("*") if "soteira" in path.name.lower()]
    assert not {"/Users/_soteira", "/Groups/_soteira"} & set(mac.records)


def test_a_file_that_was_not_written_here_stays(mac: Mac, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.daemon_plist.write_bytes(plistlib.dumps({"Label": LABEL}))
    do(mac, tmp_path, purge=True)
    assert layout.daemon_plist.exists()


def test_the_shipped_files_hold_only_what_launchd_knows() -> None:
    ships = shipped()
    daemon = checked(plistlib.loads(daemon_plist(ships.daemon_plist, ("/opt/s/bin/soteirad",))))
    agent = checked(plistlib.loads(agent_plist(ships.agent_plist, ("/opt/s/bin/soteirad",), HOME)))
    assert daemon["Label"] == agent["Label"] == LABEL and daemon["Umask"] == 0o077
    assert daemon["ProgramArguments"] == ["/opt/s/bin/soteirad", "run", "--config", "/etc/soteira.yaml"]
    assert agent["ProgramArguments"] == ["/opt/s/bin/soteirad", "run", "--config", str(HOME.config)]
    assert "~" not in str(agent) and "UserName" not in agent
    assert daemon["WorkingDirectory"] == str(Layout().state)
    assert daemon["EnvironmentVariables"] == {"CACHE_DIRECTORY": str(Layout().cache)}
    assert Path(daemon["StandardErrorPath"]).parent == Layout().log_folder


def agent_facts(mac: Mac, root: Path) -> Facts:
    return mac_facts(Layout(root), Site(root, mac, mac), python(root), AgentLayout(root / "Users/bob"))


def test_an_agent_is_all_in_the_persons_own_home(mac: Mac, tmp_path: Path) -> None:
    home = AgentLayout(tmp_path / "Users/bob")
    plan = agent_plan(agent_facts(mac, tmp_path), Wishes(), 501)
    assert not plan.problems
    touched = {action.path for step in plan.steps for action in step.actions if hasattr(action, "path")}
    assert all(path.is_relative_to(home.home) for path in touched) and home.plist in touched


def test_an_agent_is_not_roots(mac: Mac, tmp_path: Path) -> None:
    assert "without sudo" in agent_plan(agent_facts(mac, tmp_path), Wishes(), 0).problems[0]


def test_the_example_of_an_agent_is_right_and_writes_into_the_persons_home(tmp_path: Path) -> None:
    path = tmp_path / "soteira.yaml"
    home = AgentLayout(tmp_path / 'it"s\\bob')
    path.write_bytes(agent_example(shipped().example, home))
    done = typed("check", "-c", path)
    assert done.returncode == 0, done.stderr
