"""systemd notifications, read from a real datagram socket as systemd would."""

from __future__ import annotations

import os
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


def started(**environ: str) -> Notifier:
    """A notifier that found what systemd left in the environment, and in `environ`."""
    notifier = Notifier()
    notifier.start(os.environ | environ)
    return notifier


def received(systemd: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(systemd.recv(4096).decode())
        except BlockingIOError:
            return messages


def test_readiness_and_the_end_are_told(systemd: socket.socket) -> None:
    notifier = started()
    notifier.ready()
    notifier.stopping()
    assert received(systemd) == ["READY=1", "STOPPING=1"]


def test_the_status_line_is_sent_only_when_it_changes(systemd: socket.socket) -> None:
    notifier = started()
    for text in ("1 camera", "1 camera", "2 cameras"):
        notifier.status(text)
    assert received(systemd) == ["STATUS=1 camera", "STATUS=2 cameras"]


def test_a_status_is_one_line_that_fits_a_terminal(systemd: socket.socket) -> None:
    started().status("one\nREADY=1 " + "x" * 300)
    (line,) = received(systemd)
    assert line.startswith("STATUS=one READY=1 xxx") and line.endswith("x...") and len(line) == len("STATUS=") + 200


def test_the_watchdog_is_fed_three_times_in_its_interval(systemd: socket.socket) -> None:
    notifier = started(WATCHDOG_USEC="30000000", WATCHDOG_PID=str(os.getpid()))
    for second in range(100, 130):
        notifier.watchdog(float(second))
    assert received(systemd) == ["WATCHDOG=1"] * 3


@pytest.mark.parametrize("environ", [{}, {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}],
                         ids=["none", "of another process"])  # fmt: skip
def test_no_watchdog_is_fed_but_our_own(environ: dict[str, str], systemd: socket.socket) -> None:
    started(**environ).watchdog(100.0)
    assert received(systemd) == []


def test_a_start_that_takes_long_asks_for_more_time_again_and_again_before_it_has_run_out(
    systemd: socket.socket,
) -> None:
    notifier = started()
    for second in range(100, 200):
        notifier.extend(float(second))
    assert received(systemd) == ["EXTEND_TIMEOUT_USEC=120000000"] * 4


def test_other_processes_are_not_told_how_to_speak_for_this_one(systemd: socket.socket) -> None:
    environ = {**os.environ, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid()), "LANG": "C"}
    kept = set(environ) - {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}
    Notifier().start(environ)
    assert set(environ) == kept


def test_a_systemd_that_is_busy_holds_up_nobody_and_hears_the_newest_of_everything_later(
    systemd: socket.socket,
) -> None:
    notifier, sent = started(WATCHDOG_USEC="3000000"), 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as crowd:
        crowd.setblocking(False)
        crowd.connect(systemd.getsockname())
        with pytest.raises(BlockingIOError):
            while True:
                crowd.send(b"X=1")
                sent += 1
        notifier.status("opening the journal")
        notifier.ready()
        notifier.status("1 camera")
        assert received(systemd) == ["X=1"] * sent
    notifier.watchdog(100.0)
    assert received(systemd) == ["READY=1", "STATUS=1 camera", "WATCHDOG=1"]


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = started()
    notifier.ready()
    notifier.status("fine")


def test_a_reload_is_told_with_the_time_that_systemd_wants_and_ends_with_readiness(systemd: socket.socket) -> None:
    notifier = started()
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
        started().ready()
        assert received(receiver) == ["READY=1"]


def test_a_status_with_what_no_text_can_have_is_sent_all_the_same(systemd: socket.socket) -> None:
    started().status("/mnt/\udce4 is full")
    assert received(systemd) == ["STATUS=/mnt/? is full"]


@pytest.mark.parametrize("address", ["", "vsock:2:1", "/there/is/none", "@soteira-there-is-none"])
def test_a_systemd_that_cannot_be_told_is_no_fault(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    started().ready()


def test_a_socket_that_is_gone_is_no_reason_not_to_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notifier = started()
    notifier.ready()
    notifier.watchdog(100.0)
