"""A real MLServer in a process of its own interpreter, since its dependencies are not Soteira's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import onnxruntime as ort
import pytest

from tests.brokers import free_port
from tests.shared_data import CHECKOUT

START_TIMEOUT_S = 90.0
_KINDS = {"tensor(uint8)": "UINT8", "tensor(float)": "FP32", "tensor(float16)": "FP16", "tensor(int64)": "INT64"}

_RUNTIME = '''
import onnxruntime as ort
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class OnnxModel(MLModel):
    async def load(self):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        uri = self.settings.parameters.uri
        self._session = ort.InferenceSession(uri, options, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload):
        feeds = {i.name: NumpyCodec.decode_input(i) for i in payload.inputs}
        names = [o.name for o in self._session.get_outputs()]
        results = self._session.run(names, feeds)
        outputs = [NumpyCodec.encode_output(n, r) for n, r in zip(names, results)]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)
'''


def mlserver_python() -> str:
    """Return the interpreter that has MLServer; skip the test that asks if there is none."""
    python = os.environ.get("SOTEIRA_MLSERVER_PYTHON") or str(CHECKOUT / ".venv-mlserver" / "bin" / "python")
    if not Path(python).exists():
        reason = f"{python} is missing: nothing was tested against a real MLServer (scripts/test makes it)"
        print(f"SKIPPED: {reason}")
        pytest.skip(reason)
    return python


class MlServer:
    """Serves one ONNX file as the model `name` on loopback ports that survive a restart."""

    def __init__(self, folder: Path, model: Path, name: str) -> None:
        self._python = mlserver_python()
        self._folder = folder
        self._name = name
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)
        settings = {"host": "127.0.0.1", "http_port": free_port(), "grpc_port": self._port, "parallel_workers": 0,
                    "metrics_endpoint": None, "debug": False}  # fmt: skip
        session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        described = {
            kind: [{"name": t.name, "datatype": _KINDS[t.type], "shape": t.shape} for t in tensors]
            for kind, tensors in (("inputs", session.get_inputs()), ("outputs", session.get_outputs()))
        }
        own = {"name": name, "implementation": "served_onnx.OnnxModel", "parameters": {"uri": str(model)}, **described}
        (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
        (folder / "model-settings.json").write_text(json.dumps(own), encoding="utf-8")
        (folder / "served_onnx.py").write_text(_RUNTIME, encoding="utf-8")

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it and return when it serves the model."""
        with (self._folder / "mlserver.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._python, "-c", "from mlserver.cli import main; main()", "start", "."],
                cwd=self._folder, env={**os.environ, "PYTHONPATH": str(self._folder)},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        """End it in good order (SIGTERM); does nothing if it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it like a power cut (SIGKILL)."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it from running while its connections stay open (SIGSTOP)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it run again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def log(self) -> str:
        """Return the server's own log."""
        return (self._folder / "mlserver.log").read_text(encoding="utf-8", errors="replace")

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(15.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        from tritonclient.grpc import InferenceServerClient
        from tritonclient.utils import InferenceServerException

        deadline, pause = time.monotonic() + START_TIMEOUT_S, threading.Event()
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"MLServer ended with {process.returncode}: {self.log()}")
            try:
                with InferenceServerClient(self.url) as client:
                    if client.is_server_ready(client_timeout=5.0) and client.is_model_ready(
                        self._name, client_timeout=5.0
                    ):
                        return
            except InferenceServerException:
                pass
            pause.wait(0.1)
        raise RuntimeError(f"MLServer did not get ready: {self.log()}")
