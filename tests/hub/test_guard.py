"""A failing disk is told once for each reason."""

from __future__ import annotations

import pytest

from soteirad.errors import StorageError
from soteirad.hub.guard import Guard


class Disk:
    """Fails for a reason, while it has one."""

    def __init__(self) -> None:
        self.problem = ""

    def write(self) -> None:
        if self.problem:
            raise StorageError(self.problem)


def test_a_reason_is_told_once_until_it_worked_again(caplog: pytest.LogCaptureFixture) -> None:
    guard, disk = Guard(), Disk()
    assert guard(disk.write)
    for problem in ("full", "full", "gone", "gone", "", "full"):
        disk.problem = problem
        assert guard(disk.write) is not bool(problem)
    assert [record.getMessage() for record in caplog.records] == ["full", "gone", "full"]


def test_another_guards_success_does_not_make_a_failure_news(caplog: pytest.LogCaptureFixture) -> None:
    writing, reading, disk = Guard(), Guard(), Disk()
    disk.problem = "full"
    for _ in range(5):
        assert not writing(disk.write)
        assert reading(lambda: None)
    assert len(caplog.records) == 1


def test_a_fault_of_our_own_is_not_taken_for_the_disks() -> None:
    with pytest.raises(ZeroDivisionError):
        Guard()(lambda: 1 // 0)


def test_the_same_failure_of_one_disk_is_told_by_one_guard(caplog: pytest.LogCaptureFixture) -> None:
    def full() -> None:
        raise StorageError("the disk is full")

    family: list[Guard] = []
    first, second = Guard(family), Guard(family)
    for guard in (first, second, first, second):
        assert not guard(full) and guard.problem == "the disk is full"
    assert len(caplog.records) == 1
    assert first(lambda: None) and second(lambda: None)
    assert not second(full) and len(caplog.records) == 2
