"""Gate 2: does this picture differ enough from the reference to be worth a look?"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Colour = NDArray[np.uint8]

HISTOGRAM_BINS = 32
SSIM_RADIUS = 5  # an 11x11 window
SSIM_SIGMA = 1.5
_HALF_C1, _HALF_C2 = (0.01 * 255) ** 2 / 2, (0.03 * 255) ** 2 / 2


def histogram(bgr: Colour) -> NDArray[np.float32]:
    """Return the 32x32 hue-saturation histogram of a uint8 BGR picture as shares of its pixels, shape (1024,).

    Half the columns are counted, of an even width every other one: FFmpeg's scaler gives two neighbours in a row one
    chroma, which a camera that is turned sideways has in columns. Distances between a camera's pictures move by up to
    0.004, of a turned one by up to 0.012, those from the gate's own reference by 0.003 and 0.005 (measured).
    """
    height, width = bgr.shape[:2]
    hsv = cv2.cvtColor(cv2.resize(bgr, (-(-width // 2), height), interpolation=cv2.INTER_NEAREST), cv2.COLOR_BGR2HSV)
    counts = cv2.calcHist([hsv], [0, 1], None, [HISTOGRAM_BINS, HISTOGRAM_BINS], [0, 180, 0, 256])
    return np.asarray(counts.reshape(-1) / max(1, hsv.shape[0] * hsv.shape[1]), np.float32)


def cosine_distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return 1 - cos(a, b) for histograms, 0-1; two empty histograms are equal, an empty and a filled one are not."""
    norms = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    if norms == 0.0:
        return 0.0 if not a.any() and not b.any() else 1.0
    return min(1.0, max(0.0, 1.0 - float(a @ b) / norms))


class Moments:
    """A picture's blurred moments: what SSIM needs of each of its two pictures, the cost of two of its three filters.

    SSIM after Wang, Bovik, Sheikh and Simoncelli (2004): 11x11 Gaussian of sigma 1.5, data range 255, weighted
    (population) covariance, averaged where the whole window lies inside the picture. Equals scikit-image's
    `structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)`.

    Variances are taken of the levels less their overall mean: they are the same, and float32 would lose them in the
    squares of a bright flat picture. Half of each of SSIM's constants is in what is added to the other picture's.
    """

    def __init__(self, grey: Grey) -> None:
        self.shape = grey.shape
        overall = np.float32(cv2.mean(grey)[0])
        self.centred = np.subtract(grey, overall, dtype=np.float32)
        self.blurred = _blur(self.centred)
        self.mean = self.blurred + overall
        self.mean_squared = self.mean * self.mean
        self.mean_squared += _HALF_C1
        self.variance = _blur(self.centred * self.centred)
        self.variance -= self.blurred * self.blurred
        self.variance += _HALF_C2

    def similarity(self, other: Moments) -> float:
        """Return the mean SSIM with a picture of the same shape, -1 to 1."""
        covariance = _blur(self.centred * other.centred)
        covariance -= self.blurred * other.blurred
        covariance += _HALF_C2
        above = self.mean * other.mean
        above += _HALF_C1
        above *= covariance
        below = self.mean_squared + other.mean_squared
        below *= self.variance + other.variance
        above /= below
        return 4 * cv2.mean(above[SSIM_RADIUS:-SSIM_RADIUS, SSIM_RADIUS:-SSIM_RADIUS])[0]


class Sight:
    """A picture as gate 2 compares it: its colours (`histogram`) and its structure.

    It has at least 11x11 pixels: in a smaller one no whole window of SSIM lies, and its SSIM is 0 whatever it shows.
    """

    def __init__(self, colours: NDArray[np.float32], grey: Grey) -> None:
        self.colours = colours
        self.moments = Moments(grey)

    def against(self, reference: Sight) -> tuple[float, float]:
        """Return the colour distance (0-1) and the SSIM (-1 to 1) from a picture of the same shape."""
        return cosine_distance(reference.colours, self.colours), reference.moments.similarity(self.moments)


def ssim(a: Grey, b: Grey) -> float:
    """Return the mean SSIM of two uint8 pictures of one shape, at least 11x11 pixels."""
    return Moments(a).similarity(Moments(b))


def _blur(image: NDArray[np.float32]) -> NDArray[np.float32]:
    size = 2 * SSIM_RADIUS + 1
    return np.asarray(cv2.GaussianBlur(image, (size, size), SSIM_SIGMA), np.float32)


@dataclass(frozen=True)
class Scene:
    """Gate 2's result: histogram `distance` 0-1, `ssim` -1 to 1, and whether the gate opened."""

    distance: float
    ssim: float
    open: bool


class SceneGate:
    """Compares a picture with a reference by colour histogram OR structure.

    Opens when the cosine distance of the histograms reaches `distance` (0.20) or the SSIM falls under `ssim` (0.80).
    The reference is replaced after each opening, and by `still` after 30 s without motion.
    """

    REFERENCE_AGE_S = 30.0

    def __init__(self, distance: float = 0.20, ssim: float = 0.80) -> None:
        self.distance = distance
        self.ssim = ssim
        self._reference: Sight | None = None
        self._since = 0.0

    def step(self, seen: Sight, time: float, last_motion: float) -> Scene:
        """Compare a picture with the reference; the first picture becomes it.

        `time` and `last_motion` are media seconds; a picture of another size becomes the reference and opens.
        """
        reference = self._reference
        if reference is None or reference.moments.shape != seen.moments.shape:
            self._replace(seen, time)
            return Scene(0.0, 1.0, reference is not None)
        distance, similarity = seen.against(reference)
        opened = distance >= self.distance or similarity < self.ssim
        quiet_since = max(self._since, last_motion)
        if opened or time - quiet_since >= self.REFERENCE_AGE_S:
            self._replace(seen, time)
        return Scene(distance, similarity, opened)

    def _replace(self, seen: Sight, time: float) -> None:
        self._reference, self._since = seen, time
