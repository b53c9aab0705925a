"""From a picture to the model's input tensor, and boxes back into the frame."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from soteirad.detect.card import InputSpec
from soteirad.detect.detection import FloatArray
from soteirad.errors import ModelError

Picture = NDArray[np.uint8]

_INTERPOLATION = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}


@dataclass(frozen=True)
class Letterbox:
    """Where a frame's content lies in the model's input: `width` x `height` pixels from (`left`, `top`)."""

    width: int
    height: int
    left: int = 0
    top: int = 0

    @classmethod
    def fit(cls, frame_width: int, frame_height: int, spec: InputSpec) -> Letterbox:
        """Return the content's place: the whole input when stretched, else the largest with the frame's aspect."""
        if spec.resize == "stretch":
            return cls(spec.width, spec.height)
        scale = min(spec.width / frame_width, spec.height / frame_height)
        width, height = max(1, round(frame_width * scale)), max(1, round(frame_height * scale))
        return cls.place(width, height, spec)

    @classmethod
    def place(cls, width: int, height: int, spec: InputSpec) -> Letterbox:
        """Return where content of that size lies. Raises ModelError when it does not fit the input."""
        if width > spec.width or height > spec.height:
            raise ModelError(f"a picture of {width}x{height} does not fit the model's {spec.width}x{spec.height}")
        if spec.resize == "letterbox_centre":
            return cls(width, height, (spec.width - width) // 2, (spec.height - height) // 2)
        return cls(width, height)

    def to_frame(self, boxes: FloatArray) -> FloatArray:
        """Turn boxes (n, 4) in pixels of the input into fractions of the frame, clipped to it."""
        origin, size = self._arrays
        return np.asarray(limited((boxes - origin) / size), np.float32)

    @cached_property
    def _arrays(self) -> tuple[FloatArray, FloatArray]:
        origin, size = (self.left, self.top), (self.width, self.height)
        return np.array(origin * 2, np.float32), np.array(size * 2, np.float32)


def limited(values: NDArray[Any]) -> NDArray[Any]:
    """Return values between 0 and 1, as `np.clip` gives them in twice the time."""
    return np.asarray(np.minimum(np.maximum(values, 0.0), 1.0))


class Canvas:
    """A picture of the model's size, made once; only the content is copied for each frame."""

    def __init__(self, spec: InputSpec) -> None:
        self._spec = spec
        self._content = Letterbox(0, 0)
        self.image: Picture = np.full((spec.height, spec.width, 3), spec.pad, np.uint8)
        self._inside = self.image[:0]

    def fill(self, picture: Picture) -> Letterbox:
        """Copy a BGR picture (h, w, 3), already at the size that `Letterbox.fit` gives, into its place."""
        if picture.shape != self._inside.shape:
            height, width = picture.shape[:2]
            self._content = content = Letterbox.place(width, height, self._spec)
            self._inside = self.image[content.top : content.top + height, content.left : content.left + width]
            self.image.fill(self._spec.pad)
        self._inside[:] = picture
        return self._content


def scale_picture(picture: NDArray[Any], spec: InputSpec) -> Picture:
    """Scale a photograph to the content size of a card's input, as when the card's accuracy was measured.

    `picture` is uint8: grey (h, w) or (h, w, 1), BGR (h, w, 3) or BGRA (h, w, 4), whose transparency is ignored.
    Raises ModelError for anything else.
    """
    if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or not picture.size:
        raise ModelError(f"a picture is uint8 with 1, 3 or 4 channels, this one is {picture.dtype} {picture.shape}")
    channels = 1 if picture.ndim == 2 else picture.shape[2]
    conversion = {1: cv2.COLOR_GRAY2BGR, 3: None, 4: cv2.COLOR_BGRA2BGR}
    if channels not in conversion:
        raise ModelError(f"a picture must have 1, 3 or 4 channels, this one has {channels}")
    height, width = picture.shape[:2]
    content = Letterbox.fit(width, height, spec)
    small = cv2.resize(picture, (content.width, content.height), interpolation=_INTERPOLATION[spec.interpolation])
    code = conversion[channels]
    return np.asarray(small if code is None else cv2.cvtColor(small, code), np.uint8)


@dataclass(frozen=True)
class TensorSpec:
    """A model's picture input as its file describes it.

    `shape` has four axes, each of which may be 0 for "any"; `scale` and `zero_point` are those of a quantised tensor
    (real value = (stored - zero_point) * scale), `scale` 0 when it is not quantised.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float = 0.0
    zero_point: int = 0


class InputTensor:
    """The model's input tensor, made once; `fill` writes a picture into it as card and file want it.

    Real value of a pixel p (0-255): (p - mean) / std. What is not the pixels themselves is looked up in a table: to
    compute it takes numpy longer, for half precision thirty times as long.
    """

    def __init__(self, spec: InputSpec, tensor: TensorSpec, where: str) -> None:
        height, width = spec.height, spec.width
        self._nchw = _fits(tensor.shape, (1, 3, height, width))
        if not self._nchw and not _fits(tensor.shape, (1, height, width, 3)):
            raise ModelError(
                f"{where}: the model's input '{tensor.name}' is {list(tensor.shape)}, the card says one picture of "
                f"{width}x{height}: correct input.width and input.height in the card"
            )
        self._rgb = spec.colour == "RGB"
        table = _table(spec, tensor, where)
        self._plain = tensor.dtype in (np.uint8, np.float32) and np.array_equal(table.T, [range(256)] * 3)
        shape = (1, 3, height, width) if self._nchw else (1, height, width, 3)
        self._array: NDArray[Any] = np.zeros(shape, tensor.dtype)
        stored = self._array[0]
        if tensor.dtype == np.float16:  # which OpenCV 4 cannot look up: its bit patterns can be
            table, stored = table.view(np.int16), stored.view(np.int16)
        self._tables = list(np.ascontiguousarray(table.T)) if self._nchw else [table[None]]
        self._targets = list(stored) if self._nchw else [stored]
        self._ready = self._plain and tensor.dtype == np.uint8 and not self._nchw and not self._rgb

    def fill(self, image: Picture) -> NDArray[Any]:
        """Return the tensor for a BGR picture (height, width, 3) of the model's size; reused by the next call."""
        if self._ready:
            return image[None]
        if self._nchw:
            parts = cv2.split(image)[:: -1 if self._rgb else 1]
        else:
            parts = [cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if self._rgb else image]
        for part, table, target in zip(parts, self._tables, self._targets, strict=True):
            if self._plain:
                target[:] = part
            else:
                cv2.LUT(part, table, target)
        return self._array


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Tell whether a file's shape, with 0 where it takes any length, is the wanted one."""
    return len(shape) == len(wanted) and all(n in (0, w) for n, w in zip(shape, wanted, strict=True))


def _table(spec: InputSpec, tensor: TensorSpec, where: str) -> NDArray[Any]:
    """Return what stands for each pixel value and channel in the tensor, in its type, (256, 3)."""
    mean, std = np.array(spec.mean, np.float32), np.array(spec.std, np.float32)
    real = (np.arange(256, dtype=np.float32)[:, None] - mean) / std
    if tensor.dtype.kind == "f":
        return real.astype(tensor.dtype)
    if tensor.dtype not in (np.uint8, np.int8):
        raise ModelError(f"{where}: the input '{tensor.name}' is {tensor.dtype}: only float and 8-bit ones are known")
    stored = real / tensor.scale + tensor.zero_point if tensor.scale else real
    limits = np.iinfo(tensor.dtype)
    return np.asarray(np.clip(np.rint(stored), limits.min, limits.max), tensor.dtype)
