"""When a picture was drawn and which one it is, written into the picture itself: black and white blocks at its top.

64 bits in two rows of 32 blocks, the highest bit first: 32 bits of milliseconds, 24 bits of the picture's number, and
8 bits by which a misread pattern is known (CRC-8). A block is a fortieth of the picture's width: one macroblock of
H.264 at 640 pixels, four at 1280. `time_pattern.js` reads the same in a browser.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

COLUMNS, ROWS = 32, 2
ACROSS = 40
"""Blocks that the picture is wide."""
BLACK, WHITE = 16, 235
BETWEEN = 125.5
MS_MODULUS, NUMBER_MODULUS = 2**32, 2**24
SCRIPT = Path(__file__).with_suffix(".js")
_POLYNOMIAL, _BEGIN = 0x07, 0xFF
"""Begun with zero, a black picture would be a valid pattern."""

Picture = NDArray[np.uint8]


class Stamp(NamedTuple):
    """The system's clock when a picture was drawn (ms since the epoch, modulo 2**32), and its number (modulo 2**24)."""

    ms: int
    number: int


def write_stamp(luma: Picture, stamp: Stamp) -> None:
    """Write a stamp into the upper left corner of a luma plane (height, width) of limited range."""
    payload = (stamp.ms % MS_MODULUS).to_bytes(4, "big") + (stamp.number % NUMBER_MODULUS).to_bytes(3, "big")
    word = np.frombuffer(payload + bytes([_crc(payload)]), np.uint8)
    levels = np.where(np.unpackbits(word), WHITE, BLACK).astype(np.uint8).reshape(ROWS, COLUMNS)
    block = luma.shape[1] // ACROSS
    luma[: ROWS * block, : COLUMNS * block] = levels.repeat(block, axis=0).repeat(block, axis=1)


def read_stamp(luma: Picture) -> Stamp | None:
    """Return the stamp in a luma plane (height, width) of limited range that may have been compressed; None without."""
    block = luma.shape[1] // ACROSS
    if block == 0 or luma.shape[0] < ROWS * block:
        return None
    inset = block // 4
    blocks = luma[: ROWS * block, : COLUMNS * block].reshape(ROWS, block, COLUMNS, block)
    means = blocks[:, inset : block - inset, :, inset : block - inset].mean(axis=(1, 3))
    word = np.packbits(means.ravel() > BETWEEN).tobytes()
    if _crc(word[:7]) != word[7]:
        return None
    return Stamp(int.from_bytes(word[:4], "big"), int.from_bytes(word[4:7], "big"))


def age_ms(now_ms: float, stamp_ms: float) -> float:
    """Return how much later `now_ms` is than a stamp's milliseconds, either of which may be counted modulo 2**32."""
    return (now_ms - stamp_ms + MS_MODULUS / 2) % MS_MODULUS - MS_MODULUS / 2


def _crc(data: bytes) -> int:
    crc = _BEGIN
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ _POLYNOMIAL) & 0xFF if crc & 0x80 else crc << 1
    return crc
