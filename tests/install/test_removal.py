"""What is taken away, and what is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from soteirad.install.facts import Facts, Service
from soteirad.install.machine import Account
from soteirad.install.places import Entry
from soteirad.install.plan import Move, Plan, Remove
from soteirad.install.record import Record
from soteirad.install.removal import removal_plan
from soteirad.install.unit import MADE
from tests.install.machines import (
    COMMAND,
    OWN,
    SOTEIRA,
    UID,
    L,
    a_file,
    a_folder,
    bare,
    commands,
    steps_about,
    the_step,
)

UNIT = MADE.encode() + b" ...\n"
USB = L.drop_ins / "usb.conf"
MINE = L.drop_ins / "mine.conf"


def installed(**changes: object) -> Facts:
    entries = {
        L.config: a_file(OWN, 0o640, gid=UID),
        L.record.parent: a_folder(empty=False),
        L.secrets: a_folder(0o700),
        L.state: a_folder(0o750, UID, UID, empty=False),
        L.unit: a_file(UNIT),
        L.drop_ins: a_folder(empty=False),
        USB: a_file(b"usb"),
        L.command: Entry("link", target=COMMAND),
    }
    record = Record("1.2.0", made=frozenset({"user"})).with_file(str(L.unit), UNIT).with_file(str(USB), b"usb")
    facts = bare(
        entries=entries,
        record=record.with_link(str(L.command), COMMAND),
        user=SOTEIRA,
        group=UID,
        service=Service("running", 252, True, True, 1000.0),
    )
    return replace(facts, **changes)  # type: ignore[arg-type]


def having(path: Path, entry: Entry) -> Facts:
    facts = installed()
    return replace(facts, entries={**facts.entries, path: entry})


def removed(plan: Plan) -> set[Path]:
    return {action.path for step in plan.steps for action in step.actions if isinstance(action, Remove)}


def test_the_service_goes_and_what_is_the_owners_stays() -> None:
    plan = removal_plan(installed(), purge=False)
    assert removed(plan) == {L.unit, USB, L.drop_ins, L.command}
    assert [command[1] for command in commands(plan)] == ["stop", "disable", "daemon-reload", "reset-failed"]
    assert {step.what for step in plan.steps if step.mark == "left"} == {str(L.config), str(L.secrets), str(L.state)}
    assert f"`sudo {COMMAND} forget`" in plan.next_steps[0]  # the link that sudo found is gone


def test_a_purge_takes_configuration_secrets_state_and_user_too() -> None:
    plan = removal_plan(installed(), purge=True)
    assert {L.config, L.secrets, L.state, L.record} <= removed(plan)
    assert commands(plan)[-2:] == [("userdel", "soteira"), ("groupdel", "soteira")]


def test_a_drop_in_of_the_owners_stays_with_its_folder() -> None:
    plan = removal_plan(having(MINE, a_file(b"mine")), purge=True)
    assert the_step(plan, str(MINE)).mark == "left" and L.drop_ins not in removed(plan)


def test_a_drop_in_that_was_edited_stays() -> None:
    assert the_step(removal_plan(having(USB, a_file(b"edited")), purge=False), str(USB)).mark == "left"


def test_a_unit_that_was_edited_is_kept_under_another_name() -> None:
    plan = removal_plan(having(L.unit, a_file(b"edited")), purge=False)
    assert the_step(plan, str(L.unit)).actions == (Move(L.unit, Path(f"{L.unit}.bak")),)


def test_a_unit_that_was_not_written_here_is_neither_stopped_nor_removed() -> None:
    plan = removal_plan(replace(having(L.unit, a_file(b"by hand")), record=Record()), purge=True)
    assert the_step(plan, str(L.unit)).mark == "left" and not any("stop" in c or "disable" in c for c in commands(plan))


def test_a_link_that_leads_elsewhere_now_stays() -> None:
    plan = removal_plan(having(L.command, Entry("link", target="/opt/other")), purge=True)
    assert the_step(plan, str(L.command)).mark == "left"


def test_a_user_that_was_there_before_stays() -> None:
    bob = Account("soteira", 1000, UID, "/home/soteira", "/bin/bash")
    plan = removal_plan(installed(user=bob, record=Record("1.2.0")), purge=True)
    assert the_step(plan, "the system user").mark == "left" and not any("userdel" in c for c in commands(plan))


def test_a_state_folder_of_somebody_else_is_not_deleted() -> None:
    plan = removal_plan(having(L.state, a_folder(0o755, 1000, 1000, empty=False)), purge=True)
    assert the_step(plan, str(L.state)).mark == "left"


def test_what_is_mounted_where_a_purge_deletes_forbids_it() -> None:
    disk = L.state / "recordings"
    assert f"`sudo umount {disk}` first" in removal_plan(installed(mounted=(disk,)), purge=True).problems[0]
    assert removal_plan(installed(mounted=(disk,)), purge=False).problems == ()


def test_a_purge_below_a_service_that_still_runs_by_a_unit_of_the_owners_is_refused() -> None:
    by_hand = replace(having(L.unit, a_file(b"by hand")), record=Record())
    assert "systemctl stop" in removal_plan(by_hand, purge=True).problems[0]
    stopped = replace(by_hand, service=Service("running", 252, True, False))
    assert removal_plan(stopped, purge=True).problems == removal_plan(by_hand, purge=False).problems == ()


def test_of_a_state_folder_elsewhere_only_the_link_is_deleted_and_that_is_said() -> None:
    plan = removal_plan(having(L.state, Entry("link", target="/mnt/ssd")), purge=True)
    assert L.state in removed(plan) and any("/mnt/ssd, is not deleted" in note for note in plan.notes)


def test_nothing_installed_is_nothing_to_be_done() -> None:
    assert not removal_plan(bare(), purge=False).changes
    assert not removal_plan(bare(), purge=True).changes


def test_without_root_nothing_is_begun() -> None:
    assert "sudo" in removal_plan(installed(is_root=False), purge=False).problems[0]


def test_what_was_left_by_an_uninstall_is_purged_later_with_its_user() -> None:
    facts = installed(service=Service("running", 252))
    kept = {
        path: entry for path, entry in facts.entries.items() if path in {L.config, L.secrets, L.state, L.record.parent}
    }
    plan = removal_plan(replace(facts, entries=kept, record=Record("1.2.0", made=frozenset({"user"}))), purge=True)
    assert {L.config, L.secrets, L.state, L.record} <= removed(plan) and steps_about(plan, "the system user")
