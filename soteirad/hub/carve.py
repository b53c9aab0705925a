"""Rows out of a damaged SQLite file: read page by page, without its trees, its indexes or its schema.

What SQLite calls a table's leaf is a page that names its own cells, so one page that is lost costs the rows on it and
no others. The write-ahead log beside the file is read the same way. Nothing is ever written.
"""

from __future__ import annotations

import errno
import re
import struct
from collections import Counter, defaultdict
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

Value = int | float | str | bytes | None
MAGIC = b"SQLite format 3\0"
DEFAULT_PAGE = 4096
WAL_HEADER, FRAME_HEADER = 32, 24
_WAL_MAGIC = (0x377F0682, 0x377F0683)
_LEAF, _OTHER_TREES = 13, (2, 5, 10)
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_MOST_PAGES = 1 << 26
"""A page's number beyond this (256 GB) is damage."""
_FEW = 16
"""So many pages that cannot be read, or a tenth, are bad places on the disk; more is a disk that is not there."""
_LONGEST = 1 << 24
"""No record of ours is longer."""
_RECORD = re.compile(rb"[\x08-\x14]\x00\x41")
"""How the record of an event begins: its own length, no first column, and an id of 26 characters."""
_LONGEST_START = 14
"""Bytes before that, of the cell that it is in."""


@dataclass(frozen=True)
class Cell:
    """One row as it is stored; without `sure` it is what was there once, and may be gone or changed since."""

    rowid: int
    values: tuple[Value, ...]
    sure: bool


@dataclass(frozen=True)
class WalHeader:
    """The beginning of a write-ahead log: `salts` mark the frames that belong to it."""

    big_endian: bool
    page_size: int
    salts: bytes
    checksum: tuple[int, int]
    intact: bool


class _BadCellError(ValueError):
    """These bytes are no row."""


def carve(file: Path) -> Iterator[Cell]:
    """Yield all rows that can be read of the SQLite file and of its `-wal`, in no order and perhaps some twice.

    A few pages that the disk cannot read are lost. Raises OSError if it cannot read more; whatever the bytes are, it
    raises nothing else.
    """
    pages = _Pages(file)
    try:
        free = pages.free()
        for number in pages.numbers():
            if number not in free:
                yield from _rows(pages, number)
    finally:
        pages.close()


def read_wal_header(data: bytes) -> WalHeader | None:
    """Return what the beginning of a write-ahead log says; None if that is no such beginning."""
    if len(data) < WAL_HEADER:
        return None
    magic, _version, size, _number = struct.unpack(">4I", data[:16])
    if magic not in _WAL_MAGIC or not _is_page_size(size):
        return None
    big = magic == _WAL_MAGIC[1]
    found = wal_checksum(data[:24], big, (0, 0))
    return WalHeader(big, size, data[16:24], found, found == struct.unpack(">2I", data[24:32]))


def wal_checksum(data: bytes, big_endian: bool, start: tuple[int, int]) -> tuple[int, int]:
    """Return SQLite's checksum over `data` (a multiple of 8 bytes), going on from `start`."""
    first, second = start
    words = struct.unpack(f"{'>' if big_endian else '<'}{len(data) // 4}I", data)
    for index in range(0, len(words), 2):
        first = (first + words[index] + second) & 0xFFFFFFFF
        second = (second + words[index + 1] + first) & 0xFFFFFFFF
    return first, second


class _Pages:
    """The pages of a file and of its log, by their numbers (from 1)."""

    def __init__(self, file: Path) -> None:
        self._file: BinaryIO | None = None
        self._wal: BinaryIO | None = None
        self._unreadable: set[int] = set()
        self._frames: defaultdict[int, list[int]] = defaultdict(list)
        with suppress(FileNotFoundError):
            self._file = file.open("rb")
        with suppress(FileNotFoundError):
            self._wal = file.with_name(f"{file.name}-wal").open("rb")
        head = self._file.read(100) if self._file is not None else b""
        wal_head = read_wal_header(self._wal.read(WAL_HEADER)) if self._wal is not None else None
        said = (_page_size(head), wal_head.page_size if wal_head is not None else 0, DEFAULT_PAGE)
        self.size = _likeliest(self._file, [size for size in dict.fromkeys(said) if size])
        self._count = -(-self._file.seek(0, 2) // self.size) if self._file is not None else 0
        self._find_frames(wal_head)

    def close(self) -> None:
        for file in (self._file, self._wal):
            if file is not None:
                file.close()

    def numbers(self) -> list[int]:
        return sorted({*range(1, self._count + 1), *self._frames})

    def versions(self, number: int) -> Iterator[bytes]:
        """Yield what a page was, the newest first; what is missing at the file's end is zeros."""
        for offset in reversed(self._frames.get(number, [])):
            yield self._read(self._wal, offset)
        if number <= self._count:
            yield self._read(self._file, (number - 1) * self.size)

    def newest(self, number: int) -> bytes:
        return next(self.versions(number), b"")

    def free(self) -> set[int]:
        """Return the pages that are in no use: they still hold what they held before."""
        head = self.newest(1)
        if not head.startswith(MAGIC):
            return set()
        found: set[int] = set()
        trunk = int.from_bytes(head[32:36], "big")
        while 0 < trunk <= _MOST_PAGES and trunk not in found:
            page = self.newest(trunk)
            count = int.from_bytes(page[4:8], "big")
            if len(page) < self.size or count > self.size // 4 - 2:
                return set()  # the list itself is damaged
            found.add(trunk)
            found.update(struct.unpack(f">{count}I", page[8 : 8 + 4 * count]))
            trunk = int.from_bytes(page[:4], "big")
        return found

    def _find_frames(self, header: WalHeader | None) -> None:
        if self._wal is None:
            return
        found: list[tuple[int, int, bytes]] = []
        end = self._wal.seek(0, 2)
        for start in range(WAL_HEADER, end - FRAME_HEADER, FRAME_HEADER + self.size):
            self._wal.seek(start)
            head = self._wal.read(FRAME_HEADER)
            found.append((start + FRAME_HEADER, int.from_bytes(head[:4], "big"), head[8:16]))
        salts = header.salts if header is not None else b""
        if header is None or all(mark != salts for *_, mark in found):
            # The log is written from its beginning, so what is there is of today; what is left behind it may be older.
            salts = Counter(mark for *_, mark in found[:8]).most_common(1)[0][0] if found else b""
        for offset, number, mark in found:
            if mark == salts and 0 < number <= _MOST_PAGES:
                self._frames[number].append(offset)

    def _read(self, file: BinaryIO | None, offset: int) -> bytes:
        if file is None:
            return b""
        try:
            file.seek(offset)
            return file.read(self.size).ljust(self.size, b"\0")
        except OSError as error:
            self._unreadable.add(offset)
            if error.errno != errno.EIO or len(self._unreadable) > max(_FEW, self._count // 10):
                raise
            return bytes(self.size)


def _rows(pages: _Pages, number: int) -> Iterator[Cell]:
    """Yield the rows of a page as it is, and as it was in the log before: what is there now is `sure`."""
    sure = True
    for page in pages.versions(number):
        start = 100 if number == 1 else 0
        kind = page[start]
        clean = kind in _OTHER_TREES
        if kind == _LEAF:
            clean = yield from _named(pages, page, start, sure)
        if not clean:
            yield from _anywhere(pages, page)
        sure = sure and not clean


def _named(pages: _Pages, page: bytes, start: int, sure: bool) -> Generator[Cell, None, bool]:
    """Yield the cells that a leaf names; returns whether all of them could be read."""
    count = int.from_bytes(page[start + 3 : start + 5], "big")
    first = start + 8
    clean = first + 2 * count <= len(page)
    for index in range(first, min(first + 2 * count, len(page) - 1), 2):
        try:
            yield _cell(pages, page, int.from_bytes(page[index : index + 2], "big"), sure)
        except _BadCellError:
            clean = False
    return clean


def _anywhere(pages: _Pages, page: bytes) -> Iterator[Cell]:
    """Yield all that could be a row with an event, whether or not the page still names it."""
    for found in _RECORD.finditer(page):
        for offset in range(max(0, found.start() - _LONGEST_START), found.start()):
            with suppress(_BadCellError):
                cell = _cell(pages, page, offset, sure=False)
                if len(cell.values) == 8 and cell.values[0] is None:
                    yield cell


def _cell(pages: _Pages, page: bytes, offset: int, sure: bool) -> Cell:
    length, offset = _varint(page, offset)
    rowid, offset = _varint(page, offset)
    if not 0 < length <= _LONGEST:
        raise _BadCellError
    data = _payload(pages, page, offset, length)
    return Cell(rowid, tuple(_values(data)), sure)


def _payload(pages: _Pages, page: bytes, offset: int, length: int) -> bytes:
    """Return a record, with what of it lies on other pages."""
    usable = pages.size
    local = length
    if length > usable - 35:
        least = (usable - 12) * 32 // 255 - 23
        local = least + (length - least) % (usable - 4)
        local = local if local <= usable - 35 else least
    data = page[offset : offset + local]
    if len(data) < local:
        raise _BadCellError
    if local == length:
        return data
    parts, missing = [data], length - local
    following, seen = int.from_bytes(page[offset + local : offset + local + 4], "big"), set()
    while missing > 0:
        if following in seen or not 0 < following <= _MOST_PAGES:
            raise _BadCellError
        seen.add(following)
        more = pages.newest(following)
        if len(more) < usable:
            raise _BadCellError
        parts.append(more[4 : 4 + missing])
        missing -= usable - 4
        following = int.from_bytes(more[:4], "big")
    return b"".join(parts)


def _values(data: bytes) -> Iterator[Value]:
    """Yield the columns of a record."""
    end, offset = _varint(data, 0)
    if not offset <= end <= len(data):
        raise _BadCellError
    kinds = []
    while offset < end:
        kind, offset = _varint(data, offset)
        kinds.append(kind)
    if offset != end:
        raise _BadCellError
    for kind in kinds:
        size = _INTEGERS.get(kind, 8 if kind == 7 else 0 if kind < 12 else (kind - 12) // 2)
        part = data[offset : offset + size]
        if len(part) < size or kind in (10, 11) or kind < 0:
            raise _BadCellError
        offset += size
        yield _value(kind, part)
    if offset != len(data):
        raise _BadCellError


def _value(kind: int, part: bytes) -> Value:
    if kind in _INTEGERS:
        return int.from_bytes(part, "big", signed=True)
    if kind == 7:
        return float(struct.unpack(">d", part)[0])
    if kind < 12:
        return None if kind == 0 else kind - 8
    if kind % 2 == 0:
        return part
    try:
        return part.decode()
    except UnicodeDecodeError:
        raise _BadCellError from None


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    """Return a number of SQLite's, and where it ends; the ninth byte counts as a whole."""
    value = 0
    for index in range(9):
        if offset >= len(data):
            raise _BadCellError
        byte = data[offset]
        offset += 1
        if index == 8:
            value = value << 8 | byte
            return (value - (1 << 64) if value >> 63 else value), offset
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return value, offset


def _page_size(head: bytes) -> int:
    """Return the page size that a file's header gives, 0 if it gives none."""
    size = int.from_bytes(head[16:18], "big") if head.startswith(MAGIC) else 0
    size = 65536 if size == 1 else size
    return size if _is_page_size(size) else 0


def _likeliest(file: BinaryIO | None, sizes: list[int]) -> int:
    """Return the size at whose pages most trees begin."""
    if file is None or len(sizes) == 1:
        return sizes[0]

    def trees(size: int) -> float:
        starts = range(size, min(file.seek(0, 2), size * 1000), size)
        return sum(_byte(file, start) in (_LEAF, *_OTHER_TREES) for start in starts) / max(1, len(starts))

    return max(sizes, key=trees)


def _byte(file: BinaryIO, offset: int) -> int:
    file.seek(offset)
    return int.from_bytes(file.read(1), "big")


def _is_page_size(size: int) -> bool:
    return 512 <= size <= 65536 and size & (size - 1) == 0
