"""Who goes when memory runs out: asked of Linux itself, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LOOK = "from soteirad.service.memory import go_first; go_first(); print(open('/proc/self/oom_score_adj').read())"


@pytest.mark.skipif(not Path("/proc/self/oom_score_adj").exists(), reason="this is not Linux: nothing was learned")
def test_a_process_that_volunteers_goes_before_others() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    assert int(done.stdout) >= 300
