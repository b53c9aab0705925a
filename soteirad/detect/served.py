"""A detector on a server, watched: used while it answers and answers rightly, a local one meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

from soteirad.backoff import Backoff
from soteirad.detect.backends.kserve import KserveBackend, client_library
from soteirad.detect.card import ModelCard
from soteirad.detect.detection import Detections
from soteirad.detect.detector import Detector
from soteirad.detect.golden import (
    FLOAT_BOUNDS,
    INT8_BOUNDS,
    bounds_for,
    compare,
    golden_detector,
    load_images,
    make_answers,
    read_answers,
)
from soteirad.detect.preprocess import Picture
from soteirad.errors import DetectorUnavailable, ModelError

logger = logging.getLogger(__name__)

STABLE_S = 10.0
"""Only a server that answered for this long makes the next retry quick."""


class GoldenError(ModelError):
    """The server does not give the reference's answers on the golden pictures."""


class ServedDetector:
    """A detector like `Detector` whose model runs on a server; `fallback` answers while the server cannot.

    Not thread-safe, save for `state`. While the server is down, a call of `detect` tries it again when the backoff is
    over, for at most the server's timeout; a check that takes longer goes on at the next call.
    """

    def __init__(self, remote: Detector, fallback: Detector | None = None,
                 clock: Callable[[], float] = time.monotonic, backoff: Backoff | None = None) -> None:  # fmt: skip
        if not isinstance(remote.backend, KserveBackend):
            raise TypeError("a served detector's backend is a KserveBackend")
        if fallback is not None:
            _require_exchangeable(remote.card, fallback.card)
        self.card = remote.card
        self._remote = remote
        self._backend = remote.backend
        self._server = remote.backend.server
        self._fallback = fallback
        self._fallback_loaded = False
        self._fallback_error = ""
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._attempt: Iterator[None] | None = None
        self._up = False
        self._since = clock()
        self._retry_at = self._since
        self._reason = f"{self._server}: not tried yet"
        self._logged: type[Exception] | None = None
        self._fallback_used = 0
        self._failures = 0

    def load(self) -> None:
        """Connect and check the server, or load the fallback. Raises ModelError for the fallback or the library."""
        client_library()
        self._since = self._retry_at = self._clock()
        self._try()
        while self._attempt is not None:
            self._try()
        if not self._up and self._fallback is not None:
            self._fallback.load()
            self._fallback_loaded = True

    def close(self) -> None:
        """Close the connection and free the fallback."""
        self._attempt, self._up, self._retry_at = None, False, self._clock()
        self._remote.close()
        if self._fallback_loaded and self._fallback is not None:
            self._fallback.close()
        self._fallback_loaded = False

    def picture_size(self, frame_width: int, frame_height: int) -> tuple[int, int]:
        """Return the (width, height) at which `detect` wants a frame of that size."""
        return self._remote.picture_size(frame_width, frame_height)

    def detect(self, picture: Picture) -> Detections:
        """Detect as `Detector.detect` does, wherever that works. Raises DetectorUnavailable when it works nowhere."""
        if not self._up:
            self._try()
        if self._up:
            try:
                return self._remote.detect(picture)
            except (DetectorUnavailable, ModelError) as error:
                self._lost(error)
            except (ValueError, IndexError) as error:  # outputs that only fit the head at first sight
                self._lost(self._nonsense(error))
        return self._detect_locally(picture)

    @property
    def state(self) -> dict[str, Any]:
        """For diagnostics; `since` is for how many seconds the server has been up or down."""
        return {"server": self._server.address, "up": self._up, "since": round(self._clock() - self._since, 1),
                "fallback_used": self._fallback_used, "failures": self._failures}  # fmt: skip

    def _detect_locally(self, picture: Picture) -> Detections:
        if self._fallback is None:
            raise DetectorUnavailable(self._reason)
        if not self._fallback_loaded and not self._fallback_error:
            try:
                self._fallback.load()
                self._fallback_loaded = True
            except ModelError as error:
                self._fallback_error = str(error)
                logger.error("the local detector cannot stand in for the server: %s", error)
        if self._fallback_error:
            raise DetectorUnavailable(f"{self._reason}; and the local detector cannot stand in: {self._fallback_error}")
        self._fallback_used += 1
        return self._fallback.detect(picture)

    def _try(self) -> None:
        """Begin an attempt if it is time for one, or go on with it, for at most the server's timeout."""
        began = self._clock()
        if self._attempt is None:
            if began < self._retry_at:
                return
            self._attempt = self._connect()
        try:
            for _ in self._attempt:
                left = self._server.timeout - (self._clock() - began)
                if left < self._server.timeout / 2:
                    return
                self._backend.allowance = left
        except (DetectorUnavailable, ModelError) as error:
            self._lost(error)
        except (ValueError, IndexError) as error:
            self._lost(self._nonsense(error))
        else:
            self._found()
        finally:
            self._backend.allowance = self._server.timeout

    def _connect(self) -> Iterator[None]:
        """Load the remote detector and check its answers; each step is at most one inference."""
        self._remote.load()
        if self.card.golden is None:
            return
        answers = read_answers(self.card)
        images = load_images(self.card, answers)
        golden = golden_detector(self.card, self._backend)
        golden.head = self._remote.head
        own = []
        for name, image in images.items():
            yield
            own += make_answers(golden, {name: image})
        # Which of the card's files is served is not known from here: each is right.
        quantised = any(bounds_for(self.card, each) is INT8_BOUNDS for each in self.card.files)
        verdict = compare(answers, own, INT8_BOUNDS if quantised else FLOAT_BOUNDS, self.card.class_names)
        if not verdict.passed:
            raise GoldenError(f"{self._server}: the server does not give the reference's answers on known pictures "
                              f"({verdict}): {_first(verdict.problems)}: serve the card's model there")  # fmt: skip

    def _found(self) -> None:
        checked = "its answers on known pictures are right"
        if self.card.golden is None:
            checked = "its answers were not checked, since the card has no golden answers"
        logger.info("using the detection server %s: %s", self._server, checked)
        self._attempt, self._logged = None, None
        self._up, self._since = True, self._clock()

    def _nonsense(self, error: Exception) -> ModelError:
        return ModelError(f"{self._server}: the server's outputs make no sense ({error}): serve the card's model there")

    def _lost(self, error: Exception) -> None:
        now = self._clock()
        self._failures += 1
        self._reason = str(error)
        if self._up and now - self._since >= STABLE_S:
            self._backoff.reset()
        if self._up:
            self._since = now
        self._up, self._attempt = False, None
        self._remote.close()
        self._retry_at = now + self._backoff.next()
        # A server that stays down is worth one line; one that comes back wrong is worth another.
        if type(error) is not self._logged:
            instead = "nothing is detected" if self._fallback is None else "the local detector is used"
            logger.warning("the detection server is not used, %s meanwhile: %s", instead, error)
            self._logged = type(error)


def _first(problems: tuple[str, ...]) -> str:
    more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
    return "; ".join(problems[:3]) + more


def _require_exchangeable(card: ModelCard, other: ModelCard) -> None:
    """Raise ModelError unless both models take the same pictures and number their classes alike."""
    ours, theirs = card.input, other.input
    if (ours.width, ours.height, ours.resize) != (theirs.width, theirs.height, theirs.resize):
        raise ModelError(f"{other.name} cannot stand in for {card.name}: its pictures are {theirs.width}x"
                         f"{theirs.height} {theirs.resize}, not {ours.width}x{ours.height} {ours.resize}")  # fmt: skip
    if card.class_names != other.class_names:
        raise ModelError(f"{other.name} cannot stand in for {card.name}: its labels are others")
