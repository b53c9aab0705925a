"""Which engine each camera's model runs on: proven once for all cameras that want the same."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from soteirad.assembly import choose_engine, model_card
from soteirad.config import CameraConfig, DetectorConfig
from soteirad.detect.choice import Choice
from soteirad.errors import ModelError, ModelUntried

logger = logging.getLogger(__name__)

Choices = dict[DetectorConfig, Choice | None]


def choose_engines(cameras: Mapping[str, CameraConfig], known: Choices, stop: Callable[[], bool],
                   on_trial: Callable[[str], None] = lambda _: None) -> Choices:  # fmt: skip
    """Return the choice for each camera's detector section; those in `known` are not made again.

    `on_trial` is told what is tried. Raises ModelError (or ModelUntried) with the camera's name, and Stopped.
    """
    chosen: Choices = {}
    for name, camera in cameras.items():
        settings = camera.detector
        try:
            card = model_card(camera)
            if settings in chosen:
                continue
            if settings in known:
                chosen[settings] = known[settings]
                continue
            on_trial(f"trying what runs {card.name} best here")
            choice = chosen[settings] = choose_engine(camera, card, stop)
        except ModelError as error:
            kind = ModelUntried if error.passes else ModelError
            raise kind(f"{name}: {error}") from error
        on = f"{settings.server.model} on {settings.server.url}, stand-in: " if settings.server else ""
        logger.info("detector %s: %s%s", card.name, on, choice or "none")
    return chosen
