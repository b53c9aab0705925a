"""What is asked about each camera at the terminal, and tried at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from soteirad.config.address import AVFOUNDATION, LIVE_SCHEMES, is_device, scheme_of
from soteirad.config.schema import camera_from
from soteirad.errors import SoteiraError
from soteirad.init.addresses import PATTERNS, split_account, takes_account
from soteirad.init.discovery import FoundCamera
from soteirad.init.onvif import Description, View, describe, service_at
from soteirad.init.plan import PlannedCamera, check_name
from soteirad.init.shown import shown
from soteirad.init.soap import Account, CameraError, WrongPasswordError
from soteirad.init.terminal import Terminal, numbers
from soteirad.init.trial import Seen, try_stream
from soteirad.init.v4l2 import FoundDevice

HELP = """\
  Type one of:
    10.0.0.7                  a camera's IP address or name: it is asked (ONVIF)
    rtsp://10.0.0.7/stream2   the address of its video
    /dev/video0               a camera on this machine; avfoundation:0 on a Mac
  Usual addresses of the small stream; the camera's manual has the right one:
"""


@dataclass(frozen=True)
class _Draft:
    """A camera that has no name yet."""

    source: str
    detail: str | None
    account: Account | None
    note: str


class CameraTalk:
    """Asks for what a camera needs: account, streams, name. `cameras` are those that are done."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._last: Account | None = None
        self.cameras: list[PlannedCamera] = []

    def found(self, camera: FoundCamera) -> None:
        """Ask about a camera that answered the search."""
        self._terminal.say(f"\nThe camera at {camera.sender}{f' ({camera.title})' if camera.title else ''}")
        question = (f"  The answer came from {camera.sender}, but says that the camera is at {camera.elsewhere}.\n"
                    f"  Anybody in your network can answer. Give user and password to {camera.elsewhere}?")  # fmt: skip
        if camera.elsewhere and not self._terminal.yes(question, False):
            return
        self._onvif(camera.service, camera.title)

    def device(self, device: FoundDevice) -> None:
        """Ask about a camera on this machine."""
        self._terminal.say(f"\nThe camera on this machine, {device.source}"
                           f"{f' ({device.title})' if device.title else ''}")  # fmt: skip
        self._finish(_Draft(device.source, None, None, device.title))

    def by_hand(self) -> bool:
        """Ask for a camera by its address; returns whether there was one."""
        question = "\nAnother camera" if self.cameras else "\nA camera"
        answer = self._terminal.text(f"{question}, by its address? (Enter: no, ?: help)")
        if not answer:
            return False
        try:
            self._by_address(answer)
        except CameraError as error:
            self._terminal.say(f"  {error}")
        return True

    def _by_address(self, answer: str) -> None:
        if answer == "?":
            self._terminal.say(HELP + "\n".join(f"    {maker:<15} {small}" for maker, small, _ in PATTERNS))
        elif scheme_of(answer) in LIVE_SCHEMES:
            self._by_stream(answer)
        elif is_device(answer) or answer.startswith((AVFOUNDATION, "/")):
            self._finish(_Draft(answer, None, None, ""))
        else:
            host, port = host_and_port(answer)
            self._terminal.begin(f"  Asking {shown(host)} ...")
            try:
                service = service_at(host, port)
            except CameraError as error:
                raise CameraError(f"{error}\n  A camera without ONVIF, or where it is off, does not answer: type the "
                                  "address of its video, such as rtsp://10.0.0.7/stream2 (? shows more)") from None
            self._terminal.say(f"it answers (ONVIF, port {urlsplit(service.url).port})")
            self._onvif(service.url, "")

    def _by_stream(self, answer: str) -> None:
        source, account = split_account(answer)
        try:
            camera_from({"source": source})
        except SoteiraError as error:
            raise CameraError(str(error).removeprefix("source: ")) from None
        account = account or self._account()
        large = self._terminal.text("  Address of its large stream (Enter: none)")
        detail, own = split_account(large) if large else (None, None)
        if own is not None and own != account:
            self._terminal.say("  User and password of the small stream are used for both.")
        self._finish(_Draft(source, detail, account, ""))

    def _account(self) -> Account | None:
        """Ask for user and password, with those of the camera before as defaults."""
        last = self._last
        user = self._terminal.text("  User name at the camera (Enter: none)" if last is None else
                                   "  User name at the camera", "" if last is None else last.user)  # fmt: skip
        if not user:
            return None
        same = last is not None and last.user == user
        password = self._terminal.secret("  Password (not shown while you type"
                                         f"{'; Enter: the same as before' if same else ''})")  # fmt: skip
        if not password and same:
            return last
        self._last = Account(user, password)
        return self._last

    def _onvif(self, service: str, title: str) -> None:
        """Ask a camera for its streams, until it gives them or the owner gives up."""
        while True:
            account = self._account()
            self._terminal.begin("  Asking it for its streams ...")
            try:
                description = describe(service, account, self._allow)
            except CameraError as error:
                self._terminal.say(f"no: {error}")
                if isinstance(error, WrongPasswordError):
                    self._last = None
                    self._terminal.say("  Some cameras lock for half an hour after a few wrong passwords.")
                if self._terminal.choose({"a": "ask again", "l": "leave this camera out"}, "a") == "l":
                    return
                continue
            self._terminal.say("good")
            for view in self._views(description):
                draft = _Draft(view.source, view.detail, account, description.title or title)
                self._terminal.say(f"  Small stream: {view.small.text}; "
                                   f"large stream: {view.large.text if view.large else 'none'}")  # fmt: skip
                self._finish(draft)
            return

    def _allow(self, host: str) -> bool:
        self._terminal.say()
        return self._terminal.yes(f"  The camera sends us to another machine, {host}. Some recorders do so, and so "
                                  "would\n  somebody who is after the password. Give user and password to "
                                  f"{host}?", False)  # fmt: skip

    def _views(self, description: Description) -> list[View]:
        views = description.views
        if len(views) == 1:
            return list(views)
        self._terminal.say(f"  It has {len(views)} pictures (channels of a recorder, or lenses):")
        for number, view in enumerate(views, 1):
            self._terminal.say(f"    {number}  {view.small.text}  {shown(view.small.view)}")
        chosen = self._terminal.ask("  Which ones?", lambda text: numbers(text, len(views)), "all")
        return [views[index] for index in chosen]

    def _finish(self, draft: _Draft) -> None:
        """Try the streams, and ask for a name."""
        camera = PlannedCamera("camera", draft.source, draft.detail, draft.account, draft.note)
        tried = self._tried("small" if draft.detail else "only", camera)
        if tried is None:
            return
        camera, seen = tried
        if camera.detail is not None:
            self._terminal.begin("  Trying the large stream ...")
            try:
                self._terminal.say(f"good: {try_stream(camera.config(of_detail=True), 0.5).text}")
            except SoteiraError as error:
                self._terminal.say(f"no: {error}\n  It is left out.")
                camera = replace(camera, detail=None)
        if seen is not None:
            camera = replace(camera, note=", ".join(filter(None, (camera.note, seen.text))))
            if seen.large:
                self._terminal.say("  That is a large stream: a smaller one costs less, and Soteira sees no worse.")
        taken = [other.name for other in self.cameras]
        name = self._terminal.ask("  A short name for it, such as porch or garden",
                                  lambda text: check_name(text, taken))
        self.cameras.append(replace(camera, name=name))

    def _tried(self, which: str, camera: PlannedCamera) -> tuple[PlannedCamera, Seen | None] | None:
        """Return the camera, perhaps with another account, and what its stream showed: None if it is kept all the same.

        Returns None alone to leave the camera out.
        """
        while True:
            self._terminal.begin(f"  Trying the {'' if which == 'only' else which + ' '}stream ...")
            try:
                seen = try_stream(camera.config())
            except SoteiraError as error:
                self._terminal.say(f"no: {error}")
                refused = "password" in str(error)
            else:
                self._terminal.say(f"good: {seen.text}")
                return camera, seen
            choices = {"a": "try again", "p": "another user or password", "k": "keep it as it is",
                       "l": "leave this camera out"}  # fmt: skip
            if not takes_account(camera.source):
                del choices["p"]
            answer = self._terminal.choose(choices, "p" if refused and "p" in choices else "a")
            if answer == "p":
                self._last = None
                camera = replace(camera, account=self._account())
            elif answer != "a":
                return (camera, None) if answer == "k" else None


def host_and_port(text: str) -> tuple[str, int | None]:
    """Return host and port of `10.0.0.7`, `10.0.0.7:8000`, `camera.lan` or `[fd00::7]:80`. Raises CameraError."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not host or parts.path or parts.query or "@" in text or any(char in host for char in " \\<>\"'{}"):
        raise CameraError("this is no address: type 10.0.0.7, or rtsp://..., or ? for help")
    return host, port


