"""What all tests share: Hypothesis never judges by the clock, since the machines that run this are shared."""

from __future__ import annotations

from hypothesis import settings

from tests.house import (
    broker,
    entry_clip,
    leaving_clip,
    listener,
    misfit_card,
    model_folder,
    standing_clip,
    start_daemon,
    visit_clip,
)

__all__ = [
    "broker",
    "entry_clip",
    "leaving_clip",
    "listener",
    "misfit_card",
    "model_folder",
    "standing_clip",
    "start_daemon",
    "visit_clip",
]

settings.register_profile("soteira", deadline=None, max_examples=60)
settings.load_profile("soteira")
