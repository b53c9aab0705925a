"""Libraries that compute do only that: none calls home, and none leaves anything in the home folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.daemon import ROOT

LIBRARIES = {"onnx": "onnxruntime", "openvino": "openvino", "litert": "ai_edge_litert"}
RUN = """
import json, sys, time
called = []
def heard(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname") or (
            event == "socket.connect" and isinstance(arguments[1], tuple)):
        called.append([event, str(arguments[-1 if event == "socket.connect" else 0])])
sys.addaudithook(heard)
from soteirad.detect.card import load_card
from soteirad.detect.detector import Detector
from soteirad.detect.engine import Engine
for backend in sys.argv[1:]:
    detector = Detector.create(load_card("nanodet-g-416"), ["person"], 0.4, engine=Engine(backend, "fp32", 1))
    detector.load()
    detector.close()
time.sleep(0.5)
print(json.dumps([called, [name for name in sys.modules if "telemetry" in name and sys.modules[name] is not None]]))
"""


def test_a_backend_calls_nobody_and_leaves_nothing(tmp_path: Path) -> None:
    installed = [backend for backend, library in LIBRARIES.items() if find_spec(library) is not None]
    if "openvino" not in installed:
        pytest.skip("openvino is not installed: nothing was learned about the one that would call")
    # Libraries keep quiet where they think that they are tested.
    plain = {name: value for name, value in os.environ.items()
             if name != "CI" and not name.startswith(("GITHUB_", "GITLAB_", "JENKINS", "TF_BUILD"))}  # fmt: skip
    run = subprocess.run([sys.executable, "-c", RUN, *installed], cwd=ROOT, capture_output=True, text=True, timeout=120,
                         env=plain | {"HOME": str(tmp_path)}, check=False)  # fmt: skip
    assert run.returncode == 0, run.stderr
    called, telemetry = json.loads(run.stdout.splitlines()[-1])
    assert called == []
    harmless = ("telemetry_stub", "telemetry_utils", "telemetry_params")
    assert [name for name in telemetry if not name.endswith(harmless)] == []
    assert list(tmp_path.rglob("*")) == []
