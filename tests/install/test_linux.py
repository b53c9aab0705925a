"""What is to be done on a Linux machine, for each state that one is found in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from soteirad.install.facts import Facts, Program, Service, Wishes
from soteirad.install.linux import install_plan
from soteirad.install.machine import Account
from soteirad.install.places import Entry
from soteirad.install.plan import HandOver, MakeFolder, MakeLink, Plan, Remove, SetAccess, WriteFile
from soteirad.install.record import Record
from soteirad.install.unit import MADE, render_unit
from tests.install.machines import (
    COMMAND,
    OWN,
    SHIPPED,
    SOTEIRA,
    UID,
    USB,
    L,
    a_file,
    a_folder,
    bare,
    commands,
    steps_about,
    the_step,
)

DROP_INS = Path("/etc/systemd/system/soteirad.service.d")
RENDERED = render_unit(SHIPPED.unit, (COMMAND,), DROP_INS).encode()
START = ("systemctl", "restart", "soteirad.service")


def plan(facts: Facts, *drop_ins: str, without: tuple[str, ...] = (), start: bool = True) -> Plan:
    return install_plan(facts, Wishes(drop_ins, without, start))


def installed(**changes: object) -> Facts:
    """The machine after an installation with a configuration of the owner's, and with the service running."""
    entries = {
        L.config: a_file(OWN, 0o640, gid=UID),
        L.secrets: a_folder(0o700),
        L.state: a_folder(0o750, UID, UID, empty=False),
        L.unit: a_file(RENDERED),
        L.drop_ins: a_folder(),
        L.command: Entry("link", target=COMMAND),
    }
    record = (
        Record("1.2.0", made=frozenset({"user"})).with_file(str(L.unit), RENDERED).with_link(str(L.command), COMMAND)
    )
    facts = bare(
        entries=entries, record=record, user=SOTEIRA, group=UID, service=Service("running", 252, True, True, 1000.0)
    )
    return replace(facts, **changes)  # type: ignore[arg-type]


def having(path: Path, entry: Entry, **changes: object) -> Facts:
    facts = installed(**changes)
    return replace(facts, entries={**facts.entries, path: entry})


def written(made: Plan, path: Path) -> WriteFile:
    (action,) = the_step(made, str(path)).actions
    assert isinstance(action, WriteFile)
    return action


def test_a_bare_machine_gets_all_of_it_and_the_example_is_not_started() -> None:
    made = plan(bare())
    assert not made.problems and made.changes
    assert written(made, L.config) == WriteFile(L.config, SHIPPED.example, 0o640, "root", "soteira", fresh=True)
    assert the_step(made, str(L.secrets)).actions == (MakeFolder(L.secrets, 0o700, "root", "root"),)
    assert the_step(made, str(L.state)).actions == (MakeFolder(L.state, 0o750, "soteira", "soteira"),)
    assert the_step(made, str(L.command)).actions == (MakeLink(L.command, COMMAND),)
    assert written(made, L.unit) == WriteFile(L.unit, RENDERED, 0o644)
    assert commands(made) == [("systemd-sysusers", "-"), ("systemctl", "daemon-reload")]
    assert "still the example" in the_step(made, "the service").why and "init" in made.next_steps[0]


def test_a_second_time_nothing_is_to_be_done() -> None:
    made = plan(installed())
    assert not made.changes and not made.problems and not made.notes
    assert {step.mark for step in made.steps} == {"so"}


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        ({"systemd-sysusers", "useradd"}, ["systemd-sysusers"]),
        ({"useradd", "adduser"}, ["groupadd", "useradd"]),
        ({"adduser"}, ["addgroup", "adduser"]),
    ],
)
def test_the_user_is_made_with_what_the_machine_has(tools: set[str], expected: list[str]) -> None:
    found = commands(plan(bare(tools=frozenset(tools), service=Service())))
    assert [command[0] for command in found] == expected and all("soteira" in c or "-" in c for c in found)


def test_without_anything_that_makes_users_nothing_is_begun() -> None:
    assert "make a system user" in plan(bare(tools=frozenset())).problems[0]


def test_a_user_without_its_group_gets_the_group() -> None:
    made = plan(installed(group=None))
    assert commands(made)[0] == ("groupadd", "--system", "soteira")


def test_a_person_of_that_name_is_used_and_told() -> None:
    made = plan(installed(user=Account("soteira", 1001, UID, "/home/soteira", "/bin/bash")))
    assert "may log in" in made.notes[0]


def test_a_configuration_is_never_replaced_only_kept_from_others_eyes() -> None:
    made = plan(having(L.config, a_file(OWN, 0o644)))
    assert the_step(made, str(L.config)).actions == (SetAccess(L.config, 0o640, None, "soteira"),)
    assert "everybody on this machine could read" in made.notes[0]


def test_a_configuration_that_the_service_could_not_read_is_given_to_its_group() -> None:
    made = plan(having(L.config, a_file(OWN, 0o600)))
    assert the_step(made, str(L.config)).actions == (SetAccess(L.config, 0o640, None, "soteira"),)
    assert not made.notes


def test_a_configuration_of_a_person_stays_theirs_and_is_told() -> None:
    made = plan(having(L.config, a_file(OWN, 0o640, uid=1000, gid=UID)))
    assert the_step(made, str(L.config)).mark == "so" and "belongs to bob" in made.notes[0]


def test_a_link_in_place_of_the_configuration_is_left_alone() -> None:
    made = plan(having(L.config, Entry("link", target="/srv/soteira.yaml")))
    assert the_step(made, str(L.config)).mark == "left"


@pytest.mark.parametrize("path", [L.config, L.secrets, L.state])
def test_what_is_neither_file_nor_folder_has_to_be_moved_away_first(path: Path) -> None:
    assert any(str(path) in problem for problem in plan(having(path, Entry("other"))).problems)


def test_an_example_of_an_earlier_version_that_nobody_touched_is_not_started_either() -> None:
    old = b"# an older example\n"
    facts = having(L.config, a_file(old, 0o640, gid=UID), service=Service("running", 252))
    assert START in commands(plan(facts))
    assert START not in commands(plan(replace(facts, record=facts.record.with_file(str(L.config), old))))


def test_secrets_are_handed_over_one_by_one_and_kept_from_others() -> None:
    facts = having(L.secrets / "SOTEIRA_MQTT", a_file(b"geheim", 0o644))
    made = plan(facts)
    assert the_step(made, str(L.secrets)).actions == (SetAccess(L.secrets / "SOTEIRA_MQTT", 0o600, "root", "root"),)
    content = written(made, L.drop_ins / "secrets.conf").content
    assert b"\nLoadCredential=SOTEIRA_MQTT:/etc/soteira/secrets/SOTEIRA_MQTT\n" in content and b"geheim" not in content
    assert commands(made) == [("systemctl", "daemon-reload"), START]


def test_a_file_among_the_secrets_with_another_name_is_not_handed_over() -> None:
    made = plan(having(L.secrets / "SOTEIRA_MQTT~", a_file(b"geheim", 0o600)))
    assert not made.changes and "SOTEIRA_MQTT~ is not handed over" in made.notes[0]


def test_a_systemd_that_hands_no_secrets_over_lets_the_service_read_them_itself() -> None:
    secret = L.secrets / "SOTEIRA_MQTT"
    made = plan(having(secret, a_file(b"geheim", 0o600), service=Service("running", 245, True, True, 1000.0)))
    assert the_step(made, str(L.secrets)).actions == (SetAccess(L.secrets, 0o750, "root", "soteira"),
                                                      SetAccess(secret, 0o640, "root", "soteira"))  # fmt: skip
    assert not steps_about(made, "secrets.conf") and "systemd 245" in made.notes[0]


def test_a_drop_in_of_secrets_that_are_gone_is_taken_away() -> None:
    path = L.drop_ins / "secrets.conf"
    text = MADE.encode() + b" ...\n"
    assert the_step(plan(having(path, a_file(text))), str(path)).actions == (Remove(path),)


def test_a_state_folder_of_roots_or_nobodys_is_handed_over_and_one_of_a_persons_is_not() -> None:
    for uid in (0, 4711):
        actions = the_step(plan(having(L.state, a_folder(0o700, uid, uid, empty=False))), str(L.state)).actions
        assert actions[0] == HandOver(L.state, "soteira", "soteira")
    made = plan(having(L.state, a_folder(0o755, 1000, 1000, empty=False)))
    assert "belongs to bob" in made.problems[0] and "chown" in made.problems[0]


def test_a_state_folder_that_others_may_look_into_is_closed() -> None:
    actions = the_step(plan(having(L.state, a_folder(0o755, UID, UID))), str(L.state)).actions
    assert actions == (SetAccess(L.state, 0o750, "soteira", "soteira"),)


def test_a_state_folder_that_is_a_link_is_left_to_its_owner() -> None:
    for target, says in (("/mnt/ssd", "has to belong to soteira"), ("private/soteira", "systemd moves it")):
        step = the_step(plan(having(L.state, Entry("link", target=target))), str(L.state))
        assert step.mark == "left" and says in step.why


def test_a_unit_of_an_earlier_version_is_replaced_and_one_that_was_edited_is_kept() -> None:
    old = b"[Service]\nExecStart=/old run\n"
    facts = having(L.unit, a_file(old))
    assert written(plan(replace(facts, record=facts.record.with_file(str(L.unit), old))), L.unit).keep is None
    made = plan(facts)
    assert written(made, L.unit).keep == Path(f"{L.unit}.bak") and "soteirad.service.bak" in made.notes[0]
    again = replace(facts, entries={**facts.entries, Path(f"{L.unit}.bak"): a_file(b"")})
    assert written(plan(again), L.unit).keep == Path(f"{L.unit}.bak2")


def test_a_masked_service_is_not_unmasked_behind_the_owners_back() -> None:
    assert "unmask" in plan(having(L.unit, Entry("link", target="/dev/null"))).problems[0]


def test_a_drop_in_that_was_asked_for_is_written_and_later_kept_up_to_date() -> None:
    path = L.drop_ins / "usb.conf"
    assert written(plan(installed(), "usb"), path).content == USB.encode()
    facts = having(path, a_file(b"[Service]\n# as it was\n"))
    old = replace(facts, record=facts.record.with_file(str(path), b"[Service]\n# as it was\n"))
    assert written(plan(old), path).content == USB.encode()
    assert not steps_about(plan(old), "gpu")


def test_a_drop_in_of_the_owners_is_never_touched() -> None:
    for name in ("usb", "secrets"):
        path = L.drop_ins / f"{name}.conf"
        facts = having(path, a_file(b"[Service]\n# mine\n"))
        facts = replace(facts, entries={**facts.entries, L.secrets / "SOTEIRA_A": a_file(b"", 0o600)})
        assert the_step(plan(facts, "usb"), str(path)).mark == "left"


def test_a_drop_in_that_the_owner_deleted_does_not_come_back() -> None:
    facts = installed()
    facts = replace(facts, record=facts.record.with_file(str(L.drop_ins / "usb.conf"), USB.encode()))
    assert not plan(facts).changes


def test_a_drop_in_asks_for_no_group_that_is_not_there() -> None:
    made = plan(installed(groups=frozenset({"video"})), "usb")
    assert b"SupplementaryGroups=video\n" in written(made, L.drop_ins / "usb.conf").content
    assert "no group render" in made.notes[0]


def test_a_drop_in_is_taken_away_when_that_is_asked_for() -> None:
    path = L.drop_ins / "usb.conf"
    facts = having(path, a_file(USB.encode()))
    ours = replace(facts, record=facts.record.with_file(str(path), USB.encode()))
    assert the_step(plan(ours, without=("usb",)), str(path)).actions == (Remove(path),)
    assert the_step(plan(facts, without=("usb",)), str(path)).mark == "left"


def test_a_library_that_the_service_may_not_use_is_told_until_it_may() -> None:
    with_gpu = installed(program=Program("1.2.0", (COMMAND,), (Path("/opt/soteira"),), extras=("gpu",)))
    assert any("install --with gpu" in note for note in plan(with_gpu).notes)
    path = L.drop_ins / "gpu.conf"
    there = replace(with_gpu, entries={**with_gpu.entries, path: a_file(b"[Service]\n")})
    for made in (plan(with_gpu, "gpu"), plan(with_gpu, without=("gpu",)), plan(there)):
        assert not any("--with gpu" in note for note in made.notes)


def test_an_unknown_drop_in_is_told_with_those_that_there_are() -> None:
    assert plan(installed(), "npu").problems == ("there is no drop-in npu: there are gpu, usb",)


def test_a_link_of_somebody_elses_is_left_and_an_older_one_of_ours_is_replaced() -> None:
    other = Entry("link", target="/opt/older/bin/soteirad")
    facts = having(L.command, other)
    assert the_step(plan(facts), str(L.command)).mark == "left"
    ours = replace(facts, record=facts.record.with_link(str(L.command), "/opt/older/bin/soteirad"))
    assert the_step(plan(ours), str(L.command)).actions == (MakeLink(L.command, COMMAND),)


def test_a_command_that_sudo_finds_anyway_needs_no_link() -> None:
    facts = bare(program=Program("1.2.0", ("/usr/bin/soteirad",)))
    assert the_step(plan(facts), str(L.command)).mark == "so"


def test_a_program_in_a_home_is_shown_to_the_service_and_nothing_else_there() -> None:
    home = Program("1.2.0", ("/root/.local/s/bin/soteirad",), (Path("/root/.local/s"), Path("/usr")))
    made = plan(installed(program=home))
    again = plan(
        having(L.drop_ins / "home.conf", a_file(written(made, L.drop_ins / "home.conf").content), program=home)
    )
    assert the_step(again, "home.conf").mark == "so" and not any("/opt/soteira" in note for note in again.notes)
    content = written(made, L.drop_ins / "home.conf").content
    assert b"ProtectHome=tmpfs\nBindReadOnlyPaths=/root/.local/s\n" in content and b"/usr" not in content
    assert any("/opt/soteira is better" in note for note in made.notes)
    guarded = plan(installed(program=home, guarded=True))
    assert any("SELinux" in note for note in guarded.notes)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"is_root": False}, "sudo"),
        ({"read_only": (Path("/etc"),)}, "only be read"),
        ({"distrusted": ("everybody may write in /etc",)}, "everybody may write"),
        ({"program": Program("1.2.0", (COMMAND,), unreadable=(Path("/opt/soteira"),))}, "cannot get at /opt/soteira"),
        ({"program": Program("1.2.0", ("/opt/it's/soteirad",))}, "systemd takes no path"),
    ],
)
def test_what_forbids_an_installation_is_told_before_anything_is_done(changes: dict[str, object], says: str) -> None:
    assert any(says in problem for problem in plan(installed(**changes)).problems)


def test_without_systemd_the_rest_is_done_and_what_is_left_out_is_said() -> None:
    made = plan(bare(service=Service(), tools=frozenset({"useradd"})))
    assert not made.problems and the_step(made, "the service").mark == "left"
    assert the_step(made, str(L.secrets)).actions == (MakeFolder(L.secrets, 0o750, "root", "soteira"),)
    assert not steps_about(made, "systemd/system") and f"{COMMAND} run --config" in made.next_steps[0]


def test_in_a_container_the_unit_is_enabled_and_nothing_is_started() -> None:
    made = plan(installed(service=Service("installed", 252)))
    assert commands(made) == [("systemctl", "enable", "soteirad.service")]


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (installed(record=Record("1.1.0")), "version 1.1.0"),
        (installed(service=Service("running", 252, True, True, 1000.0, stale=True)), "files changed"),
        (
            having(L.drop_ins / "secrets.conf", a_file(MADE.encode() + b" ...\n")),
            "files changed",
        ),
    ],
)
def test_a_running_service_is_restarted_when_there_is_something_new(facts: Facts, why: str) -> None:
    assert why in the_step(plan(facts), "the service's restart").why


def test_a_secret_that_is_newer_than_the_service_restarts_it() -> None:
    path = L.secrets / "SOTEIRA_A"
    first = plan(having(path, a_file(b"", 0o600)))
    drop_in = written(first, L.drop_ins / "secrets.conf")
    for changed, restarted in ((2000.0, True), (500.0, False)):
        facts = having(path, a_file(b"", 0o600, changed=changed))
        facts = replace(facts, entries={**facts.entries, drop_in.path: a_file(drop_in.content)})
        assert bool(steps_about(plan(facts), "restart")) is restarted


def test_a_service_of_which_no_record_says_what_runs_is_restarted_once() -> None:
    assert "not known" in the_step(plan(installed(record=Record())), "the service's restart").why


def test_mistakes_in_the_configuration_leave_the_running_service_alone() -> None:
    facts = installed(record=Record("1.1.0"), findings=("/etc/soteira.yaml:1:1: wrong",))
    made = plan(facts)
    assert START not in commands(made) and "left alone" in the_step(made, "the service's start").why
    assert "/etc/soteira.yaml:1:1: wrong" in made.notes and "still what it was" in (made.unfinished or "")


def test_a_service_that_does_not_run_is_started() -> None:
    made = plan(installed(service=Service("running", 252)))
    assert commands(made) == [("systemctl", "enable", "soteirad.service"), START]


def test_what_still_runs_an_older_version_is_known_to_do_so() -> None:
    old = installed(record=Record("1.1.0"))
    assert plan(old).settled and not plan(old, start=False).settled
    assert not plan(replace(old, findings=("wrong",))).settled
    assert plan(replace(old, service=Service("running", 252)), start=False).settled


def test_on_wish_nothing_is_enabled_or_started() -> None:
    assert commands(plan(installed(service=Service("running", 252)), start=False)) == []


def test_an_older_version_over_a_newer_one_is_told() -> None:
    made = plan(installed(record=replace(installed().record, version="1.3.0")))
    assert "1.3.0 was installed" in made.notes[0]
    assert plan(installed(record=replace(installed().record, version="1.1.0"))).notes == (
        "version 1.1.0 becomes 1.2.0",
    )
