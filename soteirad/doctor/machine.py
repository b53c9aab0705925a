"""The machine: Python, libraries, processor and memory."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from soteirad import __version__
from soteirad.doctor.finding import Finding, doubt, fault, well
from soteirad.doctor.patient import Patient

LIBRARIES = ("av", "numpy", "opencv-python-headless", "onnxruntime", "openvino", "ai-edge-litert", "coremltools",
             "tritonclient", "paho-mqtt", "pydantic", "starlette", "openai")  # fmt: skip
NEEDED = ("av", "numpy", "opencv-python-headless", "onnxruntime", "paho-mqtt", "pydantic", "starlette", "openai")
FEATURES = ("avx2", "avx512f", "avx512_vnni", "amx_bf16", "asimd", "asimddp", "fphp", "i8mm", "bf16")
"""What makes detection faster, as /proc/cpuinfo calls it."""
HUB_MB, CAMERA_MB = 160, 110
"""Rounded up from what was measured: the hub with its page, and a camera process."""


def check(patient: Patient) -> Iterator[Finding]:
    """Yield what Soteira runs on."""
    yield _python()
    yield _libraries()
    yield _processor(patient)
    yield _memory(patient)


def _python() -> Finding:
    bits = 64 if sys.maxsize > 2**32 else 32
    text = f"{__version__} on Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    if bits == 32:
        return doubt("Soteira", f"{text}, 32 bits: there are no current libraries for it", "install a 64-bit system")
    return well("Soteira", text)


def _libraries() -> Finding:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    missing = [name for name in NEEDED if name not in found]
    if missing:
        return fault("libraries", f"missing: {', '.join(missing)}", "install soteirad again")
    return well("libraries", ", ".join(f"{name} {version}" for name, version in found.items()))


def _processor(patient: Patient) -> Finding:
    cores = os.cpu_count() or 1
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        name = patient.run(["sysctl", "-n", "machdep.cpu.brand_string"]).out.strip() or platform.processor()
        return well("processor", f"{cores} x {name}")
    named = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    has = [feature for feature in FEATURES if flags and feature in flags[1].split()]
    text = f"{cores} x {named[1].strip() if named else platform.machine()}"
    return well("processor", f"{text} ({', '.join(has)})" if has else text)


def _memory(patient: Patient) -> Finding:
    total, free = memory_mb(patient)
    if total is None:
        return doubt("memory", "it cannot be seen how much there is", "see that each camera has about 110 MB")
    cameras = len(patient.config.watched) if patient.config is not None else 1
    needed = HUB_MB + CAMERA_MB * cameras
    text = f"{total:.0f} MB" + (f", {free:.0f} MB free" if free is not None else "")
    wanted = f"{cameras} camera{'s' * (cameras != 1)} need{'s' * (cameras == 1)} about {needed} MB"
    if needed > total * 0.9 or (patient.daemon is False and free is not None and needed > free):
        return doubt("memory", f"{text}; {wanted}", "watch fewer cameras, end other programs, or add memory")
    return well("memory", f"{text}; {wanted}")


def memory_mb(patient: Patient) -> tuple[float | None, float | None]:
    """Return how much memory there is, and how much may still be had; None for what the system does not say."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        size = patient.run(["sysctl", "-n", "hw.memsize"]).out.strip()
        return (int(size) / 1e6, None) if size.isdigit() else (None, None)
    found = {name: int(kb) * 1.024e-3 for name, kb in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}
    return found.get("MemTotal"), found.get("MemAvailable")
