"""Soteira: three gates of rising cost between cameras and trustworthy MQTT events."""

import os

__version__ = "0.1.0"

# onnxruntime 1.32 reports its use to its makers, unless told otherwise before it is loaded by any process.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
