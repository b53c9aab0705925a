"""The page: does it answer, or is its port free for it?"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException

from soteirad.config import WebConfig
from soteirad.doctor.finding import Finding, doubt, fault, well
from soteirad.doctor.patient import Patient

TIMEOUT_S = 3.0
PRIVILEGED = 1024
NOT_READY = 503


def check(patient: Patient) -> Iterator[Finding]:
    """Yield how the page is."""
    web = patient.configured.web
    if not web.enabled:
        yield well("web", "switched off")
        return
    answer = _asked(web)
    if answer is None:
        yield _silent(patient, web)
    elif answer == "":
        yield fault(web.listen, "another program listens there, and the daemon cannot start beside it",
                    "set web.listen to another port, such as 127.0.0.1:8766, or end that program")  # fmt: skip
    elif answer == "ready":
        yield well(web.listen, "the page answers; sudo soteirad config prints its address")
    else:
        yield doubt(web.listen, f"the page answers, and the daemon is not ready: {answer}", "wait a minute")
    if not ipaddress.ip_address(web.address[0]).is_loopback and web.password is None:
        yield well(web.listen, "open for the network, to whoever has the token (soteirad config)")


def _asked(web: WebConfig) -> str | None:
    """Return what the page says of the daemon, empty if something else listens there, None if nothing does."""
    host, port = web.address
    target = "127.0.0.1" if host == "0.0.0.0" else "::1" if host == "::" else host  # noqa: S104 - it is asked, not bound
    try:
        socket.create_connection((target, port), TIMEOUT_S).close()
    except OSError:
        return None
    try:
        health, ready = (_got(target, port, path) for path in ("/healthz", "/readyz"))
    except (OSError, HTTPException):
        return ""
    ours = health == (200, "ok") and (ready == (200, "ready") or ready[0] == NOT_READY)
    return ready[1] if ours else ""


def _got(host: str, port: int, path: str) -> tuple[int, str]:
    """Return the status and the beginning of what comes."""
    connection = HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(200).decode("utf-8", "replace").strip()
    finally:
        connection.close()


def _silent(patient: Patient, web: WebConfig) -> Finding:
    if patient.daemon:
        return doubt(web.listen, "nobody answers there, although the daemon works",
                     "did web.listen change? Then: sudo systemctl restart soteirad")  # fmt: skip
    host, port = web.address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except PermissionError:
        return doubt(web.listen, f"only root may listen on ports below {PRIVILEGED}", "set web.listen to port 8765")
    except OSError as error:
        return fault(web.listen, f"the page cannot listen there ({error.strerror})",
                     "use an address of this machine, 127.0.0.1 or 0.0.0.0")  # fmt: skip
    return well(web.listen, "free; the daemon, which does not run, will listen there" if patient.daemon is False
                else "free; no daemon listens there")  # fmt: skip
