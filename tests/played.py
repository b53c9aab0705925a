"""What is in a video file: what ffprobe says of it, and its pictures, every one of them decoded."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def probe(path: Path) -> dict[str, Any]:
    """Return what ffprobe says of a file; skip the test that asks if it is not installed."""
    program = shutil.which("ffprobe")
    if program is None:
        reason = "ffprobe is not installed: no player but ours was asked about the clips (apt install ffmpeg)"
        print(f"SKIPPED: {reason}")
        pytest.skip(reason)
    command = [program, "-v", "error", "-count_frames", "-show_format", "-show_streams", "-of", "json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, f"{path}: {done.stderr}"
    return dict(json.loads(done.stdout))


def pictures(path: Path) -> list[tuple[float, Picture]]:
    """Return all pictures (BGR) with their times; nothing in the file may be damaged."""
    found = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.options = {"err_detect": "explode"}
        for frame in container.decode(stream):
            assert frame.time is not None and not frame.is_corrupt
            found.append((frame.time, np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)))
    return found


def boxes(path: Path) -> list[str]:
    """Return the names of an MP4's boxes, in order."""
    data, place, found = path.read_bytes(), 0, []
    while place + 8 <= len(data):
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        found.append(kind.decode("latin-1"))
        place += int.from_bytes(data[place + 8 : place + 16], "big") if length == 1 else max(length, 8)
    return found


def likeness(one: Picture, other: Picture) -> float:
    """Return how far two pictures of one size are apart: the mean difference of their levels, 0 to 255."""
    return float(np.abs(one.astype(np.int16) - other.astype(np.int16)).mean())
