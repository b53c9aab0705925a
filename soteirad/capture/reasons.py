"""Why a source cannot be opened or read, in words for its owner and without its password."""

from __future__ import annotations

import errno

import av.error

from soteirad.config.address import is_device, is_live, scheme_of
from soteirad.errors import SourceError, SourceRefused

UNKNOWN_CODEC = "the video codec is unknown to this FFmpeg: set the camera to H.264"
SILENT = "nothing comes from it any more, or no answer: is the camera on, and is the address right?"
_BROKEN_OFF = "the camera broke the connection off"
_NO_STREAM = "it does not answer with a stream that can be read: is it a camera's address, and is the camera well?"
"""FFmpeg says the same of a camera that is silent, of one that speaks TLS, and of what is no stream at all."""
_NO_CAMERA = (
    "it answers with what no camera sends, such as a list of other addresses, which are not followed, or pictures of "
    "far too many pixels: give the address of the video itself"
)
_MOVED = (
    "it does not accept what it is asked, or it sends us to another address, which is not followed: give the final "
    "address"
)
_ELSEWHERE = (
    "it cannot be reached, or it sends us to another address, which is not followed: check the host name and the "
    "network, and give the final address"
)
"""FFmpeg says the same of both."""
_NO_DEVICE = (
    "there is no such device, or the daemon may not open it: is it plugged in, and does the service have the drop-in "
    "for USB cameras?"
)
_LIBRARY = {
    av.error.InvalidDataError: "this is not a video that FFmpeg can read: the file is damaged or no video at all",
    av.error.DecoderNotFoundError: UNKNOWN_CODEC,
    av.error.FileNotFoundError: "there is no such file or stream: correct the path of this source",
    av.error.PermissionError: "permission denied: give the daemon's user the right to read it",
    av.error.HTTPUnauthorizedError: "the camera refused user name or password: correct them in its source, or in the "
    "secret that is named there",
    av.error.HTTPForbiddenError: "the camera forbids it to this user: give the user the right to see the stream",
    av.error.HTTPNotFoundError: "the camera has no stream under this path: correct the path",
    av.error.HTTPBadRequestError: "the camera does not understand the address: correct the path",
    av.error.HTTPOtherClientError: "the camera refuses the request: is there video under this path?",
    av.error.HTTPServerError: "the camera reports a fault of its own: restart it if this lasts",
    av.error.ConnectionRefusedError: "connection refused: is the camera on, and is the port right?",
    av.error.ConnectionResetError: _BROKEN_OFF,
    av.error.TimeoutError: SILENT,
    av.error.ExitError: SILENT,  # what FFmpeg's own time limits end with
}
_REFUSALS = (
    av.error.HTTPUnauthorizedError,
    av.error.HTTPForbiddenError,
    av.error.HTTPNotFoundError,
    av.error.DecoderNotFoundError,
)
"""What the same attempt gets again: worth another one only once in a while, and some cameras lock after a few."""
_SYSTEM = {
    errno.EIO: "it cannot be reached: check the host name and the network; for a file, the disk",
    errno.ENODEV: "the camera is not plugged in",
    errno.ENXIO: "the camera is not plugged in",
    errno.EBUSY: "another program uses this camera",
    errno.EHOSTUNREACH: "it cannot be reached: is it on, and in this network?",
    errno.ENETUNREACH: "it cannot be reached: this machine has no network",
    errno.EPROTONOSUPPORT: "the camera refuses this transport: set transport to tcp",
}


def odd_codec(name: str) -> str:
    """Return why video of the codec that FFmpeg calls `name` is not taken from the network."""
    return f"it sends video as {name}, which cameras do not: set the camera to H.264"


def too_large(width: int, height: int) -> str:
    """Return why pictures of so many pixels are not taken from the network."""
    return f"its pictures have {width} x {height} pixels, more than any camera's: give its smaller stream"


def explain(name: str, url: str, error: Exception, *, running: bool = False) -> SourceError:
    """Return the error to raise for FFmpeg's `error` at the source `name` (fit for a log) with the address `url`.

    `running` says that it was open already, so that its address was right.
    """
    kind = SourceRefused if isinstance(error, _REFUSALS) else SourceError
    if is_device(url) and isinstance(error, av.error.FileNotFoundError | av.error.PermissionError):
        return kind(f"{name}: {_NO_DEVICE}")
    if is_live(url) and isinstance(error, av.error.InvalidDataError):
        return kind(f"{name}: {_NO_STREAM}")
    limited = _while_running(url, error) if running else _beyond_limits(url, error)
    if limited is not None:
        return kind(f"{name}: {limited}")
    for known, text in _LIBRARY.items():
        if isinstance(error, known):
            return kind(f"{name}: {text}")
    number = getattr(error, "errno", None)
    text = _SYSTEM.get(number or 0) or getattr(error, "strerror", None) or type(error).__name__
    return kind(f"{name}: {str(text).replace(url, 'the source')}")


def _while_running(url: str, error: Exception) -> str | None:
    """Return why a camera over the network is lost that has sent video already: its address was right."""
    over_http = scheme_of(url).startswith("http")
    if (over_http or scheme_of(url).startswith("rtsp")) and isinstance(error, av.error.ArgumentError):
        return _NO_CAMERA
    # For FFmpeg a stream over HTTP that ends is a fault of input.
    return _BROKEN_OFF if over_http and getattr(error, "errno", None) == errno.EIO else None


def _beyond_limits(url: str, error: Exception) -> str | None:
    """Return why a camera over the network is refused that asks for more than `limits.py` allows."""
    scheme = scheme_of(url)
    if scheme.startswith("rtsp") and isinstance(error, av.error.ArgumentError):
        return _MOVED
    if scheme.startswith("http") and isinstance(error, av.error.ArgumentError):
        return _NO_CAMERA
    if scheme.startswith("http") and getattr(error, "errno", None) == errno.EIO:
        return _ELSEWHERE
    return None
