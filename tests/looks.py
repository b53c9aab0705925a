"""Looks that are kept on disk: the detector is pure, and replays of one clip share their pictures.

Another model, library, line of the detector's code or setting of the camera makes everything be looked at again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from soteirad.config import CameraConfig
from soteirad.detect.detection import Detections
from soteirad.detect.detector import Detector
from soteirad.detect.preprocess import Picture
from soteirad.resources import resource
from tests.shared_data import CHECKOUT

DETECT = Detector.detect
Look = Callable[[Detector, Picture], Detections]


class Looks:
    """What the detector found in each picture, and nothing of what is done with it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / f"looks-{self._made_of()}.json"
        self._known: dict[str, list[list[float]]] = {}

    @staticmethod
    def _made_of() -> str:
        libraries = f"{sys.version} {onnxruntime.__version__} {np.__version__} {cv2.__version__}"
        digest = hashlib.sha256(libraries.encode())
        for path in (*sorted((CHECKOUT / "soteirad" / "detect").rglob("*.py")), *sorted(resource("models").iterdir())):
            digest.update(path.read_bytes() if path.is_file() else b"")
        return digest.hexdigest()

    def read(self) -> None:
        """Take up what an earlier run left."""
        with contextlib.suppress(OSError, ValueError):
            self._known = json.loads(self._file.read_text(encoding="utf-8"))

    def write(self) -> None:
        """Leave all looks to the next run, and none of those that another detector made."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        for other in self._file.parent.glob("looks-*"):
            other.unlink()
        half = self._file.with_suffix(".half")
        half.write_text(json.dumps(self._known), encoding="utf-8")
        half.rename(self._file)

    def of(self, camera: CameraConfig) -> Look:
        """Return what looks with the detector of a camera."""
        setting = camera.model_dump_json(exclude={"source"})

        def look(detector: Detector, picture: Picture) -> Detections:
            key = hashlib.sha256(setting.encode() + picture.tobytes()).hexdigest()
            if key not in self._known:
                found = DETECT(detector, picture)
                columns = found.boxes.tolist(), found.scores.tolist(), found.classes.tolist()
                self._known[key] = [[*box, score, name] for box, score, name in zip(*columns, strict=True)]
            rows = np.array(self._known[key], np.float64).reshape(-1, 6)
            boxes, scores = rows[:, :4].astype(np.float32), rows[:, 4].astype(np.float32)
            return Detections(boxes, scores, rows[:, 5].astype(np.int64))

        return look
