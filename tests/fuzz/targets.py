"""What is fuzzed: each target takes any bytes, and raises only if the product breaks a promise.

Allowed are the errors that are written for an owner; what else is promised stands in each target as an assertion.
"""

from __future__ import annotations

import contextlib
import json
import math
import queue
import socket
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from paho.mqtt.enums import _ConnectionState

from soteirad.archive import Archive, Wanted
from soteirad.config.address import encode_user_info
from soteirad.config.edit import combined, edited, lines_as_changes
from soteirad.config.loader import config_from
from soteirad.config.overrides import limits
from soteirad.config.question import AnswerType
from soteirad.config.schema import Config
from soteirad.config.secrets import redact_url
from soteirad.detect import facts
from soteirad.detect.card import load_card
from soteirad.errors import ConfigError, ModelError, SoteiraError, StorageError
from soteirad.event import Event, iso_time, new_id
from soteirad.hub.commands import LONGEST_QUESTION, Change, CommandError, Question, read_command
from soteirad.hub.csv_log import HEADER, CsvLog
from soteirad.hub.guard import Guard
from soteirad.hub.journal import Journal
from soteirad.llm.answer import LONGEST_REASON, LONGEST_TEXT, read_answer
from soteirad.llm.reasons import Asker, ProviderError, refused_status
from soteirad.llm.reply import read_reply
from soteirad.llm.words import AnswerError
from soteirad.mqtt.broker import Broker
from soteirad.mqtt.connection import LONGEST_PAYLOAD, MOST_WAITING, Connection, Link, make_connection
from soteirad.mqtt.topics import Topics
from soteirad.tune.labels import read_labels
from tests.fuzz.given import Given
from tests.fuzz.tensors import heads

SECRET = "hunter2-s3cret/very#odd@one"  # noqa: S105 - made up
HOUSE = """
mqtt: {host: localhost, commands: [detect, motion_threshold, min_score, snapshot, ask, enabled, restart]}
llm: {providers: [{base_url: "http://127.0.0.1:1/v1", model: m}]}
cameras:
  porch:
    source: rtsp://127.0.0.1/x
    questions: [{name: parcel, ask: "Is there a parcel?", answer: yes_no, when: {labels: [person], on: left}}]
  yard: {source: rtsp://127.0.0.1/y}
"""
PREFIXES = ("soteira/porch/set/", "soteira/set/", "soteira/yard/set/", "")
T0 = 1_800_000_000.0


@cache
def house() -> Config:
    """A configuration in which every command is allowed."""
    return config_from(HOUSE, Path("house.yaml"), {})


def config(data: bytes) -> None:
    """The loader: a configuration or problems with places, and never a secret in them."""
    environ = {"SOTEIRA_X": SECRET, "SOTEIRA_PORCH_PASSWORD": SECRET}
    try:
        found = config_from(data.decode("utf-8", "replace"), Path("x.yaml"), environ)
    except ConfigError as error:
        assert error.problems
        for line in error.problems:
            assert line.startswith("x.yaml:"), line
            assert SECRET not in line, line
            assert "\n" not in line, line
            line.encode()
    else:
        assert SECRET not in repr(found)
        assert found.cameras


def command(data: bytes) -> None:
    """A message on a command topic: a command within its limits, or a refusal on one line."""
    given = Given(data)
    prefix = given.one_of(PREFIXES)
    topic, _, payload = given.rest().partition(b"\0")
    heard(prefix + topic.decode("utf-8", "replace"), payload, len(payload))


def heard(topic: str, payload: bytes, size: int) -> None:
    """Read one command and judge what became of it."""
    try:
        found = read_command(Topics("soteira"), topic, payload, size, house())
    except CommandError as error:
        assert str(error)
        return
    if isinstance(found, Change) and isinstance(found.value, float):
        low, high = limits(house().cameras[found.camera], found.setting)
        assert low <= found.value <= high
        assert math.copysign(1, found.value) > 0 or low < 0
    if isinstance(found, Question):
        assert found.text.isprintable()
        assert len(found.text) <= LONGEST_QUESTION


def mqtt_packets(data: bytes) -> None:
    """Bytes of a broker: whatever they are, few and short messages come of them, and no error beyond paho's thread."""
    given = Given(data)
    version = given.one_of(("5", "3.1.1"))
    reports: queue.SimpleQueue = queue.SimpleQueue()
    broker = Broker("127.0.0.1", 1883, "soteira", version=version)
    link = Link(1, broker, ["soteira/+/set/+"], reports, lambda: None)
    client = make_connection(link, None)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        attach(client, ours)
        theirs.sendall(given.rest()[:60_000])
        theirs.close()
        with contextlib.suppress(Exception):  # as `Connection.loop_forever` does
            while client.loop_read() == 0:
                pass
    messages = [report.message for report in drained(reports) if report.message is not None]
    assert len(messages) <= MOST_WAITING
    for message in messages:
        assert len(message.payload) <= LONGEST_PAYLOAD
        heard(message.topic, message.payload, message.size)


def attach(client: Connection, ours: socket.socket) -> None:
    """Let a client believe that it has just connected over this socket."""
    ours.setblocking(False)
    client._sock = ours
    client._state = _ConnectionState.MQTT_CS_CONNECTING


def drained(reports: queue.SimpleQueue) -> list:
    """Take all that is in a queue."""
    found = []
    with contextlib.suppress(queue.Empty):
        while True:
            found.append(reports.get_nowait())
    return found


KINDS = (AnswerType("yes_no"), AnswerType("number"), AnswerType("text"),
         AnswerType("choice", ("red", "dark blue", "1")))  # fmt: skip


def answer(data: bytes) -> None:
    """What a vision model says: a typed value that can be shown anywhere, or an `AnswerError`."""
    given = Given(data)
    kind = given.one_of(KINDS)
    try:
        found = read_answer(given.text(), kind)
    except AnswerError:
        return
    types = {"yes_no": bool, "number": (int, float), "text": str, "choice": str}
    assert found.value is None or isinstance(found.value, types[kind.kind]), found
    assert kind.kind != "number" or not isinstance(found.value, bool)
    assert kind.kind != "choice" or found.value in (None, *kind.choices)
    assert found.confidence is None or 0 <= found.confidence <= 1
    assert len(found.because) <= LONGEST_REASON
    assert not isinstance(found.value, str) or 0 < len(found.value) <= LONGEST_TEXT
    json.dumps([found.value, found.confidence], allow_nan=False).encode()
    for text in (found.because, found.value if isinstance(found.value, str) else ""):
        text.encode()
        assert "\n" not in text


def reply(data: bytes) -> None:
    """What the server of a vision model answers: text without our key in it, or a `ProviderError` without it."""
    given = Given(data)
    status = given.one_of((200, 200, 200, 400, 401, 404, 429, 500, 503))
    kind = given.one_of(("application/json", "text/html", ""))
    body = given.rest()
    asker = Asker("m", has_key=True, secrets=(SECRET,))
    try:
        if status != 200:
            raise refused_status(status, body, "7", asker)
        found = read_reply(body, kind, asker)
    except ProviderError as error:
        assert SECRET not in str(error)
        assert len(str(error)) < 2000
        str(error).encode()
        return
    assert found.text.strip()
    assert SECRET not in found.text
    assert SECRET not in found.model
    found.text.encode()
    found.model.encode()


def card(data: bytes) -> None:
    """A model's card from anywhere: a card whose files lie beside it, or a `ModelError`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.yaml")
        path.write_bytes(data)
        Path(folder, "labels.txt").write_text("cat\ndog\n", encoding="utf-8")
        try:
            found = load_card(str(path))
            for each in found.files:
                assert found.file_path(each).resolve().is_relative_to(Path(folder).resolve())
            assert (found.folder / found.labels).resolve().is_relative_to(Path(folder).resolve())
            assert found.class_names
        except ModelError as error:
            str(error).encode()


def metadata(data: bytes) -> None:
    """What a model file carries beside its network: printable names, or nothing."""
    given = Given(data)
    if given.byte() % 2:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "x.tflite")
            path.write_bytes(given.rest())
            names = (*facts._attached_labels(path), *facts._labels(facts._attached_metadata(path)))
    else:
        names = facts._labels({"names": given.text()})
    for name in names:
        assert name.isprintable()


def event_log(data: bytes) -> None:
    """A CSV file that holds anything: the journal's event is in it once, after whole lines only."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder, "journal.sqlite3"), clock=lambda: T0)
        journal.open()
        try:
            event = Event("01JDR5AAAAAAAAAAAAAAAAAAAA", "entered", "porch", iso_time(T0), label="person")
            journal.append([event])
            file = Path(folder, "log", f"events-{iso_time(T0)[:10]}.csv")
            file.parent.mkdir()
            file.write_bytes(data)
            guard = Guard()
            log = CsvLog(file.parent, journal, guard)
            log.step()
            assert guard.problem == ""
            written = file.read_bytes()
            assert data or written.startswith(HEADER)
            log.step()
            assert file.read_bytes() == written, "once"
            whole = [line for line in written.splitlines() if line.endswith(b"," + event.id.encode())]
            assert whole, "it is there"
        finally:
            journal.close()


def archive(data: bytes) -> None:
    """Rows of a journal that somebody else wrote: events, or a `StorageError`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal.sqlite3")
        journal = Journal(path, clock=lambda: T0)
        journal.open()
        journal.append([Event(new_id(T0), "entered", "porch", iso_time(T0), label="person")])
        assert journal._db is not None
        journal._db.execute("UPDATE events SET payload = ?", (data.decode("utf-8", "replace"),))
        journal.close()
        try:
            with Archive(path) as found:
                for row in found.find(Wanted(labels=["person"], zones=["step"])) + found.find(Wanted()):
                    json.dumps(row.event.payload())
        except StorageError as error:
            str(error).encode()


def labels(data: bytes) -> None:
    """An owner's list of who enters a clip: entries within it, or what is wrong with each line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "labels.txt")
        path.write_bytes(data)
        try:
            for entry in read_labels(path, ["person", "dog"], 600.0):
                assert entry.label in ("person", "dog")
                assert 0 <= entry.time <= 600
        except SoteiraError as error:
            str(error).encode("utf-8", "surrogateescape")


def edit(data: bytes) -> None:
    """Changes put into the text of a configuration: exactly what was asked for, twice is once, or a refusal."""
    text, changed = [*(part.decode("utf-8", "replace") for part in Given(data).parts(2)), ""][:2]
    try:
        before, changes = lines_as_changes(text), lines_as_changes(changed)
        after = edited(text, changes)
    except ConfigError:
        return
    wanted = combined(before, changes)
    assert repr(lines_as_changes(after)) == repr(wanted) or lines_as_changes(after) == wanted
    assert edited(after, changes) == after
    assert edited(text, {}) == text


HOSTS = ("10.0.0.7", "cam.local:554", "[fe80::1]:8080")


def address(data: bytes) -> None:
    """A password with any characters in a camera's address: it is understood, and no log shows it."""
    given = Given(data)
    scheme, host, path = given.one_of(("rtsp", "http")), given.one_of(HOSTS), given.one_of(("/live", "/a?b=c", ""))
    password = given.text().encode("utf-8", "replace").decode()
    url = f"{scheme}://admin:{password}@{host}{path}"
    hidden, plain = redact_url(url), encode_user_info(url)
    plain.encode()
    assert redact_url(plain).count("***") >= 1
    assert hidden.startswith(f"{scheme}://***@")
    if len(password) > 3 and password not in f"{scheme}://***@{host}{path}":
        assert password not in hidden
    if not set(password) & set("@/?#[]") and password.isprintable() and password.isascii():
        assert urlsplit(plain).hostname == urlsplit(f"x://{host}").hostname


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each for each in (config, command, mqtt_packets, answer, reply, heads, card, metadata, event_log,
                                     archive, labels, edit, address)
}  # fmt: skip
