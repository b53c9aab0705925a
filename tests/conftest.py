"""What all tests share: Hypothesis never judges by the clock, since the machines that run this are shared."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("soteira", deadline=None, max_examples=60)
settings.load_profile("soteira")
