"""Gate 3's model in the configuration: which one, what runs it, and a server that may do so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

from pydantic import Field
from pydantic_core import InitErrorDetails

from soteirad.config.messages import KEY, detail
from soteirad.config.section import Section
from soteirad.config.values import Int, Seconds, Switch

DEVICES = {"onnx": ("auto", "cpu", "cuda", "tensorrt", "coreml"), "coreml": ("auto", "all", "cpu_and_ne", "cpu_only")}


class ServerConfig(Section):
    """A server that speaks the Open Inference Protocol v2 (KServe) over gRPC: Triton, MLServer and others."""

    url: str = Field(pattern=r"^[^/@\s]+:\d+$", description="host:port of its gRPC side, such as 10.0.0.9:8001.")
    model: str = Field(min_length=1, description="The model's name on the server.")
    version: str = Field(default="", description="The model's version there; none lets the server choose.")
    timeout: Seconds = Field(default=2.0, description="Seconds to wait for an answer.")
    tls: Switch = Field(default=False, description="Whether the connection is encrypted.")
    fallback: Switch = Field(
        default=True, description="Whether this machine detects by itself while the server does not answer."
    )


class DetectorConfig(Section):
    """Gate 3's model and how it runs."""

    model: str = Field(
        default="nanodet-g-416",
        min_length=1,
        description="The name of a shipped model card or path of a card (.yaml).",
    )
    backend: Literal["auto", "onnx", "openvino", "litert", "coreml", "kserve"] = Field(
        default="auto",
        description="What runs the model; auto takes the fastest that passes the golden check on this machine.",
    )
    precision: Literal["auto", "fp32", "fp16", "bf16"] = Field(
        default="auto", description="The arithmetic; auto takes the fastest that passes the golden check."
    )
    device: Literal["auto", "cpu", "cuda", "tensorrt", "coreml", "all", "cpu_and_ne", "cpu_only"] = Field(
        default="auto",
        description="onnx: cpu, cuda, tensorrt or coreml; the backend coreml: all, cpu_and_ne or cpu_only.",
    )
    threads: Int = Field(
        default=1, ge=1, le=64, description="Threads for the model, for each camera process."
    )
    server: ServerConfig | None = Field(default=None, description="The server of the backend kserve.")

    @classmethod
    def contradictions(cls, data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
        """A server and its backend need each other, and a device belongs to a backend."""
        backend, device = data.get("backend", "auto"), data.get("device", "auto")
        if backend == "kserve" and data.get("server") is None:
            yield detail(("backend",), "kserve without a server: add detector.server with its url and model")
        if backend != "kserve" and data.get("server") is not None:
            yield detail(("server",), "a server without its backend: set detector.backend to kserve", KEY)
        known = get_args(cls.model_fields["backend"].annotation)
        allowed = DEVICES.get(str(backend), ("auto", "cpu"))
        if backend in known and isinstance(device, str) and device not in allowed:
            yield detail(("device",), f"not a device of the backend {backend}: use {', '.join(allowed)}")
