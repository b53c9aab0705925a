"""A real mosquitto and a real subscriber for tests, which are skipped loudly if it is not installed."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

START_TIMEOUT_S = 20.0
_PLUGIN_ROOTS = ("/usr/lib", "/usr/local/lib", "/opt/homebrew/lib")
_SBIN = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"


def mosquitto_program() -> str:
    """Return the path of mosquitto; skip the test that asks if it is not installed."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path=_SBIN)
    if found is None:
        reason = "mosquitto is not installed: nothing was tested against a real broker (apt install mosquitto)"
        print(f"SKIPPED: {reason}")
        pytest.skip(reason)
    return found


def free_port() -> int:
    """Return a loopback TCP port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def mosquitto_plugin(name: str) -> Path:
    """Return the path of a plugin that comes with mosquitto; skip the test that asks if it is not there."""
    found = [path for root in _PLUGIN_ROOTS for path in Path(root).glob(f"**/{name}")]
    if not found:
        reason = f"mosquitto's plugin {name} is not installed: nothing was tested against it"
        print(f"SKIPPED: {reason}")
        pytest.skip(reason)
    return found[0]


@dataclass(frozen=True)
class BrokerTls:
    """What a broker speaks TLS with; with `ask` it wants a certificate that `ca` signed."""

    ca: Path
    certificate: Path
    key: Path
    ask: bool = False


class Mosquitto:
    """One broker on a loopback port of its own, with persistence in `folder`; the port survives a restart.

    With `users` (name -> password) nobody else may connect. `extra` are further lines of its configuration.
    """

    def __init__(
        self,
        folder: Path,
        users: dict[str, str] | None = None,
        extra: Sequence[str] = (),
        tls: BrokerTls | None = None,
    ) -> None:
        self._extra = list(extra)
        self._tls = tls
        self.host = "127.0.0.1"
        self.port = 0
        self._folder = folder
        self._users = users or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen = False

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and return when it accepts connections."""
        program = mosquitto_program()
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self.port:
            self.port = free_port()
            self._configure()
        self._process = subprocess.Popen(
            [program, "-c", str(self._folder / "mosquitto.conf")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait_until_it_listens(self._process)

    def stop(self) -> None:
        """End it in good order (SIGTERM), persistence written; does nothing if it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it like a power cut (SIGKILL)."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it from running while its connections stay open (SIGSTOP)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        """Let a frozen broker run again."""
        if self._process is not None and self._frozen:
            self._process.send_signal(signal.SIGCONT)
        self._frozen = False

    def log(self) -> str:
        """Return the broker's own log."""
        path = self._folder / "mosquitto.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        self.thaw()
        try:
            self._process.wait(START_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _configure(self) -> None:
        lines = [
            f"listener {self.port} {self.host}",
            f"allow_anonymous {'false' if self._users else 'true'}",
            "persistence true",
            f"persistence_location {self._folder}/",
            "autosave_on_changes true",  # so that SIGKILL loses nothing that was acknowledged
            "autosave_interval 1",
            "max_queued_messages 0",
            "max_inflight_messages 0",  # passed on before it is acknowledged, so that SIGKILL finds no queue
            f"log_dest file {self._folder}/mosquitto.log",
            "log_type all",
        ]
        if self._tls is not None:
            lines[1:1] = [f"cafile {self._tls.ca}", f"certfile {self._tls.certificate}", f"keyfile {self._tls.key}",
                          f"require_certificate {'true' if self._tls.ask else 'false'}"]  # fmt: skip
        lines += self._extra
        if os.geteuid() == 0:  # else it becomes the user mosquitto, who may not write here
            lines.append(f"user {pwd.getpwuid(0).pw_name}")
        if self._users:
            tool = shutil.which("mosquitto_passwd") or "mosquitto_passwd"
            for name, password in self._users.items():
                path = self._folder / "passwords"
                path.touch(mode=0o600)
                subprocess.run([tool, "-b", str(path), name, password], check=True, capture_output=True)
            lines.append(f"password_file {self._folder}/passwords")
        (self._folder / "mosquitto.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _wait_until_it_listens(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        pause = threading.Event()
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"mosquitto ended with {process.returncode}: {self.log()}")
            try:
                socket.create_connection((self.host, self.port), timeout=1.0).close()
            except OSError:
                pause.wait(0.02)
            else:
                return
        raise RuntimeError(f"mosquitto did not listen on port {self.port}: {self.log()}")


@dataclass(frozen=True)
class Received:
    """One message as it arrived; `time` is monotonic."""

    topic: str
    payload: bytes
    retain: bool
    time: float


class Subscriber:
    """A subscriber that misses nothing: durable session, QoS 1, reconnects by itself."""

    def __init__(
        self,
        broker: Mosquitto,
        topic: str = "#",
        client_id: str = "test-subscriber",
        user: str | None = None,
        password: str | None = None,
    ) -> None:
        self._broker = broker
        self._topic = topic
        self._changed = threading.Condition()
        self._received: list[Received] = []
        self._subscriptions = 0
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        if user is not None:
            self._client.username_pw_set(user, password)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def start(self) -> None:
        """Connect, and return when the broker has confirmed the subscription."""
        self._client.connect_async(self._broker.host, self._broker.port, keepalive=60)
        self._client.loop_start()
        self.wait_subscribed(1)

    def stop(self) -> None:
        """Disconnect; the session stays with the broker."""
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes | str, retain: bool = False) -> None:
        """Publish something, and return when the broker has it."""
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(START_TIMEOUT_S)

    def wait_subscribed(self, times: int) -> None:
        """Wait until the broker has confirmed the subscription this often: once for each (re)connection.

        After `Mosquitto.kill` wait for it before anything is published: the killed broker may have had no
        time to write the session down.
        """
        with self._changed:
            good = self._changed.wait_for(lambda: self._subscriptions >= times, START_TIMEOUT_S)
        assert good, f"subscribed {self._subscriptions} times, not {times}"

    def messages(self) -> list[Received]:
        """Return all that arrived so far, in order of arrival."""
        with self._changed:
            return list(self._received)

    def wait_for(self, predicate: Callable[[list[Received]], bool], timeout: float = 30.0) -> list[Received]:
        """Wait until `predicate` holds for what arrived and return that; fail after `timeout`."""
        with self._changed:
            good = self._changed.wait_for(lambda: predicate(self._received), timeout)
            seen = list(self._received)
        if not good:
            tail = "\n".join(f"  {m.topic} {m.payload[:100]!r} retain={m.retain}" for m in seen[-20:])
            pytest.fail(f"not seen within {timeout} s; {len(seen)} messages arrived, the last:\n{tail}")
        return seen

    def _on_connect(self, client: paho.Client, _userdata: object, _flags: object, code: object, _p: object) -> None:
        if not getattr(code, "is_failure", True):
            client.subscribe(self._topic, qos=1)

    def _on_subscribe(self, *_: object) -> None:
        with self._changed:
            self._subscriptions += 1
            self._changed.notify_all()

    def _on_message(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        received = Received(message.topic, bytes(message.payload), message.retain, time.monotonic())
        with self._changed:
            self._received.append(received)
            self._changed.notify_all()


def retained_at(broker: Mosquitto) -> dict[str, bytes]:
    """Return what a subscriber finds that comes now; another message says that nothing more follows."""
    late, end = (Subscriber(broker, topic, f"late-{topic}-{time.monotonic_ns()}") for topic in ("#", "end"))
    late.start()
    end.start()
    end.publish("end", b"")
    found = late.wait_for(lambda seen: any(m.topic == "end" for m in seen))
    for subscriber in (late, end):
        subscriber.stop()
    return {m.topic: m.payload for m in found if m.retain}
