"""The shared fixtures."""

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
