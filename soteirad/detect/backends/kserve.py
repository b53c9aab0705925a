"""A model on an inference server: Open Inference Protocol v2 over gRPC (Triton, MLServer, KServe)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soteirad.detect.backend import Outputs, first_line, missing, picture_input, size_value
from soteirad.detect.card import ModelCard
from soteirad.detect.preprocess import InputTensor, Picture, TensorSpec
from soteirad.errors import DetectorUnavailable, ModelError

_INPUTS = {"UINT8": np.uint8, "INT8": np.int8, "FP16": np.float16, "FP32": np.float32}

# By protocol type: numpy's, and the field of a response that is not raw. FP16 travels raw only.
_OUTPUTS: dict[str, tuple[Any, str | None]] = {
    "UINT8": (np.uint8, "uint_contents"),
    "INT8": (np.int8, "int_contents"),
    "INT32": (np.int32, "int_contents"),
    "INT64": (np.int64, "int64_contents"),
    "FP16": (np.float16, None),
    "FP32": (np.float32, "fp32_contents"),
    "FP64": (np.float64, "fp64_contents"),
}

_CHANNEL = [
    ("grpc.max_send_message_length", -1),
    # gRPC's own 4 MB is less than some models' outputs; with no limit a wrong server could fill a small box's memory.
    ("grpc.max_receive_message_length", 64 << 20),
    # Pings only while a call waits: servers hang up on clients that ping without one.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 0),
    # Shared subchannels would make a new connection wait for gRPC's own backoff of up to two minutes.
    ("grpc.use_local_subchannel_pool", 1),
]


@dataclass(frozen=True)
class Server:
    """Where a model is served: `url` is host:port of gRPC, `timeout` in seconds, `version` may be empty."""

    url: str
    model: str
    version: str = ""
    timeout: float = 2.0
    tls: bool = False

    @property
    def address(self) -> str:
        """The url as it may be logged: without a user and a password that somebody wrote into it."""
        return self.url.rpartition("@")[2]

    def __str__(self) -> str:
        version = f" version {self.version}" if self.version else ""
        return f"{self.address}, model '{self.model}'{version}"


class KserveBackend:
    """Runs a card's model on a server.

    A server that does not answer, or not yet, is a DetectorUnavailable; one whose model is not the card's a ModelError.
    `allowance` is how many seconds the next `load` (all its calls together) or `infer` may take.
    """

    def __init__(self, card: ModelCard, server: Server, clock: Callable[[], float] = time.monotonic) -> None:
        self.card = card
        self.server = server
        self.allowance = server.timeout
        self._clock = clock
        self._deadline = 0.0
        self._client: Any = None
        self._input: InputTensor | None = None
        self._outputs: Outputs = {}
        self._fixed: set[str] = set()

    def load(self) -> Outputs:
        """Connect, compare the server's description with the card and run once. Raises both errors."""
        library = client_library()
        self._deadline = self._clock() + self.allowance
        self.close()
        try:
            self._client = library.InferenceServerClient(self.server.url, ssl=self.server.tls, channel_args=_CHANNEL)
            self._require_readiness()
            metadata = self._describe()
            self._input = InputTensor(self.card.input, self._picture(metadata), str(self.server))
            self._fixed = {o.name for o in metadata.outputs if min(o.shape[1:], default=-1) > 0}
            spec = self.card.input
            self._outputs = self._run(np.full((spec.height, spec.width, 3), spec.pad, np.uint8))
            self._refuse_nan(self._outputs)
        except BaseException:
            self.close()
            raise
        return self._outputs

    def infer(self, image: Picture) -> Outputs:
        """Run the model on a BGR picture (height, width, 3). Raises both errors; a model that changed there is one."""
        if self._input is None:
            raise ModelError(f"{self.server}: the model is not loaded")
        self._deadline = self._clock() + self.allowance
        outputs = self._run(image)
        if self._signature(outputs) != self._signature(self._outputs):
            raise ModelError(f"{self.server}: the server's model changed: its outputs were {_named(self._outputs)}, "
                             f"now they are {_named(outputs)}")  # fmt: skip
        return outputs

    def close(self) -> None:
        """Close the connection; may be called twice."""
        client, self._client, self._input = self._client, None, None
        if client is not None:
            client.close()

    def _require_readiness(self) -> None:
        if not self._call("ServerLive", self._client.is_server_live):
            raise DetectorUnavailable(f"{self.server}: the server says that it is not live: see its log")
        if not self._call("ServerReady", self._client.is_server_ready):
            raise DetectorUnavailable(f"{self.server}: the server is not ready: wait until it has loaded its models")

    def _describe(self) -> Any:
        """Return the model's metadata, asked for first because a server says there best that it has no such model."""
        model = (self.server.model, self.server.version)
        metadata = self._call("ModelMetadata", self._client.get_model_metadata, *model)
        if not self._call("ModelReady", self._client.is_model_ready, *model):
            raise DetectorUnavailable(f"{self.server}: the server has not loaded this model: load it there, or see "
                                      f"the server's log for why it cannot be loaded")  # fmt: skip
        return metadata

    def _picture(self, metadata: Any) -> TensorSpec:
        shapes = {i.name: tuple(max(0, n) for n in i.shape) for i in metadata.inputs}
        kinds = {i.name: i.datatype for i in metadata.inputs}
        if not shapes:
            raise ModelError(f"{self.server}: the server does not describe the model's inputs: give name, datatype and "
                             f"shape of inputs and outputs in the model's settings there")  # fmt: skip
        name, size = picture_input(shapes, str(self.server))
        if kinds[name] not in _INPUTS:
            raise ModelError(f"{self.server}: the input '{name}' is {kinds[name]}: only {', '.join(_INPUTS)} are known")
        if size and kinds[size] != "INT64":
            raise ModelError(f"{self.server}: the size input '{size}' is {kinds[size]}, only INT64 is known")
        self._picture_name, self._picture_kind, self._size_name = name, kinds[name], size
        return TensorSpec(name, shapes[name], np.dtype(_INPUTS[kinds[name]]))

    def _run(self, image: Picture) -> Outputs:
        assert self._input is not None  # noqa: S101 - for the type checker; both callers see to it
        tensors = [self._tensor(self._picture_name, self._picture_kind, self._input.fill(image))]
        if self._size_name:
            tensors.append(self._tensor(self._size_name, "INT64", size_value(self.card)))
        infer = self._client.infer
        result = self._call("ModelInfer", infer, self.server.model, tensors, self.server.version).get_response()
        raw = list(result.raw_output_contents)
        if raw and len(raw) != len(result.outputs):
            raise ModelError(f"{self.server}: the answer has {len(result.outputs)} outputs and data for {len(raw)}")
        pairs = zip(result.outputs, raw or [None] * len(result.outputs), strict=True)
        return {tensor.name: self._decoded(tensor, data) for tensor, data in pairs}

    def _tensor(self, name: str, kind: str, array: NDArray[Any]) -> Any:
        return client_library().InferInput(name, list(array.shape), kind).set_data_from_numpy(array)

    def _decoded(self, tensor: Any, raw: bytes | None) -> NDArray[Any]:
        what = f"{self.server}: the output '{tensor.name}' is {tensor.datatype} {list(tensor.shape)}"
        if tensor.datatype not in _OUTPUTS:
            raise ModelError(f"{what}: only {', '.join(_OUTPUTS)} are known")
        kind, field = _OUTPUTS[tensor.datatype]
        try:
            contents = getattr(tensor.contents, field) if field else ()
            if raw is None and len(contents) != math.prod(tensor.shape):  # before a list of Python numbers is copied
                raise ValueError(f"it has {len(contents)} numbers")
            array = np.array(contents, kind) if raw is None else np.frombuffer(raw, kind)
            if min(tensor.shape, default=0) < 0:
                raise ValueError("a length is negative")
            return array.reshape(tuple(tensor.shape))
        except (ValueError, OverflowError) as error:
            raise ModelError(f"{what}, and its data does not fit that: {first_line(error)}") from error

    def _refuse_nan(self, outputs: Outputs) -> None:
        wrong = [name for name, array in outputs.items() if array.dtype.kind == "f" and np.isnan(array).any()]
        if wrong:
            raise ModelError(f"{self.server}: the outputs {', '.join(wrong)} hold NaN, which is no number: the model's "
                             f"file or its arithmetic is broken there")  # fmt: skip

    def _signature(self, outputs: Outputs) -> dict[str, Any]:
        """Return what stays the same from picture to picture: all but a number of rows that the server leaves open."""
        rows_open = {n: (a.ndim, a.shape[:1], a.shape[2:]) for n, a in outputs.items()}
        return {n: (a.dtype, a.shape if n in self._fixed else rows_open[n]) for n, a in outputs.items()}

    def _call(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        from tritonclient.utils import InferenceServerException

        left = self._deadline - self._clock()
        if left <= 0:
            raise self._late()
        try:
            return function(*arguments, client_timeout=left)
        except InferenceServerException as error:
            raise self._translated(what, error) from None

    def _late(self) -> DetectorUnavailable:
        return DetectorUnavailable(f"{self.server}: the server did not answer within {self.allowance:.3g} s: it is "
                                   f"overloaded or frozen, or detector.server.timeout is too short for it")  # fmt: skip

    def _translated(self, what: str, error: Any) -> DetectorUnavailable | ModelError:
        status = str(error.status() or "error").removeprefix("StatusCode.")
        why = first_line(Exception(error.message() or status)).replace(self.server.url, self.server.address)
        if status == "DEADLINE_EXCEEDED":
            return self._late()
        if status == "UNAVAILABLE":
            return DetectorUnavailable(f"{self.server}: the server cannot be reached ({why}): check that it runs and "
                                       f"that detector.server.url is host:port of its gRPC")  # fmt: skip
        if status == "NOT_FOUND":
            return DetectorUnavailable(f"{self.server}: the server does not know this model ({why}): load it there, or "
                                       f"correct detector.server.model")  # fmt: skip
        if status == "INVALID_ARGUMENT" and what == "ModelInfer":
            return ModelError(f"{self.server}: the server refuses the picture that the card {self.card.name} describes "
                              f"({why}): serve the card's model there")  # fmt: skip
        return DetectorUnavailable(f"{self.server}: {what} failed with {status} ({why}): see the server's log")


def client_library() -> Any:
    """Return tritonclient's gRPC module. Raises ModelError when it is not installed."""
    try:
        from tritonclient import grpc
    except ImportError:
        raise missing("tritonclient", "kserve") from None
    return grpc


def _named(outputs: Outputs) -> str:
    return ", ".join(f"{name} {array.dtype} {list(array.shape)}" for name, array in outputs.items())
