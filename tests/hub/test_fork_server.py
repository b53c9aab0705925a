"""The fork server, asked in processes of their own: what cameras have from it when they start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from soteirad.hub.fleet import LIBRARIES
from tests.daemon import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="cameras are forked on Linux only")

ASK = """
import gc, json, os, pathlib, signal, sys
from soteirad.hub.fork_server import ForkServer

def answer(pipe):
    pipe.send([gc.get_freeze_count(), [name for name in sys.argv[2:] if name in sys.modules],
               len(os.listdir("/proc/self/task"))])

def ask(context):
    ours, theirs = context.Pipe()
    process = context.Process(target=answer, args=(theirs,))
    process.start()
    try:
        return ours.recv()
    finally:
        process.join()

if __name__ == "__main__":
    server = ForkServer()
    if sys.argv[1] != "late":
        server.start()
    if sys.argv[1] == "killed":
        children = pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)
        os.waitid(os.P_PID, int(children[-1]), os.WEXITED | os.WNOWAIT)
    answers = ask(server.context(sys.argv[2:]))
    print(json.dumps([*answers, sys.stdin.read() if sys.stdin else ""]))
"""


NONE = "there_is_no_such_library"
NUMBERS = "soteirad.detect.backends.onnx"


def asked(folder: Path, when: str, library: str, **options: Any) -> Any:
    (folder / "ask.py").write_text(ASK, encoding="utf-8")
    result = subprocess.run([sys.executable, folder / "ask.py", when, library], cwd=ROOT, timeout=60, check=True,
                            stdout=subprocess.PIPE, text=True, **options,
                            env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"})  # fmt: skip
    return json.loads(result.stdout)


@pytest.mark.parametrize("when", ["early", "late"])
@pytest.mark.parametrize("backend", LIBRARIES)
def test_a_camera_finds_its_engines_library_imported_and_frozen_and_no_thread(
    backend: str, when: str, tmp_path: Path
) -> None:
    library = LIBRARIES[backend]  # type: ignore[index]
    if find_spec({"onnx": "onnxruntime", "litert": "ai_edge_litert"}.get(backend, backend)) is None:
        pytest.skip(f"{backend} is not installed: nothing was learned about it")
    frozen, imported, threads, *_ = asked(tmp_path, when, library, stdin=subprocess.DEVNULL)
    assert (imported, threads) == ([library], 1) and frozen > 10_000


@pytest.mark.parametrize("when", ["early", "late"])
def test_a_library_that_is_not_installed_keeps_no_camera_from_starting(when: str, tmp_path: Path) -> None:
    assert asked(tmp_path, when, NONE, stdin=subprocess.DEVNULL)[1] == []


def test_a_fork_server_that_was_killed_before_it_was_told_is_replaced(tmp_path: Path) -> None:
    frozen, imported, *_ = asked(tmp_path, "killed", NUMBERS, stdin=subprocess.DEVNULL)
    assert imported == [NUMBERS] and frozen > 10_000


def test_an_early_start_leaves_the_standard_input_to_the_hub(tmp_path: Path) -> None:
    assert asked(tmp_path, "early", NUMBERS, input="for the hub")[-1] == "for the hub"


def test_without_a_standard_input_the_fork_server_starts_late(tmp_path: Path) -> None:
    frozen, imported, *_ = asked(tmp_path, "early", NUMBERS, preexec_fn=lambda: os.close(0))
    assert imported == [NUMBERS] and frozen > 10_000
