"""Two ways to run a Home Assistant: an old one from a virtual environment here, a new one through a tool outside."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

from tests.brokers import free_port
from tests.daemon import until
from tests.homeassistant.client import Client, RefusedError
from tests.shared_data import CHECKOUT, shared_folder

START_WITHIN_S = 120.0
STOP_WITHIN_S = 30.0
SETUP_WITHIN_S = 1500.0
"""The tool installs a whole system when it is used for the first time."""
OLD_PYTHON = CHECKOUT / ".venv-homeassistant" / "bin" / "python"


def tool() -> Path:
    """Return where the tool lies that runs a new Home Assistant."""
    return shared_folder() / "tools" / "ha_rig.py"


class Core(Protocol):
    """A Home Assistant that runs, with an owner who is logged in and an MQTT broker."""

    @property
    def client(self) -> Client:
        """What speaks to it; the same after a restart."""

    def start(self, host: str, port: int) -> None:
        """Begin with an empty configuration, and return when it runs with this broker."""

    def stop(self) -> None:
        """End it in good order; does nothing if it does not run."""

    def restart(self) -> None:
        """End it and start it again with what it knows."""

    def log(self) -> str:
        """Return all that it has logged since `start`."""


class OldCore:
    """Home Assistant Core 2024.3 with its configuration in `folder`; skips the test where it is not installed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._client: Client | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def client(self) -> Client:
        assert self._client is not None, "start it first"
        return self._client

    def start(self, host: str, port: int) -> None:
        if not OLD_PYTHON.exists():
            pytest.skip("there is no old Home Assistant here: run ./scripts/test-homeassistant")
        own_port = free_port()
        self._client = Client(f"http://127.0.0.1:{own_port}")
        self._configure(own_port)
        self._run()
        self._wait("it answers", lambda: isinstance(self.client.get("/api/onboarding"), list))
        log_in(self.client)
        self._wait_running()
        add_broker(self.client, host, port)
        self._wait_broker()

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def restart(self) -> None:
        self.stop()
        self._run()
        self._wait_running()
        self._wait_broker()

    def log(self) -> str:
        return (self._folder / "output.log").read_text(encoding="utf-8", errors="replace")

    def _configure(self, port: int) -> None:
        (self._folder / ".storage").mkdir(parents=True)
        document = {
            "homeassistant": {"name": "House", "latitude": 52.0, "longitude": 5.0, "elevation": 0, "time_zone": "UTC",
                              "unit_system": "metric", "country": "NL", "currency": "EUR"},
            "http": {"server_host": "127.0.0.1", "server_port": port},
            # "No matching payload found" is an INFO.
            "logger": {"default": "warning", "logs": {"homeassistant.components.mqtt": "info"}},
            **dict.fromkeys(("api", "websocket_api", "config", "frontend")),
        }  # fmt: skip
        (self._folder / "configuration.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
        # Of what an owner is asked at the first start only their account: the rest sets up services of the internet.
        done = {"version": 4, "minor_version": 1, "key": "onboarding",
                "data": {"done": ["core_config", "analytics", "integration"]}}  # fmt: skip
        (self._folder / ".storage" / "onboarding").write_text(json.dumps(done), encoding="utf-8")

    def _run(self) -> None:
        command = [OLD_PYTHON, "-m", "homeassistant", "-c", self._folder, "--skip-pip", "--log-no-color"]
        with (self._folder / "output.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _wait_running(self) -> None:
        self._wait("it runs", lambda: self.client.get("/api/config")["state"] == "RUNNING")

    def _wait_broker(self) -> None:
        def loaded() -> bool:
            return bool(self.client.command("config_entries/get", domain="mqtt")[0]["state"] == "loaded")

        self._wait("MQTT is loaded", loaded)

    def _wait(self, what: str, holds: Callable[[], bool]) -> None:
        def tried() -> bool:
            if self._process is None or self._process.poll() is not None:
                pytest.fail(f"Home Assistant has ended; its log:\n{self.log()}")
            try:
                return holds()
            except (OSError, RefusedError):
                return False

        if not until(tried, START_WITHIN_S):
            pytest.fail(f"Home Assistant: not within {START_WITHIN_S} s: {what}; its log:\n{self.log()}")


def log_in(client: Client) -> None:
    """Make the owner's account, as the first page does, and a token that does not end."""
    app = f"{client.url}/"
    account = {"name": "Owner", "username": "owner", "password": "a house of one's own", "client_id": app,
               "language": "en"}  # fmt: skip
    code: list[str] = []

    def registered() -> bool:
        try:
            code.append(client.post("/api/onboarding/users", account)["auth_code"])
        except RefusedError:  # it answers before it knows this page
            return False
        return True

    assert until(registered, START_WITHIN_S), "Home Assistant let nobody make an account"
    form = {"grant_type": "authorization_code", "code": code[0], "client_id": app}
    client.token = client.post("/auth/token", form=form)["access_token"]
    client.token = client.command("auth/long_lived_access_token", client_name="tests", lifespan=365)


def add_broker(client: Client, host: str, port: int) -> None:
    """Add the integration MQTT, as the owner does."""
    flows = "/api/config/config_entries/flow"
    answer = client.post(flows, {"handler": "mqtt", "show_advanced_options": False})
    if answer["type"] == "form":
        asked = {one["name"] for one in answer["data_schema"]}
        said: dict[str, Any] = {"broker": host, "port": port}
        answer = client.post(f"{flows}/{answer['flow_id']}", {key: said[key] for key in asked & said.keys()})
    assert answer["type"] == "create_entry", f"Home Assistant did not take the broker: {answer}"


class ToolCore:
    """Home Assistant 2026.11 through the tool; skips the test where the tool is not here."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._client: Client | None = None
        self._folders: list[Path] = []

    @property
    def client(self) -> Client:
        assert self._client is not None, "start it first"
        return self._client

    def start(self, host: str, port: int) -> None:
        if not tool().exists():
            pytest.skip(f"there is no new Home Assistant here: {tool()} is missing")
        said = json.loads(self._tool("up", "--ha", "new", "--broker", f"{host}:{port}"))
        self._client = Client(said["ha_url"], said["token"])
        self._folders = [Path(said["broker_log"]).parent, Path(said["log"]).parent]

    def stop(self) -> None:
        if self._client is not None:
            self._tool("stop")

    def restart(self) -> None:
        self._tool("ha", "restart")

    def log(self) -> str:
        return (self._folders[0] / "hass.out").read_text(encoding="utf-8", errors="replace")

    def clean_up(self) -> None:
        """Remove what this instance has left on the disk."""
        for folder in self._folders:
            if folder.name == self._name:
                shutil.rmtree(folder, ignore_errors=True)

    def _tool(self, *arguments: str) -> str:
        command = [sys.executable, str(tool()), *arguments, "--name", self._name]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SETUP_WITHIN_S, check=False)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout
