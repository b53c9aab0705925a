"""systemd notifications, read from a real datagram socket as systemd would."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from soteirad.service.notify import Notifier


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield receiver


def received(systemd: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(systemd.recv(4096).decode())
        except BlockingIOError:
            return messages


def test_readiness_and_the_end_are_told(systemd: socket.socket) -> None:
    notifier = Notifier()
    notifier.ready()
    notifier.stopping()
    assert received(systemd) == ["READY=1", "STOPPING=1"]


def test_the_status_line_is_sent_only_when_it_changes(systemd: socket.socket) -> None:
    notifier = Notifier()
    for text in ("1 camera", "1 camera", "2 cameras"):
        notifier.status(text)
    assert received(systemd) == ["STATUS=1 camera", "STATUS=2 cameras"]


def test_the_watchdog_is_fed_three_times_in_its_interval(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    notifier = Notifier()
    for second in range(100, 130):
        notifier.watchdog(float(second))
    assert received(systemd) == ["WATCHDOG=1"] * 3


def test_without_a_watchdog_nothing_is_fed(systemd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    Notifier().watchdog(100.0)
    assert received(systemd) == []


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier()
    notifier.ready()
    notifier.status("fine")


def test_a_reload_is_told_with_the_time_that_systemd_wants_and_ends_with_readiness(systemd: socket.socket) -> None:
    notifier = Notifier()
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    after = time.monotonic_ns() // 1000
    notifier.ready()
    reloading, ready = received(systemd)
    state, _, stamp = reloading.partition("\nMONOTONIC_USEC=")
    assert (state, ready) == ("RELOADING=1", "READY=1")
    assert before <= int(stamp) <= after


@pytest.mark.skipif(not Path("/proc").exists(), reason="addresses outside the file system are Linux's")
def test_an_address_outside_the_file_system_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("")  # Linux chooses one
        receiver.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + receiver.getsockname()[1:].decode())
        Notifier().ready()
        assert received(receiver) == ["READY=1"]


@pytest.mark.parametrize("address", ["", "vsock:2:1", "/there/is/none", "@soteira-there-is-none"])
def test_a_systemd_that_cannot_be_told_is_no_fault(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    Notifier().ready()
