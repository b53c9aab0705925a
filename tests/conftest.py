"""What all tests share: Hypothesis never judges by the clock, since the machines that run this are shared.

Engines are chosen once for a checkout: the daemons that tests start find the choice in the cache.
"""

from __future__ import annotations

import os

from hypothesis import settings

from tests.fault_report import (
    measured,
    pytest_addoption,
    pytest_configure,
    pytest_runtest_makereport,
    pytest_sessionfinish,
)
from tests.house import (
    broker,
    entry_clip,
    leaving_clip,
    listener,
    make_camera,
    misfit_card,
    model_folder,
    standing_clip,
    start_daemon,
    visit_clip,
)
from tests.shared_data import CHECKOUT

__all__ = [
    "broker",
    "entry_clip",
    "leaving_clip",
    "listener",
    "make_camera",
    "measured",
    "misfit_card",
    "model_folder",
    "pytest_addoption",
    "pytest_configure",
    "pytest_runtest_makereport",
    "pytest_sessionfinish",
    "standing_clip",
    "start_daemon",
    "visit_clip",
]

os.environ["XDG_CACHE_HOME"] = str(CHECKOUT / ".cache" / "tests")
os.environ.pop("CACHE_DIRECTORY", None)

settings.register_profile("soteira", deadline=None, max_examples=60)
settings.load_profile("soteira")
