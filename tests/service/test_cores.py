"""No picture of the memory is left, neither as a file nor with a program that the system keeps for them."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.daemon import ROOT

CRASH = """
import os, resource, sys
from soteirad.service.cores import forbid_core_dumps
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
hard = hard if sys.argv[1] == "all" else 0
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
forbid_core_dumps()
print(resource.getrlimit(resource.RLIMIT_CORE)[0], flush=True)
if os.fork() == 0:
    os.abort()
sys.exit(os.WCOREDUMP(os.wait()[1]))
"""


@pytest.mark.parametrize(("allowed", "limit"), [("all", 1 if sys.platform == "linux" else 0), ("none", 0)])
def test_a_crash_leaves_no_core_and_asks_no_program_to_take_it(tmp_path: Path, allowed: str, limit: int) -> None:
    if allowed == "all" and resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        pytest.skip("this system allows no core dumps to anybody")
    run = subprocess.run([sys.executable, "-c", CRASH, allowed], cwd=tmp_path, capture_output=True, timeout=60,
                         env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, check=False)  # fmt: skip
    assert (run.returncode, run.stdout) == (0, f"{limit}\n"), run.stderr
    assert list(tmp_path.iterdir()) == []
