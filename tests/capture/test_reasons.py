"""Why a source fails, in its owner's words: every kind of failure once, and never the address."""

from __future__ import annotations

import errno
from pathlib import Path

import av.error
import pytest

from soteirad.capture.clock import SystemClock
from soteirad.capture.decoder import Decoder, StreamCounters
from soteirad.capture.reasons import explain
from soteirad.errors import SourceError, SourceRefused
from tests.capture.made import write_clip
from tests.http_camera import HttpCamera

URL = "rtsp://admin:geheim@10.0.0.7/live"
NAME = "rtsp://***@10.0.0.7/live"
REFUSED = [
    (av.error.HTTPUnauthorizedError, "the camera refused user name or password"),
    (av.error.HTTPForbiddenError, "the camera forbids it to this user"),
    (av.error.HTTPNotFoundError, "the camera has no stream under this path"),
    (av.error.DecoderNotFoundError, "the video codec is unknown to this FFmpeg"),
]
PASSING = [
    (av.error.InvalidDataError, "it does not answer with a stream that can be read"),
    (av.error.FileNotFoundError, "there is no such file or stream"),
    (av.error.PermissionError, "permission denied"),
    (av.error.HTTPBadRequestError, "the camera does not understand the address"),
    (av.error.HTTPOtherClientError, "the camera refuses the request"),
    (av.error.HTTPServerError, "the camera reports a fault of its own"),
    (av.error.ConnectionRefusedError, "connection refused"),
    (av.error.ConnectionResetError, "the camera broke the connection off"),
    (av.error.TimeoutError, "nothing comes from it any more, or no answer"),
    (av.error.ExitError, "nothing comes from it any more, or no answer"),
]
SYSTEM = [
    (errno.EIO, "it cannot be reached: check the host name"),
    (errno.ENODEV, "the camera is not plugged in"),
    (errno.ENXIO, "the camera is not plugged in"),
    (errno.EBUSY, "another program uses this camera"),
    (errno.EHOSTUNREACH, "it cannot be reached: is it on"),
    (errno.ENETUNREACH, "it cannot be reached: this machine has no network"),
    (errno.EPROTONOSUPPORT, "the camera refuses this transport"),
]


def ffmpegs(kind: type[av.error.FFmpegError]) -> av.error.FFmpegError:
    """An error as PyAV makes it: with the address in it."""
    return kind(1, f"it failed at {URL}", URL)


@pytest.mark.parametrize(("kind", "text"), REFUSED)
def test_what_the_same_attempt_would_get_again_is_a_refusal(kind: type[av.error.FFmpegError], text: str) -> None:
    error = explain(NAME, URL, ffmpegs(kind))
    assert isinstance(error, SourceRefused)
    assert str(error).startswith(f"{NAME}: {text}")


@pytest.mark.parametrize(("kind", "text"), PASSING)
def test_what_may_pass_is_no_refusal(kind: type[av.error.FFmpegError], text: str) -> None:
    error = explain(NAME, URL, ffmpegs(kind))
    assert type(error) is SourceError
    assert str(error).startswith(f"{NAME}: {text}")


@pytest.mark.parametrize(("number", "text"), SYSTEM)
@pytest.mark.parametrize("make", [lambda n: OSError(n, "words of the system", URL),
                                  lambda n: av.error.OSError(n, "words of the library", URL)])  # fmt: skip
def test_errors_of_the_system_are_told_with_what_to_do(make: object, number: int, text: str) -> None:
    error = explain(NAME, URL, make(number))  # type: ignore[operator]
    assert type(error) is SourceError
    assert str(error).startswith(f"{NAME}: {text}")


def test_every_kind_of_refusal_or_failure_is_explained_with_a_remedy_or_a_question() -> None:
    for kind, _ in REFUSED + PASSING:
        said = str(explain(NAME, URL, ffmpegs(kind)))
        assert said.startswith(NAME) and len(said) > len(NAME) + 20 and "\n" not in said
        assert URL not in said and "geheim" not in said


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, f"something odd about {URL}", URL),
        av.error.UndefinedError(1, f"no idea about {URL}", URL),
        ValueError(f"cannot use {URL}"),
        OSError(f"just {URL}"),
    ],
    ids=["system", "library", "value", "bare"],
)
def test_an_error_that_nobody_foresaw_is_named_without_the_address(error: Exception) -> None:
    said = str(explain(NAME, URL, error))
    assert said.startswith(f"{NAME}: ") and len(said) > len(NAME) + 2
    assert "geheim" not in said


def test_broken_data_is_a_broken_file_but_a_camera_that_does_not_answer() -> None:
    broken = av.error.InvalidDataError(1, "Invalid data", "x")
    assert "the file is damaged or no video at all" in str(explain("a.mp4", "a.mp4", broken))
    for live in (URL, "/dev/video0", "avfoundation:0"):
        assert "is the camera well?" in str(explain("it", live, broken))


def test_what_a_running_camera_fails_by_is_not_its_address() -> None:
    for url in (URL, "https://h/a"):
        said = str(explain(NAME, url, ffmpegs(av.error.ArgumentError), running=True))
        assert "pictures of far too many pixels" in said
    ended = explain(NAME, "http://h/a", OSError(errno.EIO, "x"), running=True)
    assert "the camera broke the connection off" in str(ended)


def real(url: str) -> SourceError:
    """What a real attempt gets."""
    with pytest.raises(SourceError) as caught:
        Decoder("it", StreamCounters(), SystemClock()).open(url, {}, (3.0, 3.0))
    return caught.value


@pytest.mark.parametrize(
    ("status", "refused", "text"),
    [
        (400, False, "the camera does not understand the address"),
        (401, True, "the camera refused user name or password"),
        (403, True, "the camera forbids it to this user"),
        (404, True, "the camera has no stream under this path"),
        (410, False, "the camera refuses the request"),
        (500, False, "the camera reports a fault of its own"),
        (503, False, "the camera reports a fault of its own"),
    ],
)
def test_a_real_cameras_answer_is_told_by_its_status(status: int, refused: bool, text: str) -> None:
    with HttpCamera([b"jpeg"]) as camera:
        camera.refuse(status)
        error = real(camera.url)
    assert (isinstance(error, SourceRefused), str(error).partition(":")[2].strip()[: len(text)]) == (refused, text)


def test_a_device_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no such device"):
        Decoder("it", StreamCounters(), SystemClock()).open("/dev/video98", {}, None, "v4l2")
    assert "the file is damaged" not in str(real(str(tmp_path / "none.mp4")))
    clip = write_clip(tmp_path / "a.mp4")
    clip.write_bytes(clip.read_bytes()[:200])
    assert "the file is damaged or no video at all" in str(real(str(clip)))
