"""What an installation wrote down of itself."""

from __future__ import annotations

import pytest

from soteirad.install.record import Record, older, read_record

WRITTEN = Record("1.2.0", made=frozenset({"user"})).with_file("/etc/a", b"a").with_link("/usr/local/bin/x", "/opt/x")


def test_what_was_written_down_is_read_again() -> None:
    assert read_record(WRITTEN.emit()) == WRITTEN


def test_a_file_is_known_again_until_somebody_changes_it() -> None:
    assert WRITTEN.wrote("/etc/a", b"a")
    assert not WRITTEN.wrote("/etc/a", b"b") and not WRITTEN.wrote("/etc/b", b"a") and not WRITTEN.wrote("/etc/a", None)


def test_what_was_removed_is_forgotten() -> None:
    assert WRITTEN.without("/etc/a").without("/usr/local/bin/x") == Record("1.2.0", made=frozenset({"user"}))


NONSENSE = (None, b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"version": 1, "files": [], "links": 2}', b"[" * 100_000)


@pytest.mark.parametrize("content", NONSENSE)
def test_a_damaged_record_says_that_nothing_is_known(content: bytes | None) -> None:
    assert read_record(content) == Record()


@pytest.mark.parametrize(
    ("version", "than", "is_older"),
    [("0.1.0", "0.2.0", True), ("0.10.0", "0.9.0", False), ("1.0.0", "1.0.0", False), ("1.0", "1.0.1", True)],
)
def test_versions_are_compared_by_their_numbers(version: str, than: str, is_older: bool) -> None:
    assert older(version, than) is is_older
