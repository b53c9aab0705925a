"""Hosts and origins."""

from __future__ import annotations

import socket

import pytest

from soteirad.web.hosts import is_known, is_same, known_names

NAMES = frozenset({"localhost", "box", "box.local", "soteira.home.arpa"})


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:8765", "127.0.0.1", "127.0.0.1:8765", "10.0.0.7:80", "[::1]:8765", "[fd00::7]",
             "box", "BOX.local:1", "soteira.home.arpa", "soteira.home.arpa."],
)  # fmt: skip
def test_addresses_and_names_of_ones_own_are_known(host: str) -> None:
    assert is_known(host, NAMES)


@pytest.mark.parametrize(
    "host", ["", "evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "box:port", "box:", "user@box",
             "box/..", "box, evil", "[::1", "[evil]", "127.0.0.1:8765:1", "0x7f.1", "1", "2130706433",
             "b\x00x", "bo x", "\uff42ox"],
)  # fmt: skip
def test_other_names_and_what_is_no_host_are_not(host: str) -> None:
    assert not is_known(host, NAMES)


def test_this_machines_names_and_configured_ones_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Box.Home.lan")
    assert known_names(["Cam.Example."]) == {"localhost", "box.home.lan", "box", "box.local", "cam.example"}


@pytest.mark.parametrize(
    ("origin", "host"),
    [("http://127.0.0.1:8765", "127.0.0.1:8765"), ("http://box", "box"), ("http://box", "box:80"),
     ("http://BOX:80", "box"), ("https://box", "box:443"), ("https://soteira.home.arpa", "soteira.home.arpa"),
     ("http://[::1]:8765", "[::1]:8765")],
)  # fmt: skip
def test_the_pages_own_origin_is_the_same(origin: str, host: str) -> None:
    assert is_same(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [("null", "box"), ("", "box"), ("http://evil", "box"), ("http://box:81", "box"), ("http://box:8765", "box:8766"),
     ("file://box", "box"), ("http://box:99999", "box"), ("http://box.evil.example", "box"), ("box", "box"),
     ("http://[::1", "[::1]"), ("http://evil@box2", "box"), ("http://localhost:8765", "127.0.0.1:8765")],
)  # fmt: skip
def test_any_other_is_not(origin: str, host: str) -> None:
    assert not is_same(origin, host)
