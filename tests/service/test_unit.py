"""The systemd unit and its drop-ins, judged by systemd's own tool."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from soteirad.resources import resource
from soteirad.service.layout import UNIT, USER

DROP_INS = ("usb.conf", "gpu.conf", "nvidia.conf", "openvino.conf")
TOOL = "systemd-analyze"

pytestmark = pytest.mark.skipif(shutil.which(TOOL) is None,
                                reason=f"{TOOL} is not here, nothing was judged (apt install systemd)")  # fmt: skip


def unit(folder: Path, drop_ins: Sequence[str] = ()) -> Path:
    """Lay the unit and some drop-ins out as they are installed, with a command that is there."""
    path = folder / UNIT
    path.write_text(shipped(UNIT).replace("/usr/local/bin/soteirad", "/bin/true"), encoding="utf-8")
    beside = folder / f"{UNIT}.d"
    beside.mkdir()
    for name in drop_ins:
        (beside / name).write_text(shipped(name), encoding="utf-8")
    return path


def shipped(name: str) -> str:
    return (resource("systemd") / name).read_text(encoding="utf-8")


def analyze(*arguments: str) -> str:
    done = subprocess.run([TOOL, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("drop_ins", [(), DROP_INS], ids=["plain", "with all drop-ins"])
def test_systemd_finds_nothing_to_say_about_the_unit(drop_ins: Sequence[str], tmp_path: Path) -> None:
    said = analyze("verify", str(unit(tmp_path, drop_ins)))
    # What it says of others' units is not about ours.
    assert [line for line in said.splitlines() if UNIT in line or str(tmp_path) in line] == []


@pytest.mark.parametrize(
    ("drop_ins", "most"),
    [((), 1.5), (("usb.conf",), 1.8), (("usb.conf", "gpu.conf"), 1.8), (("openvino.conf",), 1.5), (DROP_INS, 1.8)],
    ids=lambda value: " ".join(value) or "plain" if isinstance(value, tuple) else None,
)
def test_the_service_is_exposed_to_as_little_as_it_can_be(
    drop_ins: Sequence[str], most: float, tmp_path: Path
) -> None:
    said = analyze("security", "--offline=true", str(unit(tmp_path, drop_ins)))
    (exposure,) = re.findall(r"exposure level for .*: ([0-9.]+)", said)
    assert float(exposure) <= most, said


def test_the_unit_runs_as_the_user_and_from_the_places_that_are_agreed() -> None:
    lines = shipped(UNIT).splitlines()
    for line in (f"User={USER}", f"Group={USER}", "StateDirectory=soteira", "CacheDirectory=soteira",
                 "ExecStart=/usr/local/bin/soteirad run --config /etc/soteira.yaml"):  # fmt: skip
        assert lines.count(line) == 1, line
