"""Heads: raw model outputs to boxes in pixels of the model's input."""

from __future__ import annotations

from soteirad.detect.card import (
    DetrSpec,
    GflSpec,
    ModelCard,
    SsdSpec,
    YoloV5Spec,
    YoloV8Spec,
    YoloxSpec,
)
from soteirad.detect.heads.base import Candidates, Head
from soteirad.detect.heads.finished import DetrHead, EndToEndHead, SsdHead
from soteirad.detect.heads.gfl import GflHead
from soteirad.detect.heads.yolo import YoloV5Head, YoloV8Head, YoloxHead

__all__ = ["Candidates", "Head", "make_head"]


def make_head(card: ModelCard) -> Head:  # noqa: PLR0911 - one line for each kind
    """Return the head that the card names."""
    spec = card.head
    if isinstance(spec, GflSpec):
        return GflHead(card, spec)
    if isinstance(spec, YoloxSpec):
        return YoloxHead(card, spec)
    if isinstance(spec, YoloV5Spec):
        return YoloV5Head(card, spec)
    if isinstance(spec, YoloV8Spec):
        return YoloV8Head(card, spec)
    if isinstance(spec, DetrSpec):
        return DetrHead(card, spec)
    if isinstance(spec, SsdSpec):
        return SsdHead(card, spec)
    return EndToEndHead(card, spec)
