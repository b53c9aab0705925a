"""The fork server, asked in processes of their own: what cameras have from it when they start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from soteirad.hub.fleet import LIBRARIES
from tests.daemon import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="cameras are forked on Linux only")

ASK = """
import gc, json, os, sys
from soteirad.hub.supervisor import process_context

def answer(pipe):
    pipe.send([gc.get_freeze_count(), [name for name in sys.argv[1:] if name in sys.modules],
               len(os.listdir("/proc/self/task"))])

if __name__ == "__main__":
    context = process_context(sys.argv[1:])
    ours, theirs = context.Pipe()
    process = context.Process(target=answer, args=(theirs,))
    process.start()
    print(json.dumps(ours.recv()))
    process.join()
"""


@pytest.mark.parametrize("backend", LIBRARIES)
def test_a_camera_finds_its_engines_library_imported_and_frozen_and_no_thread(backend: str, tmp_path: Path) -> None:
    library = LIBRARIES[backend]  # type: ignore[index]
    if find_spec({"onnx": "onnxruntime", "litert": "ai_edge_litert"}.get(backend, backend)) is None:
        pytest.skip(f"{backend} is not installed: nothing was learned about it")
    (tmp_path / "ask.py").write_text(ASK, encoding="utf-8")
    asked = subprocess.run([sys.executable, tmp_path / "ask.py", library], cwd=ROOT, capture_output=True, text=True,
                           env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
                           timeout=60, check=True)  # fmt: skip
    frozen, imported, threads = json.loads(asked.stdout)
    assert (imported, threads) == ([library], 1) and frozen > 10_000


def test_a_library_that_is_not_installed_keeps_no_camera_from_starting(tmp_path: Path) -> None:
    (tmp_path / "ask.py").write_text(ASK, encoding="utf-8")
    asked = subprocess.run([sys.executable, tmp_path / "ask.py", "there_is_no_such_library"], cwd=ROOT, timeout=60,
                           env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
                           check=True)  # fmt: skip
    assert json.loads(asked.stdout)[1] == []
