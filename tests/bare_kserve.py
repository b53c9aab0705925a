"""A bare gRPC server of the Open Inference Protocol: strict about what it receives, free in what it answers."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from tests.brokers import free_port

KINDS = {"UINT8": np.uint8, "INT8": np.int8, "INT32": np.int32, "INT64": np.int64, "FP16": np.float16,
         "FP32": np.float32, "FP64": np.float64}  # fmt: skip
_NAMES = {np.dtype(kind): name for name, kind in KINDS.items()}
_TYPED = {"FP32": "fp32_contents", "FP64": "fp64_contents", "INT64": "int64_contents", "INT32": "int_contents",
          "INT8": "int_contents", "UINT8": "uint_contents"}  # fmt: skip

Described = dict[str, tuple[str, list[int]]]
"""Tensors by name: protocol type and shape, -1 for an open axis."""


@dataclass
class Raw:
    """An output as the wire has it, so that it may contradict itself."""

    kind: str
    shape: list[int]
    data: bytes


@dataclass
class BareServer(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Serves one model on a loopback port that survives a restart; every field may change while it runs."""

    inputs: Described
    outputs: Described
    answer: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray | Raw]]
    name: str = "tiny"
    live: bool = True
    ready: bool = True
    model_ready: bool = True
    typed: bool = False
    spare_data: bool = False
    delay: float = 0.0
    calls: Counter[str] = field(default_factory=Counter)
    received: list[dict[str, np.ndarray]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._port = free_port()
        self._server: Any = None
        self._stopping = threading.Event()

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen; returns when it does."""
        self._stopping.clear()
        unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0), *unlimited])
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        assert self._server.add_insecure_port(self.url) == self._port
        self._server.start()

    def stop(self) -> None:
        """Drop all connections; does nothing if it does not run."""
        self._stopping.set()
        if self._server is not None:
            self._server.stop(0).wait()
            self._server = None

    def ServerLive(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        self._count("ServerLive")
        return pb.ServerLiveResponse(live=self.live)

    def ServerReady(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        self._count("ServerReady")
        return pb.ServerReadyResponse(ready=self.ready)

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._count("ModelReady")
        self._check_model(request.name, request.version, context)
        return pb.ModelReadyResponse(ready=self.model_ready)

    def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._count("ModelMetadata")
        self._check_model(request.name, request.version, context)
        tensor = pb.ModelMetadataResponse.TensorMetadata
        return pb.ModelMetadataResponse(
            name=self.name,
            versions=["1"],
            inputs=[tensor(name=n, datatype=k, shape=s) for n, (k, s) in self.inputs.items()],
            outputs=[tensor(name=n, datatype=k, shape=s) for n, (k, s) in self.outputs.items()],
        )

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._count("ModelInfer")
        self._check_model(request.model_name, request.model_version, context)
        feeds = self._feeds(request, context)
        self.received.append(feeds)
        response = pb.ModelInferResponse(model_name=self.name, model_version="1")
        for name, value in self.answer(feeds).items():
            self._add(response, name, value)
        if self.spare_data:
            response.raw_output_contents.append(b"spare")
        return response

    def _add(self, response: Any, name: str, value: np.ndarray | Raw) -> None:
        if isinstance(value, Raw):
            response.outputs.add(name=name, datatype=value.kind, shape=value.shape)
            response.raw_output_contents.append(value.data)
            return
        kind = _NAMES[value.dtype]
        output = response.outputs.add(name=name, datatype=kind, shape=value.shape)
        if self.typed:
            getattr(output.contents, _TYPED[kind]).extend(value.ravel().tolist())
        else:
            response.raw_output_contents.append(value.tobytes())

    def _feeds(self, request: Any, context: Any) -> dict[str, np.ndarray]:
        def refuse(why: str) -> None:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, why)

        if [t.name for t in request.inputs] != list(self.inputs):
            refuse(f"the inputs must be {list(self.inputs)}")
        if len(request.raw_input_contents) != len(request.inputs):
            refuse("there must be raw data for each input")
        feeds = {}
        for tensor, data in zip(request.inputs, request.raw_input_contents, strict=True):
            kind, shape = self.inputs[tensor.name]
            fits = [n > 0 and wanted in (-1, n) for n, wanted in zip(tensor.shape, shape, strict=False)]
            if tensor.datatype != kind or len(tensor.shape) != len(shape) or not all(fits):
                refuse(f"{tensor.name} must be {kind} {shape}, it is {tensor.datatype} {list(tensor.shape)}")
            if len(data) != int(np.prod(tensor.shape)) * np.dtype(KINDS[kind]).itemsize:
                refuse(f"{tensor.name} has {len(data)} bytes")
            feeds[tensor.name] = np.frombuffer(data, KINDS[kind]).reshape(tensor.shape)
        return feeds

    def _check_model(self, name: str, version: str, context: Any) -> None:
        if name != self.name or version not in ("", "1"):
            context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{name}' version '{version}'")

    def _count(self, call: str) -> None:
        self.calls[call] += 1
        self._stopping.wait(self.delay)
