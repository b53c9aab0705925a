"""OpenVINO's package, the one place that imports it: the fork server imports it here for all cameras."""

from __future__ import annotations

import sys

# At its import OpenVINO reports to its makers over the internet, and leaves a number for this machine in the home
# folder. Without this package, which nothing else needs, it uses a stand-in that does neither.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402

__all__ = ["openvino"]
