"""HTTP to a model's server: one connection for one request, with a limit in time and one in size.

Nothing of the environment has a say in it: no proxy, no netrc, no header, no file for TLS keys. Only `client.py`
imports this module, when a question is asked for the first time.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import httpcore2
import httpx2

from soteirad.config.address import is_private

LARGEST_ANSWER = 256 * 1024
"""Bytes of one answer, its headers among them; what is asked for is a few hundred bytes of JSON."""
_HEADERS_TOO_LARGE = 431
"""The status with which h11 means that headers never end."""
_KEPT_HEADERS = (b"content-type", b"retry-after")


class TransportFailure(httpx2.TransportError):
    """No whole answer came. `reason` is in an owner's words; `again` says whether it may be otherwise soon."""

    def __init__(self, reason: str, again: bool = True) -> None:
        self.reason = reason
        self.again = again
        super().__init__(reason)


class Transport(httpx2.BaseTransport):
    """Sends each request over a connection of its own and reads the whole answer before it returns.

    `headers` are sent with each request, and of the request's own none. A request may last `timeout` seconds from its
    start, or less if its own read timeout says so; of them `connect_timeout` for a connection, and again for its
    encryption. With `local_only` only private addresses are connected to. `context` replaces this system's trust.
    Raises `TransportFailure`.
    """

    def __init__(self, headers: Mapping[str, str], *, local_only: bool, connect_timeout: float, timeout: float,
                 context: ssl.SSLContext | None = None, largest_answer: int = LARGEST_ANSWER) -> None:  # fmt: skip
        self._headers = dict(headers)
        self._local_only = local_only
        self._connect_timeout = connect_timeout
        self._timeout = timeout
        self._context = context
        self._largest_answer = largest_answer
        self._lock = threading.Lock()
        self._calls: set[_Call] = set()
        self._closed = False

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send `request` and return the answer with its body read."""
        wanted = request.extensions.get("timeout", {}).get("read")
        call = _Call(self._timeout if wanted is None else min(wanted, self._timeout), self._largest_answer)
        backend = _Backend(call, self._connect_timeout, self._local_only)
        with (
            self._listed(call),
            httpcore2.ConnectionPool(ssl_context=self._trust(request), network_backend=backend, retries=0) as pool,
        ):
            return _exchange(pool, self._dressed(request), call)

    def close(self) -> None:
        """Break off what is under way and refuse what comes later."""
        with self._lock:
            self._closed = True
            calls = list(self._calls)
        for call in calls:
            call.stop()

    def _trust(self, request: httpx2.Request) -> ssl.SSLContext | None:
        """Return which certificates are trusted; those of this system, which take some megabytes, only for https."""
        with self._lock:
            if self._context is None and request.url.scheme == "https":
                # One of ssl.create_default_context would write TLS keys where the environment says.
                self._context = httpx2.create_ssl_context(trust_env=False)
            return self._context

    @contextmanager
    def _listed(self, call: _Call) -> Iterator[None]:
        with self._lock:
            if self._closed:
                call.stop()
            self._calls.add(call)
        try:
            yield
        finally:
            with self._lock:
                self._calls.discard(call)

    def _dressed(self, request: httpx2.Request) -> httpcore2.Request:
        """Return the request as it goes out, with our headers alone."""
        body = request.read()
        headers = {
            "Host": request.url.netloc.decode("ascii"), "Content-Type": "application/json",
            "Content-Length": str(len(body)), "Accept": "application/json", "Accept-Encoding": "identity",
            "Connection": "close", **self._headers,
        }  # fmt: skip
        return httpcore2.Request(
            request.method,
            httpcore2.URL(scheme=request.url.raw_scheme, host=request.url.raw_host, port=request.url.port,
                          target=request.url.raw_path),
            headers=[(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()],
            content=body,
        )  # fmt: skip


class _Call:
    """What one request has left of its time and its size, and the socket it uses."""

    def __init__(self, seconds: float, largest_answer: int) -> None:
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._largest_answer = largest_answer
        self._received = 0
        self._ended = False
        self._stopped = False
        self._socket: socket.socket | None = None

    def left(self) -> float:
        """Return the seconds left; raises when there are none."""
        if self._stopped:
            raise self._was_stopped()
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise self.late()
        return left

    def late(self) -> TransportFailure:
        return TransportFailure(f"no answer within {self._seconds:.3g} s")

    def use(self, sock: socket.socket) -> None:
        """Remember the socket that `stop` is to shut down."""
        self._socket = sock

    def took(self, data: bytes) -> None:
        """Count what was received; nothing is the end."""
        self._ended = not data
        if not self._received and not data.startswith(b"HTTP/"[: len(data)]):
            raise self._no_http()
        self._received += len(data)
        if self._received > self._largest_answer:
            raise self._too_large()

    def broke(self) -> None:
        """The connection is gone."""
        self._ended = True

    def stop(self) -> None:
        """Wake the thread that waits for this socket; from another thread."""
        self._stopped = True
        if self._socket is not None:
            with suppress(OSError):
                # The plain socket's: an SSLSocket's takes its TLS object away from under the other thread.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def failure(self, error: Exception) -> TransportFailure:
        """Say what an error of the library means at this point of the call."""
        if self._stopped:
            return self._was_stopped()
        if any(getattr(why, "error_status_hint", None) == _HEADERS_TOO_LARGE for why in error.args):
            return self._too_large()
        if not self._ended:
            return self._no_http()
        if self._received:
            return TransportFailure("it closed the connection in the middle of its answer")
        return TransportFailure("it closed the connection without an answer")

    def _was_stopped(self) -> TransportFailure:
        return TransportFailure("it was broken off, since we stop", again=False)

    def _no_http(self) -> TransportFailure:
        return TransportFailure("what it answers is no HTTP: check the port in base_url", again=False)

    def _too_large(self) -> TransportFailure:
        size = self._largest_answer // 1024
        return TransportFailure(f"its answer is larger than {size} kB, which is no answer to a question", again=False)


class _Backend(httpcore2.NetworkBackend):
    """Opens the connection of one call, to an address that is allowed."""

    def __init__(self, call: _Call, connect_timeout: float, local_only: bool) -> None:
        self._call = call
        self._connect_timeout = connect_timeout
        self._local_only = local_only

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
                    socket_options: Iterable[Any] | None = None) -> httpcore2.NetworkStream:  # fmt: skip
        addresses = self._resolve(host, port)
        until = time.monotonic() + self._connect_timeout
        seconds = f"{self._connect_timeout:g} s"
        failure = TransportFailure(f"no connection within {seconds}: is it on, and is base_url right?")
        for index, (family, address) in enumerate(addresses):
            # A first address that swallows everything must leave some time for the second one.
            share = (until - time.monotonic()) / (len(addresses) - index)
            if share <= 0:
                break
            try:
                sock = self._connect(family, address, min(share, self._call.left()))
            except TimeoutError:
                continue
            except ConnectionRefusedError:
                failure = TransportFailure("nothing listens there: is it running, and is the port right?")
            except OSError as error:
                failure = TransportFailure(f"it cannot be reached ({error.strerror or type(error).__name__})")
            else:
                return self._checked(sock, host)
        self._call.left()
        raise failure

    def _resolve(self, host: str, port: int) -> list[tuple[int, Any]]:
        """Return families and addresses, as the system orders them.

        A look-up cannot be broken off: one that hangs lasts as long as the system's resolver lets it, and only then
        is the call found to be late.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise TransportFailure("the host name cannot be resolved: check base_url") from None
        addresses: list[tuple[int, Any]] = list(dict.fromkeys((family, address) for family, *_, address in found))
        allowed = [each for each in addresses if not self._local_only or is_private(each[1][0])]
        if addresses and not allowed:
            raise _public(host, addresses[0][1][0])
        return allowed

    def _connect(self, family: int, address: Any, seconds: float) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._call.use(sock)
            sock.settimeout(seconds)
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            sock.close()
            raise
        return sock

    def _checked(self, sock: socket.socket, host: str) -> httpcore2.NetworkStream:
        """Return the connection, unless its other end is not where it was sought."""
        try:
            peer = sock.getpeername()[0]
            self._call.left()
            if self._local_only and not is_private(peer):
                raise _public(host, peer)
        except OSError:
            sock.close()
            raise TransportFailure("it closed the connection without an answer") from None
        except TransportFailure:
            sock.close()
            raise
        return _Stream(sock, self._call, self._connect_timeout)


class _Stream(httpcore2.NetworkStream):
    """The connection of one call; every wait ends with the call's time, whatever the library says."""

    def __init__(self, sock: socket.socket, call: _Call, connect_timeout: float) -> None:
        self._socket = sock
        self._call = call
        self._connect_timeout = connect_timeout

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._socket.settimeout(self._call.left())
        try:
            data = self._socket.recv(max_bytes)
        except TimeoutError:
            raise self._call.late() from None
        except OSError as error:
            self._call.broke()
            raise httpcore2.ReadError(error) from error
        self._call.took(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        view = memoryview(buffer)
        while view:
            self._socket.settimeout(self._call.left())
            try:
                view = view[self._socket.send(view) :]
            except TimeoutError:
                raise self._call.late() from None
            except OSError as error:
                # The library then reads what the server said before it closed.
                raise httpcore2.WriteError(error) from error

    def start_tls(self, ssl_context: ssl.SSLContext, server_hostname: str | None = None,
                  timeout: float | None = None) -> httpcore2.NetworkStream:  # fmt: skip
        try:
            self._socket.settimeout(min(self._connect_timeout, self._call.left()))
            encrypted = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname)
        except TransportFailure:
            self.close()
            raise
        except (OSError, ValueError) as error:
            self.close()
            self._call.left()
            raise self._tls_failure(error) from None
        self._call.use(encrypted)
        return _Stream(encrypted, self._call, self._connect_timeout)

    def close(self) -> None:
        self._socket.close()

    def get_extra_info(self, info: str) -> Any:
        """Nothing: HTTP/2, which the library would look for here, is not wanted."""
        return None

    def _tls_failure(self, error: Exception) -> TransportFailure:
        if isinstance(error, ssl.SSLCertVerificationError):
            why = getattr(error, "verify_message", "") or "not trusted"
            return TransportFailure(f"its certificate is not accepted ({why}): if it is your own, add its authority to "
                                    "the certificates that this system trusts", again=False)  # fmt: skip
        if isinstance(error, TimeoutError):
            return TransportFailure(f"no encrypted connection within {self._connect_timeout:g} s: does it speak https?")
        return TransportFailure("no encrypted connection: does it speak https?")


def _exchange(pool: httpcore2.ConnectionPool, request: httpcore2.Request, call: _Call) -> httpx2.Response:
    try:
        response = pool.handle_request(request)
    except (httpcore2.ProtocolError, httpcore2.NetworkError, httpcore2.TimeoutException) as error:
        raise call.failure(error) from None
    headers = [(name.lower(), value) for name, value in response.headers]
    zipped = any(name == b"content-encoding" and value.strip().lower() not in (b"", b"identity")
                 for name, value in headers)  # fmt: skip
    if zipped and response.status < 300:
        raise TransportFailure("it compresses its answer, although it is asked not to: switch that off in what stands "
                               "before it", again=False)  # fmt: skip
    parts: list[bytes] = []
    try:
        parts += response.iter_stream()
    except TransportFailure:
        # With an error the status says enough.
        if response.status < 300:
            raise
    except (httpcore2.ProtocolError, httpcore2.NetworkError, httpcore2.TimeoutException) as error:
        if response.status < 300:
            raise call.failure(error) from None
    kept = [(name, value) for name, value in headers if name in _KEPT_HEADERS]
    return httpx2.Response(response.status, headers=kept, content=b"" if zipped else b"".join(parts))


def _public(host: str, address: str) -> TransportFailure:
    return TransportFailure(f"{host} is {address}, an address of the internet, which llm.local_only refuses",
                            again=False)  # fmt: skip
