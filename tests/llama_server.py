"""A real llama.cpp server with a tiny random vision model, in a process of its own interpreter."""

from __future__ import annotations

import subprocess
import threading

import pytest

from tests.brokers import free_port
from tests.shared_data import CHECKOUT

MODEL = "tiny-vision"
START_TIMEOUT_S = 60.0


class LlamaServer:
    """Serves the tiny model on loopback; what it answers has the right form and no meaning."""

    def __init__(self) -> None:
        if not (CHECKOUT / ".llm-server" / "model" / ".soteira").exists():
            reason = "no .llm-server: nothing was tried with a real llama.cpp (scripts/test makes it)"
            print(f"SKIPPED: {reason}")
            pytest.skip(reason)
        self._port = free_port()
        self.host = f"127.0.0.1:{self._port}"
        self.url = f"http://{self.host}/v1"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> LlamaServer:
        """Start it and wait until it is ready."""
        command = [str(CHECKOUT / "scripts" / "llm_server"), "--port", str(self._port), "--slots", "2"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        watchdog = threading.Timer(START_TIMEOUT_S, self._process.kill)
        watchdog.start()
        try:
            assert self._process.stdout is not None
            line = self._process.stdout.readline()
        finally:
            watchdog.cancel()
        assert line.startswith("ready: "), f"the server did not start: {line!r}"
        return self

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10.0)
            assert self._process.stdout is not None
            self._process.stdout.close()
