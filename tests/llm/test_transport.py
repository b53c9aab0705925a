"""The transport on real sockets: where it connects to, how long it waits and how much it takes."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from soteirad.llm.transport import LARGEST_ANSWER, Transport, TransportFailure
from tests.brokers import free_port
from tests.certificates import Authority
from tests.http_receiver import Receiver, status

PUBLIC = "203.0.113.7"
Script = Callable[[socket.socket, threading.Event], None]


class Raw:
    """A server that does with each connection what `script` says, and counts the connections."""

    def __init__(self, script: Script) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._script = script
        self.released = threading.Event()
        self.accepted = 0
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1/chat/completions"

    def __enter__(self) -> Raw:
        threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._listener.close()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.accepted += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self._script(connection, self.released)


def says(data: bytes, again: bytes = b"", every: float = 0.05) -> Script:
    """Read the request, answer with `data`, and with `again` over and over."""

    def script(connection: socket.socket, released: threading.Event) -> None:
        # Whoever closes with something unread takes back what they said.
        request = b"".join(iter(lambda: connection.recv(1), b"}"))
        assert request.endswith(b"{")
        connection.sendall(data)
        while again and not released.wait(every):
            connection.sendall(again)

    return script


def post(url: str, content: bytes = b"{}", seconds: float | None = None, **options: Any) -> httpx2.Response:
    made = {"local_only": False, "connect_timeout": 5.0, "timeout": 30.0, **options}
    with httpx2.Client(transport=Transport({}, **made), trust_env=False) as client:
        return client.post(url, content=content, timeout=seconds)


def failure(url: str, **options: Any) -> TransportFailure:
    with pytest.raises(TransportFailure) as caught:
        post(url, **options)
    return caught.value


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver().start()
    yield found
    found.stop()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Names and what they resolve to, in this order."""
    known: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host not in known:
            return real(host, port, *args, **options)
        return [found for address in known[host] for found in real(address, port, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that were connected to; those that are not of this machine swallow everything."""
    addresses: list[str] = []
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        addresses.append(address[0])
        if address[0] not in ("127.0.0.1", "::1"):
            raise TimeoutError
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    return addresses


def test_an_answer_comes_back_with_status_type_and_body(receiver: Receiver) -> None:
    receiver.then(status(201, b'{"a": 1}', Content_Type="application/json", Set_Cookie="a=b"))
    response = post(receiver.url, b"x" * 300_000)
    assert (response.status_code, response.content, dict(response.headers)["content-type"]) == (
        201, b'{"a": 1}', "application/json"
    )  # fmt: skip
    assert receiver.asked()[0].body == b"x" * 300_000


def test_each_request_has_a_connection_of_its_own() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    transport = Transport({}, local_only=False, connect_timeout=5.0, timeout=30.0)
    with Raw(says(answer, b"")) as server, httpx2.Client(transport=transport, trust_env=False) as client:
        for _ in range(3):
            assert client.post(server.url, content=b"{}").text == "{}"
        assert server.accepted == 3


def test_a_public_address_is_refused_before_a_connection_is_made(tried: list[str]) -> None:
    error = failure(f"http://{PUBLIC}/v1", local_only=True)
    assert error.reason == f"{PUBLIC} is {PUBLIC}, an address of the internet, which llm.local_only refuses"
    assert not error.again
    assert not tried


def test_a_name_of_a_public_address_is_refused_before_a_connection_is_made(
    names: dict[str, list[str]], tried: list[str]
) -> None:
    names["model.example"] = [PUBLIC, "2001:db8::1"]
    error = failure("http://model.example/v1", local_only=True)
    assert error.reason == f"model.example is {PUBLIC}, an address of the internet, which llm.local_only refuses"
    assert not tried


def test_of_a_name_with_public_and_private_addresses_only_the_private_are_tried(
    names: dict[str, list[str]], tried: list[str], receiver: Receiver
) -> None:
    names["model.example"] = [PUBLIC, "::ffff:203.0.113.8", "10.255.255.1", "127.0.0.1"]
    port = receiver.host.rpartition(":")[2]
    assert post(f"http://model.example:{port}/", local_only=True).status_code == 200
    assert tried == ["10.255.255.1", "127.0.0.1"]


def test_without_local_only_all_addresses_are_tried_in_order(
    names: dict[str, list[str]], tried: list[str], receiver: Receiver
) -> None:
    names["model.example"] = [PUBLIC, "127.0.0.1"]
    assert post(f"http://model.example:{receiver.host.rpartition(':')[2]}/").status_code == 200
    assert tried == [PUBLIC, "127.0.0.1"]


def test_a_connection_that_ends_elsewhere_than_sought_is_closed_before_a_byte_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    came: list[bytes] = []
    over = threading.Event()

    def script(connection: socket.socket, _: threading.Event) -> None:
        came.append(connection.recv(65536))
        over.set()

    monkeypatch.setattr(socket.socket, "getpeername", lambda _: (PUBLIC, 80))
    with Raw(script) as server:
        error = failure(server.url, local_only=True)
        assert over.wait(30)
    assert error.reason == f"127.0.0.1 is {PUBLIC}, an address of the internet, which llm.local_only refuses"
    assert came == [b""]


def test_a_name_that_becomes_another_address_after_the_check_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, tried: list[str], receiver: Receiver
) -> None:
    looked_up: list[str] = []

    def once(host: str, port: int, **_: Any) -> Any:
        looked_up.append(host)
        address = "127.0.0.1" if len(looked_up) == 1 else PUBLIC
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", once)
    assert post(f"http://model.example:{receiver.host.rpartition(':')[2]}/", local_only=True).status_code == 200
    assert (looked_up, tried) == (["model.example"], ["127.0.0.1"])


def test_addresses_that_do_not_answer_are_given_up(names: dict[str, list[str]], tried: list[str]) -> None:
    names["model.example"] = ["10.255.255.1", "10.255.255.2"]
    error = failure("http://model.example/v1")
    assert error.reason == "no connection within 5 s: is it on, and is base_url right?"
    assert error.again
    assert len(tried) == 2


def test_a_first_address_that_does_not_answer_leaves_time_for_the_second(
    names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float | None] = []

    def connect(self: socket.socket, _: Any) -> None:
        given.append(self.gettimeout())
        raise TimeoutError

    monkeypatch.setattr(socket.socket, "connect", connect)
    names["model.example"] = ["10.255.255.1", "10.255.255.2"]
    failure("http://model.example/v1", connect_timeout=20.0)
    first, second = given
    assert first is not None
    assert second is not None
    assert first <= 10 < second <= 20


def test_a_port_without_a_server_is_told() -> None:
    assert "nothing listens there" in failure(f"http://127.0.0.1:{free_port()}/").reason


def test_a_name_that_cannot_be_one_is_told() -> None:
    assert "cannot be resolved" in failure("http://" + "a" * 70 + ".example/").reason


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "script",
    [
        says(b"", b""),
        says(OK + b"X-Slow: ", b"x"),
        says(OK + b"Content-Length: 1000\r\n\r\n", b"x"),
        says(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        says(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["silent", "headers", "body", "chunks", "continue"],
)
def test_drops_do_not_prolong_the_time_of_a_request(script: Script) -> None:
    def patient(connection: socket.socket, released: threading.Event) -> None:
        script(connection, released)
        released.wait()

    with Raw(patient) as server:
        error = failure(server.url, timeout=0.5)
    assert error.reason == "no answer within 0.5 s"
    assert error.again


def test_a_server_that_takes_nothing_does_not_prolong_the_time_of_a_request() -> None:
    with Raw(lambda _, released: released.wait() and None) as server:
        assert failure(server.url, content=b"x" * 50_000_000, timeout=0.5).reason == "no answer within 0.5 s"


def test_a_request_may_have_less_time_than_others() -> None:
    with Raw(lambda _, released: released.wait() and None) as server:
        assert failure(server.url, seconds=0.3, timeout=3600.0).reason == "no answer within 0.3 s"


def test_a_server_that_never_ends_the_handshake_is_given_up() -> None:
    with Raw(lambda _, released: released.wait() and None) as server:
        url = server.url.replace("http:", "https:")
        assert "no encrypted connection within 0.3 s" in failure(url, connect_timeout=0.3).reason
        assert failure(url, timeout=0.3).reason == "no answer within 0.3 s"


@pytest.mark.parametrize(
    "script",
    [
        says(OK + f"Content-Length: {LARGEST_ANSWER + 1}\r\n\r\n".encode() + b"x" * (LARGEST_ANSWER + 1)),
        says(OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 100_000),
        says(OK + b"X-Long: " + b"x" * LARGEST_ANSWER),
        says(OK + b"X: y\r\n" * 100_000),
        says(b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000),
    ],
    ids=["length", "chunks", "one header", "headers", "continue"],
)
def test_an_answer_that_is_too_large_is_given_up(script: Script) -> None:
    with Raw(script) as server:
        error = failure(server.url)
    assert error.reason == "its answer is larger than 256 kB, which is no answer to a question"
    assert not error.again


def test_an_answer_up_to_the_limit_is_taken(receiver: Receiver) -> None:
    receiver.then(status(200, b"x" * (LARGEST_ANSWER - 1000)))
    assert len(post(receiver.url).content) == LARGEST_ANSWER - 1000


def test_a_compressed_answer_is_refused_unread(receiver: Receiver) -> None:
    receiver.then(status(200, b"\x1f\x8b bomb", Content_Encoding="gzip"))
    assert "compresses its answer" in failure(receiver.url).reason


def test_of_an_error_the_status_comes_through_whatever_its_body_does() -> None:
    cut = b"Content-Length: 1000\r\n\r\nshort"
    huge = b"Content-Length: 9999999\r\n\r\n" + b"x" * 1_000_000
    zipped = b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nzip"
    for body in (cut, huge, zipped):
        with Raw(says(b"HTTP/1.1 503 No\r\nRetry-After: 5\r\n" + body)) as server:
            response = post(server.url)
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")


def test_an_answer_before_the_whole_request_was_read_comes_through() -> None:
    def early(connection: socket.socket, released: threading.Event) -> None:
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    with Raw(early) as server:
        assert post(server.url, content=b"x" * 5_000_000).status_code == 413


def test_what_is_no_http_is_told() -> None:
    with Raw(says(b"220 mail.example ESMTP\r\n", b"-")) as server:
        error = failure(server.url)
    assert error.reason == "what it answers is no HTTP: check the port in base_url"
    assert not error.again


def test_a_connection_that_ends_is_told_apart_by_what_came_before() -> None:
    with Raw(says(b"")) as server:
        assert failure(server.url).reason == "it closed the connection without an answer"
    with Raw(says(OK + b"Content-Length: 9\r\n\r\n{")) as server:
        assert failure(server.url).reason == "it closed the connection in the middle of its answer"


def test_an_expired_certificate_and_one_of_another_name_are_told(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    for pair, text in ((authority.sign("old", expired=True), "expired"),
                       (authority.sign("other", alt="DNS:other.example"), "not accepted")):  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        server = Receiver(context=context).start()
        try:
            error = failure(server.url, context=ssl.create_default_context(cafile=authority.ca))
        finally:
            server.stop()
        assert text in error.reason
        assert not error.again


def test_after_closing_nothing_is_sent(receiver: Receiver) -> None:
    transport = Transport({}, local_only=False, connect_timeout=5.0, timeout=30.0)
    transport.close()
    with pytest.raises(TransportFailure, match="since we stop"):
        transport.handle_request(httpx2.Request("POST", receiver.url, content=b"{}"))
    assert not receiver.asked()
