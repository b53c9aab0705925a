"""Webhooks: HTTP requests for events, sent by threads of their own so that no slow address holds anything up.

A request is only worth something now: it is tried a few times, waits a minute at most, and nothing of it is on disk.
Who must not miss an event listens to MQTT.
"""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from soteirad.config.address import told_host
from soteirad.config.broker import WebhookConfig
from soteirad.event import Event
from soteirad.hub.request import Request, make_request, wants
from soteirad.mqtt.topics import is_late

if TYPE_CHECKING:
    import urllib3

QUEUE = 200
"""How many requests may wait for one address."""
RETRY_S = (1.0, 4.0)
"""Waits between the three tries."""
LONGEST_RETRY_AFTER_S = 60.0
LONGEST_BODY = 64 * 1024
CHUNK = 8 * 1024

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What came of one try. `reason` is empty for success and never holds an address or a header.

    `retry_after` is how many seconds the server asks to be left alone.
    """

    reason: str = ""
    again: bool = False
    retry_after: float | None = None


class Webhooks:
    """Sends each event to the addresses that are for it.

    Each webhook has a queue and a thread of its own: an address that hangs delays only itself. `clock` gives seconds
    since the epoch; `retries` are the waits between tries in seconds.
    """

    def __init__(self, configs: Sequence[WebhookConfig], clock: Callable[[], float] = time.time,
                 retries: Sequence[float] = RETRY_S) -> None:  # fmt: skip
        self._senders = [_Sender(config, clock, retries) for config in configs]

    def start(self) -> None:
        """Start the threads; without webhooks there are none."""
        for sender in self._senders:
            sender.start()

    def submit(self, event: Event) -> None:
        """Let an event that was just committed be sent. Never waits and never raises."""
        for sender in self._senders:
            sender.submit(event)

    def stop(self, timeout: float) -> None:
        """Send what waits, without further tries, for at most `timeout` seconds altogether, and drop the rest."""
        deadline = time.monotonic() + timeout
        for sender in self._senders:
            sender.ask_to_stop(deadline)
        for sender in self._senders:
            sender.join(max(0.0, deadline - time.monotonic()))


class _Sender:
    """The queue and the thread of one webhook."""

    def __init__(self, config: WebhookConfig, clock: Callable[[], float], retries: Sequence[float]) -> None:
        self._config = config
        self._host = told_host(config.url)
        self._clock = clock
        self._retries = tuple(retries)
        self._changed = threading.Condition()
        self._waiting: deque[Event] = deque()
        self._dropped = 0
        self._stop_by: float | None = None
        self._not_before = 0.0
        self._failing = False
        self._http: urllib3.PoolManager | None = None
        # A daemon: a look-up or an answer that hangs must not hold up the end.
        self._thread = threading.Thread(target=self._run, name=f"webhook {self._host}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, event: Event) -> None:
        if not wants(self._config.when, event):
            return
        with self._changed:
            if self._stop_by is not None:
                return
            first = not self._dropped
            if full := len(self._waiting) >= QUEUE:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(event)
            self._changed.notify_all()
        if full and first:
            logger.warning("webhook to %s: %d requests wait for it already: the oldest are dropped", self._host, QUEUE)

    def ask_to_stop(self, deadline: float) -> None:
        with self._changed:
            self._stop_by = deadline
            self._changed.notify_all()

    def join(self, timeout: float) -> None:
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while (event := self._next()) is not None:
            try:
                self._deliver(event)
            except Exception as error:  # a fault in one request must not end all later ones; its text may hold secrets
                self._failed(f"{type(error).__name__}; check its address and headers")

    def _next(self) -> Event | None:
        """Wait for an event; None is the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stop_by is not None)
            stopped = self._stop_by is not None and (not self._waiting or time.monotonic() >= self._stop_by)
            event = None if stopped else self._waiting.popleft()
            dropped = 0
            if not self._waiting:
                dropped, self._dropped = self._dropped, 0
        if dropped:
            logger.warning("webhook to %s: %d requests were dropped; it keeps up again", self._host, dropped)
        return event

    def _deliver(self, event: Event) -> None:
        for wait in (*self._retries, None):
            if not self._wait_until_due() or is_late(event, self._clock()):
                return
            outcome = self._try(make_request(self._config, event))
            if not outcome.reason:
                self._worked()
                return
            self._failed(outcome.reason)
            if not outcome.again:
                return
            self._not_before = time.monotonic() + next_wait(wait, outcome.retry_after)

    def _wait_until_due(self) -> bool:
        """Wait until the next try may be made; returns whether it may. The end interrupts it."""
        with self._changed:
            pause = self._not_before - time.monotonic()
            if pause <= 0:
                return True
            if self._changed.wait_for(lambda: self._stop_by is not None, pause):
                return False
        return True

    def _try(self, request: Request) -> Outcome:
        import urllib3

        if self._http is None:
            self._http = _pool(self._config)
        timeout = self._config.timeout
        if self._stop_by is not None:
            timeout = max(0.001, min(timeout, self._stop_by - time.monotonic()))
        try:
            response = self._http.request(
                request.method, request.url, body=request.body, headers=request.headers,
                timeout=urllib3.Timeout(connect=timeout, read=timeout), redirect=False, retries=False,
                preload_content=False,
            )  # fmt: skip
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return Outcome(_reason(error, timeout), _worth_again(error))
        try:
            return _judge(response)
        finally:
            _finish(response, time.monotonic() + timeout)

    def _failed(self, reason: str) -> None:
        if not self._failing:
            self._failing = True
            logger.warning("webhook to %s fails: %s", self._host, reason)

    def _worked(self) -> None:
        if self._failing:
            self._failing = False
            logger.info("webhook to %s works again", self._host)


def next_wait(planned: float | None, retry_after: float | None) -> float:
    """Return the seconds until the next try; `planned` is None after the last one.

    What the server asks for counts also for the next event.
    """
    if retry_after is not None:
        return min(retry_after, LONGEST_RETRY_AFTER_S)
    return planned or 0.0


def _pool(config: WebhookConfig) -> urllib3.PoolManager:
    """Return what makes the connections; unlike other libraries' it asks no environment for a proxy."""
    import urllib3

    # Its messages hold whole addresses, and those may hold passwords.
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    if config.insecure:
        # It would warn at each request of what the owner has chosen.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return urllib3.PoolManager(num_pools=4, maxsize=1, cert_reqs="CERT_NONE" if config.insecure else "CERT_REQUIRED")


def _judge(response: urllib3.BaseHTTPResponse) -> Outcome:
    import urllib3

    status = response.status
    if 200 <= status < 300:
        return Outcome()
    if 300 <= status < 400:
        return Outcome(f"it sends us elsewhere (HTTP {status}), which is not followed: put the final address into url")
    retry_after = None
    with suppress(urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        retry_after = urllib3.Retry().get_retry_after(response)
    again = status == 429 or status >= 500
    if status in (401, 403):
        return Outcome(f"it refuses us (HTTP {status}): check user, password or token")
    return Outcome(f"it answers HTTP {status}", again, retry_after if again else None)


def _finish(response: urllib3.BaseHTTPResponse, deadline: float) -> None:
    """Read what is left of a short answer, which some servers need to be content, and close or keep the connection."""
    import urllib3

    left = LONGEST_BODY
    with suppress(urllib3.exceptions.HTTPError, OSError):
        while left > 0 and time.monotonic() < deadline:
            chunk = response.read1(min(left, CHUNK))
            if not chunk:
                response.release_conn()
                return
            left -= len(chunk)
    response.close()


def _worth_again(error: Exception) -> bool:
    import urllib3

    return not isinstance(error, (urllib3.exceptions.LocationValueError, urllib3.exceptions.InvalidHeader))


def _reason(error: Exception, timeout: float) -> str:
    """Say why a try failed; an exception's own text is not used, it may hold the address."""
    from urllib3 import exceptions

    cause = next((e for e in (error.__cause__, error.__context__, *error.args) if isinstance(e, OSError)), None)
    # A NewConnectionError is a TimeoutError by inheritance only.
    late = isinstance(error if cause is None else cause, (exceptions.TimeoutError, TimeoutError))
    untrusted = cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else None
    known = (
        (isinstance(error, exceptions.NameResolutionError), "the host name cannot be resolved: check the address"),
        (late, f"no answer within {timeout:g} s"),
        (untrusted, f"its certificate is not accepted ({untrusted}); insecure: true accepts any"),
        (isinstance(error, exceptions.SSLError), "no encrypted connection: does it speak https?"),
        (isinstance(cause, ConnectionRefusedError), "nothing listens there: is it running, and is the port right?"),
        (isinstance(error, exceptions.ProtocolError), "it closed the connection without an answer"),
    )
    unknown = (cause.strerror if cause else None) or type(error).__name__
    return next((text for applies, text in known if applies), unknown)
