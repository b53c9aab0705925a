"""The clips that are measured: those of the project, one that is made here, and those that may be absent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.turns import tell
from tests.shared_data import CHECKOUT, DEMO, VTEST, shared_folder

CACHE = CHECKOUT / ".cache" / "bench"
SIZE = (1280, 720)
STATIC_S, STATIC_FPS = 60, 30
_BIT_RATE = "2000k"
"""What cameras commonly send of 1280x720. At a constant rate the encoder keeps the noise, as a camera's does."""


Planes = NDArray[np.uint8]


@dataclass(frozen=True)
class Clip:
    """A clip with objects in it, and what is to be tracked there; `busy` if something moves nearly all the time."""

    name: str
    path: Path
    labels: tuple[str, ...]
    min_area: float = 0.01
    busy: bool = True

    @property
    def key(self) -> str:
        """Its name as part of a figure's key."""
        return "".join(c if c.isalnum() else "_" for c in self.name.lower())


def clips() -> tuple[list[Clip], list[str]]:
    """Return the clips with objects that are here, and the names of those that are not."""
    street = shared_folder() / "clips"
    known = [
        Clip("demo", DEMO, ("person", "cat"), busy=False),
        Clip("vtest", VTEST, ("person",), 0.001),
        Clip("car park", street / "person-bicycle-car-detection.mp4", ("person", "car"), 0.001),
        Clip("TUD-Stadtmitte", street / "TUD-Stadtmitte.mp4", ("person",)),
        Clip("bottles", street / "bottles.mp4", ("bottle",)),
        Clip("traffic", street / "traffic_camera.mp4", ("car",), 0.001),
    ]
    return [c for c in known if c.path.exists()], [c.path.name for c in known if not c.path.exists()]


def made_once(name: str, make: Callable[[Path], None]) -> Path:
    """Return a clip that `make` writes when it is not there yet."""
    path = CACHE / name
    if not path.exists():
        tell(f"making {name} ...")
        CACHE.mkdir(parents=True, exist_ok=True)
        half = path.with_name(f"half-{name}")
        make(half)
        half.rename(path)
    return path


def encode(path: Path, rate: int, options: Mapping[str, str], pictures: Iterable[Planes]) -> None:
    """Write pictures of 1280x720, planes of yuv420p (1080, 1280), as H.264."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=rate, options={"preset": "veryfast", "bf": "0", **options})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for index, planes in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def static_clip() -> Path:
    """Return a minute of a still scene with a sensor's noise, 1280x720, 30 a second, H.264; made once."""
    options = {"b": _BIT_RATE, "maxrate": _BIT_RATE, "bufsize": _BIT_RATE, "g": "60"}
    return made_once(f"static-{STATIC_S}s.mp4", lambda path: encode(path, STATIC_FPS, options, _noisy()))


def _noisy() -> Iterator[Planes]:
    rng = np.random.default_rng(7)
    still = _scene(rng)
    noises = [rng.normal(0, 3, still.shape).astype(np.int16) for _ in range(16)]
    for _ in range(STATIC_S * STATIC_FPS):
        noise = np.roll(noises[int(rng.integers(len(noises)))], int(rng.integers(still.shape[1])), axis=1)
        yield np.clip(still + noise, 16, 235).astype(np.uint8)


def _scene(rng: np.random.Generator) -> np.ndarray:
    """Return the demonstration's empty room at 1280x720 with fine texture, planes of yuv420p, int16 (1080, 1280)."""
    with av.open(str(DEMO)) as container:
        room = next(container.decode(video=0)).to_ndarray(format="bgr24")
    large = cv2.resize(room, SIZE, interpolation=cv2.INTER_CUBIC).astype(np.int16)
    texture = cv2.GaussianBlur(rng.normal(0, 24, (720, 1280)).astype(np.float32), (3, 3), 0)
    textured = np.clip(large + texture[..., None], 0, 255).astype(np.uint8)
    return np.asarray(av.VideoFrame.from_ndarray(textured, format="bgr24").to_ndarray(format="yuv420p"), np.int16)
