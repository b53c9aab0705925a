"""The cameras: each is opened, and watched for some seconds."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from soteirad.config import CameraConfig
from soteirad.doctor.examination import ROUND
from soteirad.doctor.finding import Finding, doubt, fault, told, well
from soteirad.doctor.patient import Patient
from soteirad.sight import LOOK_S, Sight, look_apart

FAST_S = 1.0
CODECS = {"h264": "H.264", "hevc": "H.265", "mjpeg": "MJPEG", "av1": "AV1", "vp9": "VP9", "libdav1d": "AV1"}
LARGE = 1920 * 1088
"""Pixels; what is larger costs decoding, and no gate sees more of it."""
SLOW_START_S = 6.0
FEW = 5.0
"""Pictures in a second below which a person who walks by is easily missed."""
DAMAGED = 0.02
"""Share of damaged pictures that is worth a word."""
BUSY = 0.5
"""Share of a processor core for decoding that is worth a word."""
FEW_CONNECTIONS = (
    "if the page shows this camera, all is well: the daemon has it open, and some cameras serve few at a time; else: "
)


def check(patient: Patient) -> Iterator[Finding]:
    """Yield how each camera that is watched does; four are looked at together."""
    watched = patient.configured.watched
    seconds = FAST_S if patient.fast else LOOK_S
    with ThreadPoolExecutor(ROUND) as pool:
        sights = {
            name: pool.submit(look_apart, camera, seconds, patient.stop.is_set) for name, camera in watched.items()
        }
        for name, camera in patient.configured.cameras.items():
            if name in watched:
                yield from seen(name, camera, sights[name].result(), patient.daemon is True)
            else:
                yield well(name, "switched off, not looked at")


def seen(name: str, camera: CameraConfig, sight: Sight, daemon: bool = False) -> Iterator[Finding]:
    """Yield what there is to say of a camera; `daemon` says that one has it open, too."""
    if sight.problem:
        yield _failed(name, camera, sight, daemon)
        return
    yield well(name, _described(sight))
    yield from _stream(name, camera, sight)
    yield from _decoding(name, camera, sight)
    if sight.detail is not None:
        yield _detail(name, sight.detail)


def _failed(name: str, camera: CameraConfig, sight: Sight, daemon: bool) -> Finding:
    found = told(name, _without_address(sight.problem), "is the camera on, and is the address right?")
    if daemon and camera.live and not sight.refused:
        return fault(name, found.text, FEW_CONNECTIONS + found.remedy)
    return found


def _without_address(problem: str) -> str:
    """Leave out the address that a problem begins with: it is hidden in parts, and the camera's name says more."""
    address, colon, rest = problem.partition(": ")
    return rest if colon and ("/" in address or "://" in address) else problem


def _described(sight: Sight) -> str:
    rate = f", {sight.fps:.1f} pictures a second" if sight.fps is not None else ""
    by = f"by {sight.hardware}" if sight.hardware else "by the processor"
    codec = CODECS.get(sight.codec, sight.codec)
    return (f"{sight.width}x{sight.height} {codec}{rate}; the first after {sight.first_s:.1f} s; decoded {by}, "
            f"{sight.decode_ms:.1f} ms each")  # fmt: skip


def _stream(name: str, camera: CameraConfig, sight: Sight) -> Iterator[Finding]:
    """Yield what is odd about what comes."""
    if sight.corrupt > max(1.0, DAMAGED * sight.frames):
        how = "set transport: tcp, or see to cable and wireless" if camera.transport == "udp" else (
            "see to cable and wireless, or give a smaller stream")  # fmt: skip
        yield doubt(name, f"{sight.corrupt} of {sight.frames} pictures are damaged; these are not analysed", how)
    if sight.late:
        yield doubt(name, f"{sight.late} of {sight.frames} pictures came more than 2 s late; these are not analysed",
                    "give the camera's small stream, or relieve the network")  # fmt: skip
    if not camera.live:
        return
    if sight.width * sight.height > LARGE:
        yield doubt(name, "this is the large stream: decoding costs much, and the gates see no more for it",
                    "give the small stream (640x360 to 1280x720) as source, and this one as detail")  # fmt: skip
    if sight.fps is not None and sight.fps < min(FEW, camera.fps or FEW) * 0.9:
        yield doubt(name, f"only {sight.fps:.1f} pictures a second: who walks by quickly may be missed",
                    "set this stream to 10 pictures a second in the camera")  # fmt: skip
    if sight.first_s > SLOW_START_S:
        yield doubt(name, f"the first picture came after {sight.first_s:.0f} s, and so it is after each interruption",
                    "set the key frame (I-frame) interval of this stream to 1 or 2 s in the camera")  # fmt: skip


def _decoding(name: str, camera: CameraConfig, sight: Sight) -> Iterator[Finding]:
    if sight.wished:
        yield doubt(name, f"hwaccel {sight.wished} cannot be used here: the processor decodes",
                    "set hwaccel: auto; for the service see the drop-in for USB cameras and hardware")  # fmt: skip
    if sight.possible:
        yield well(name, f"{sight.possible} could decode it, and hwaccel: none forbids that")
    share = sight.decode_ms / 1000 * (sight.fps or 0.0)
    if camera.live and share > BUSY:
        yield doubt(name, f"decoding takes {share:.0%} of a processor core",
                    "give the camera's small stream, or set it to H.264")  # fmt: skip


def _detail(name: str, sight: Sight) -> Finding:
    if sight.problem:
        found = told(name, _without_address(sight.problem), "correct detail")
        return doubt(name, f"no detail picture ({found.text}): the small one serves", found.remedy)
    return well(name, f"detail: {sight.width}x{sight.height}, after {sight.first_s:.1f} s")
