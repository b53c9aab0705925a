"""The whole conversation at a terminal, which ends in a plan."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

from soteirad.config.values import DEFAULT_LABELS
from soteirad.errors import SoteiraError
from soteirad.init.camera_talk import CameraTalk
from soteirad.init.discovery import SECONDS, FoundCamera, find_cameras
from soteirad.init.patience import TookTooLongError, within
from soteirad.init.plan import Plan, PlannedBroker, PlannedCamera, check_labels, known_labels
from soteirad.init.soap import Account
from soteirad.init.terminal import Terminal, numbers
from soteirad.init.trial import try_broker
from soteirad.init.v4l2 import FoundDevice, find_devices

USUAL_BROKERS = ("localhost", "homeassistant.local")
LOOK_UP_S = 1.5


def converse(terminal: Terminal, path: Path) -> Plan:
    """Ask for everything, and try it. Raises EOFError and KeyboardInterrupt, and SoteiraError without a camera."""
    terminal.say(f"This asks for your cameras and your MQTT broker, tries them, and then writes {path}. Nothing is "
                 "written before you have seen it; Ctrl-C ends it at any time. An answer in [brackets] is taken when "
                 "you only press Enter.")  # fmt: skip
    cameras = _cameras(terminal)
    if not cameras:
        raise SoteiraError("without a camera there is nothing to write: run soteirad init again when you know the "
                           "address of one")  # fmt: skip
    return Plan(_broker(terminal), cameras, _labels(terminal))


def _cameras(terminal: Terminal) -> tuple[PlannedCamera, ...]:
    terminal.say("\n1. CAMERAS")
    terminal.begin(f"Looking in your network and on this machine, {SECONDS:.0f} seconds ...")
    found: list[FoundCamera | FoundDevice] = [*find_cameras(), *find_devices()]
    talk = CameraTalk(terminal)
    if not found:
        terminal.say("none found\nA camera answers only if ONVIF is switched on in its settings, and if it is in the "
                     "same network as this machine. You can type its address instead.")  # fmt: skip
    else:
        terminal.say(f"{len(found)} found")
        for number, one in enumerate(found, 1):
            terminal.say(f"  {number}  {_line(one)}")
        chosen = terminal.ask("Which ones? Numbers, all or none", lambda text: numbers(text, len(found)), "all")
        for one in (found[index] for index in chosen):
            if isinstance(one, FoundDevice):
                talk.device(one)
            else:
                talk.found(one)
    while talk.by_hand():
        pass
    return tuple(talk.cameras)


def _line(one: FoundCamera | FoundDevice) -> str:
    if isinstance(one, FoundDevice):
        return f"{one.source}  {one.title}"
    return f"{one.sender:<15}  {one.title}{f'  (says that it is at {one.elsewhere})' if one.elsewhere else ''}"


def _labels(terminal: Terminal) -> tuple[str, ...]:
    terminal.say("\n3. WHAT TO REPORT")

    def check(answer: str) -> tuple[str, ...]:
        if answer == "?":
            raise SoteiraError(", ".join(known_labels()))
        return check_labels(word.strip() for word in answer.split(",") if word.strip())

    return terminal.ask("Words with commas: person, car, dog, cat ... (?: all)", check, DEFAULT_LABELS[0])


def _broker(terminal: Terminal) -> PlannedBroker:
    terminal.say("\n2. THE MQTT BROKER, which hears about events: the one that Home Assistant uses")
    broker = PlannedBroker(_usual_broker())
    while True:
        broker = _broker_answers(terminal, broker)
        answer = "t"
        while answer == "t":
            terminal.begin("  Trying it ...")
            try:
                try_broker(broker.config())
            except SoteiraError as error:
                terminal.say(f"no: {error}")
            else:
                terminal.say("good: a message went there and came back")
                return broker
            answer = terminal.choose({"c": "change the answers", "t": "try again", "k": "keep them"}, "c")
        if answer == "k":
            return broker


def _broker_answers(terminal: Terminal, before: PlannedBroker) -> PlannedBroker:
    """Ask for all there is to know, with what was said before as defaults."""
    host = terminal.ask("  Host name or address", _checked_host, before.host)
    encrypted = terminal.yes("  Is the connection encrypted (TLS)?", before.tls is not None)
    tls: dict[str, str] | None = None
    usual = 1883
    if encrypted:
        usual = 8883
        ca = terminal.ask("  File with the certificate of who signed the broker's (Enter: those that this system "
                          "trusts)", _checked_file, (before.tls or {}).get("ca", ""))  # fmt: skip
        tls = {"ca": ca} if ca else {}
    same = (before.tls is not None) == encrypted
    port = terminal.ask("  Port", _checked_port, str(before.port if same else usual))
    user = terminal.text("  User name (Enter: none)", before.account.user if before.account else "")
    return replace(before, host=host, port=port, tls=tls, account=_account(terminal, user, before.account))


def _account(terminal: Terminal, user: str, before: Account | None) -> Account | None:
    if not user:
        return None
    same = before is not None and before.user == user
    password = terminal.secret(f"  Password (not shown while you type{'; Enter: the same as before' if same else ''})")
    return before if same and not password else Account(user, password)


def _checked_host(text: str) -> str:
    PlannedBroker(text).config()
    return text


def _checked_port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 65535):
        raise SoteiraError("a port is a number from 1 to 65535; usual are 1883, and 8883 with encryption")
    return int(text)


def _checked_file(text: str) -> str:
    if text and not Path(text).is_file():
        raise SoteiraError("there is no such file")
    return str(Path(text).absolute()) if text else ""


def _usual_broker() -> str:
    """Return where a broker usually is, if it is there."""
    for host in USUAL_BROKERS:
        try:
            within(LOOK_UP_S, lambda host=host: socket.create_connection((host, 1883), LOOK_UP_S).close())  # type: ignore[misc]
        except (OSError, TookTooLongError):
            continue
        return host
    return ""
