"""Clips as answers: the whole file or a part of it, in pieces, each read by a worker that is free at once."""

from __future__ import annotations

import os
import re
from functools import partial
from typing import IO

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from soteirad.errors import StorageError
from soteirad.web.answers import Failure
from soteirad.web.stream import until_gone
from soteirad.web.workers import Workers

PIECE = 256 * 1024
TOO_MANY = "too many clips are being fetched: wait until one of them is done and try again"
_CACHE = "private, max-age=3600, immutable"
"""A complete clip never changes."""
_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")


class Clip:
    """An answer with a file's bytes; it closes the file.

    One range is honoured. Several, or what is no range of bytes, are passed over, as a server may: the answer is then
    the whole file.
    """

    def __init__(self, file: IO[bytes], workers: Workers) -> None:
        self._file = file
        self._workers = workers
        facts = os.fstat(file.fileno())
        self._size = facts.st_size
        self._tag = f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"'

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises Failure, and StorageError for a disk that fails on the way."""
        with self._file:
            asked = Headers(scope=scope)
            if self._tag in asked.get("if-none-match", ""):
                await self._begin(send, 304, {})
                await _end(send)
                return
            part = self._part(asked)
            start, end = (0, self._size) if part is None else part
            headers = {"content-type": "video/mp4", "content-length": str(end - start)}
            if part is not None:
                headers["content-range"] = f"bytes {start}-{end - 1}/{self._size}"
            if scope["method"] == "HEAD":
                await self._begin(send, 200 if part is None else 206, headers)
                await _end(send)
                return
            if not self._workers.take_download():
                raise Failure(503, TOO_MANY, {"Retry-After": "5"})
            try:
                await self._begin(send, 200 if part is None else 206, headers)
                await until_gone(self._pump(start, end, send), receive)
            finally:
                self._workers.give_download()

    def _part(self, asked: Headers) -> tuple[int, int] | None:
        """Return where the part that is asked for begins and ends; None for the whole."""
        if asked.get("if-range", self._tag) != self._tag:
            return None
        try:
            return part_of(asked.get("range", ""), self._size)
        except ValueError:
            text = f"this clip ends before that: it has {self._size} bytes"
            raise Failure(416, text, {"Content-Range": f"bytes */{self._size}"}) from None

    async def _begin(self, send: Send, status: int, headers: dict[str, str]) -> None:
        told = {"accept-ranges": "bytes", "cache-control": _CACHE, "etag": self._tag, **headers}
        raw = [(name.encode(), value.encode()) for name, value in told.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})

    async def _pump(self, start: int, end: int, send: Send) -> None:
        handle = self._file.fileno()
        while start < end:
            try:
                data = await self._workers.short(partial(os.pread, handle, min(PIECE, end - start), start))
            except OSError as error:
                raise StorageError(f"a clip cannot be read: {error.strerror}") from error
            if not data:
                raise StorageError("a clip is shorter than it was")
            start += len(data)
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await _end(send)


def part_of(header: str, size: int) -> tuple[int, int] | None:
    """Return the first byte and the one after the last that a Range header asks for; None if it asks for no one range.

    Raises ValueError for a range that has no byte of so many.
    """
    found = _RANGE.fullmatch(header.strip().lower())
    if found is None:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        start, end = max(0, size - int(suffix)), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= size or start >= end:
        raise ValueError(header)
    return start, end


async def _end(send: Send) -> None:
    await send({"type": "http.response.body", "body": b""})
