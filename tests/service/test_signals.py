"""Signals, sent to a real process."""

from __future__ import annotations

import signal
import subprocess
import sys

PROGRAM = """
import select, sys
from soteirad.service.signals import Signals
signals = Signals()
signals.install()
print("ready", flush=True)
while True:
    select.select([signals.fileno()], [], [])
    signals.drain()
    word = "stop" if signals.stop else "reload" if signals.reload else "woken"
    signals.reload = False
    print(word, flush=True)
"""


def start() -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def test_the_first_signal_sets_the_flag_and_wakes_the_loop_and_the_second_ends_the_process() -> None:
    process = start()
    assert process.stdout is not None
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "stop\n"
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 128 + signal.SIGINT
    process.stdout.close()


def test_the_loop_is_woken_from_other_threads_without_blocking_them() -> None:
    program = """
import select, threading
from soteirad.service.signals import Signals
signals = Signals()
signals.install()
def flood():
    for _ in range(200_000):
        signals.wake()
thread = threading.Thread(target=flood)
thread.start()
thread.join()
readable, _, _ = select.select([signals.fileno()], [], [], 5)
signals.drain()
empty, _, _ = select.select([signals.fileno()], [], [], 0)
print(bool(readable), bool(empty), signals.stop)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "True False False\n"


def test_a_hang_up_asks_each_time_for_the_configuration_to_be_read_again_and_ends_nothing() -> None:
    process = start()
    assert process.stdout is not None
    for _ in range(3):
        process.send_signal(signal.SIGHUP)
        assert process.stdout.readline() == "reload\n"
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "stop\n"
    process.send_signal(signal.SIGHUP)
    assert process.stdout.readline() == "stop\n", "a reload after the end was asked for does not hasten it"
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 128 + signal.SIGTERM
    process.stdout.close()
