"""Where secrets are not: a real daemon with one in every field, among servers that refuse, hang, fail and repeat them.

Everything it writes, sends and shows is searched, at the most talkative log level.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.brokers import Mosquitto, Subscriber, free_port
from tests.clips import ENTRY, cut, jpegs
from tests.command import typed
from tests.daemon import ROOT, Daemon, payloads
from tests.http_camera import HttpCamera
from tests.http_receiver import Asked, Receiver, hang_up, status
from tests.marks import Marks, user_info
from tests.web.client import Page


def echo(asked: Asked, code: int = 401) -> Any:
    """Refuse, and repeat all that was said, as some servers do."""
    said = json.dumps({"error": {"message": f"wrong: {asked.path} {asked.headers}"}}).encode()
    return status(code, said, Content_Type="application/json")


class House:
    """Servers of all kinds, and a configuration in which every secret is marked."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.marks = folder, Marks()
        self._stack = contextlib.ExitStack()
        make = self.marks.make
        (folder / "outside").mkdir()
        self.environment = {"SOTEIRA_MQTT": make("mqtt"), "SOTEIRA_HOOK": make("hook header"),
                            "SOTEIRA_UNUSED": make("unused variable")}  # fmt: skip
        self.credentials = {"SOTEIRA_LLM": make("llm key"), "SOTEIRA_GONE": make("gone password", Marks.ODD)}
        self.web_password = make("web password")
        self.broker = Mosquitto(folder / "outside" / "broker", users={"soteira": self.environment["SOTEIRA_MQTT"]})
        self.web = free_port()
        self.config = folder / "soteira.yaml"

    def __enter__(self) -> House:
        enter = self._stack.enter_context
        enter(self.broker)
        make, account = self.marks.make, ("viewer", self.marks.make("porch password"))
        self.clip = cut(self.folder / "outside" / "clip.mp4", ((5.0, 7.5),))
        visit = cut(self.folder / "outside" / "visit.mp4", ENTRY)
        self.camera = enter(HttpCamera(jpegs(visit), user=account[0], password=account[1]))
        self.llm, self.hook = Receiver(otherwise=echo), Receiver(status(500), hang_up, otherwise=echo)
        for server in (self.llm, self.hook):
            server.start()
            self._stack.callback(server.stop)
        silent = enter(socket.create_server(("127.0.0.1", 0)))
        host = self.camera.url_for("").removeprefix("http://")
        quick = {"connect_timeout": 1, "read_timeout": 1}
        cameras = {
            "porch": {"source": self.camera.url, "detail": f"{self.camera.snapshot_url}?token={make('detail token')}",
                      "questions": [{"name": "who", "ask": "Who?", "answer": "text", "when": {"labels": ["person"]}}]},
            "refused": {"source": f"http://viewer:{make('refused password')}@{host}/video", **quick},
            "gone": {"source": "rtsp://{SOTEIRA_USER}:{SOTEIRA_GONE}@127.0.0.1:" + f"{free_port()}/live", **quick},
            "silent": {"source": f"rtsp://a:{make('silent password')}@127.0.0.1:{silent.getsockname()[1]}/x?"
                                 f"user=u&password={make('silent query')}", **quick},
            "nowhere": {"source": f"http://127.0.0.1:{silent.getsockname()[1]}/user=a_password={make('path password')}"
                                  "_channel=1", **quick},
        }  # fmt: skip
        self.environment["SOTEIRA_USER"] = make("gone user")
        self.document: dict[str, Any] = {
            "mqtt": {"host": "127.0.0.1", "port": self.broker.port, "user": "soteira", "password": "{SOTEIRA_MQTT}",
                     "commands": ["ask", "snapshot", "motion_threshold"]},
            "storage": {"path": str(self.folder / "state")},
            "web": {"listen": f"127.0.0.1:{self.web}", "password": self.web_password},
            "llm": {"providers": [
                {"base_url": f"{self.llm.url}/v1", "model": "eyes", "api_key": "{SOTEIRA_LLM}"},
                {"base_url": f"http://{user_info('u', make('llm password'))}127.0.0.1:{free_port()}/v1", "model": "m"},
            ], "duplicates": {"window": 0}},
            "webhooks": [
                {"url": f"http://{user_info('u', make('hook password'))}{self.hook.host}/x?key={make('hook query')}",
                 "headers": {"Authorization": "Bearer {SOTEIRA_HOOK}"}, "when": {"events": ["entered", "present"]}},
                {"url": f"http://127.0.0.1:{free_port()}/{make('hook path')}", "body": make("hook body")},
            ],
            "objects": {"track": ["person", "cat"]},
            "cameras": cameras,
        }  # fmt: skip
        self.write(self.document)
        secrets = self.folder / "credentials"
        secrets.mkdir(mode=0o700)
        for name, value in self.credentials.items():
            (secrets / name).write_text(value, encoding="utf-8")
        for name in ("tmp", "home"):
            (self.folder / name).mkdir()
        self.environment |= {"CREDENTIALS_DIRECTORY": str(secrets), "TMPDIR": str(self.folder / "tmp"),
                             "HOME": str(self.folder / "home")}  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def write(self, document: Any) -> None:
        self.config.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    @property
    def lawful(self) -> list[Path]:
        """Where secrets are meant to be: what the owner wrote, and what `config apply` keeps of that."""
        return [self.config, self.config.with_name("soteira.yaml.bak"), self.folder / "credentials",
                self.folder / "outside"]  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("hygiene")) as house:
        yield house


@pytest.fixture(scope="module")
def listener(house: House) -> Iterator[Subscriber]:
    subscriber = Subscriber(house.broker, user="soteira", password=house.environment["SOTEIRA_MQTT"])
    subscriber.start()
    yield subscriber
    subscriber.stop()


@pytest.fixture(scope="module")
def daemon(house: House, listener: Subscriber) -> Iterator[Daemon]:
    """A daemon in the middle of its troubles: every server has been met, and a camera's process has crashed."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))  # as a system does that keeps core dumps
    daemon = Daemon(house.config, "--log-level", "debug", environment=house.environment).start()
    resource.setrlimit(resource.RLIMIT_CORE, before)
    try:
        listener.wait_for(lambda seen: payloads(seen, "soteira/porch/status")[-1:] == ["online"])
        for camera in ("refused", "gone", "silent", "nowhere"):
            daemon.wait_log(f"{camera}: offline: ")
        listener.publish("soteira/porch/set/ask", "Is anybody there?")
        house.llm.wait_for(1)
        house.hook.wait_for(2)
        yield daemon
    finally:
        daemon.clean_up()


def searched(house: House, what: str, data: bytes | str) -> None:
    found = house.marks.found(data if isinstance(data, bytes) else data.encode())
    assert found == set(), f"{what} shows {found}"


def test_the_search_finds_a_secret_in_whatever_form_it_is(house: House) -> None:
    secret = house.web_password
    forms = [secret.encode(), secret.upper().encode(), secret.encode("utf-16-le"), json.dumps([secret]).encode()]
    forms += [base64.b64encode(b"x" * shift + secret.encode() + b"y") for shift in range(6)]
    assert all(house.marks.found(b"..." + form + b"...") == {"web password"} for form in forms)
    assert house.marks.found(b"nothing of it") == set()
    (house.folder / "tmp" / "probe").write_bytes(forms[-1])
    assert house.marks.found_below(house.folder, house.lawful) == {"tmp/probe": {"web password"}}
    (house.folder / "tmp" / "probe").unlink()


def test_the_servers_were_really_given_their_secrets(house: House, daemon: Daemon) -> None:
    heard = house.marks.found(repr([house.llm.asked(), house.hook.asked()]).encode())
    assert {"llm key", "hook header", "hook query"} <= heard
    assert house.camera.served["/video"] > 0


def test_no_command_line_and_no_camera_process_environment_holds_one(house: House, daemon: Daemon) -> None:
    group = daemon.group()
    assert len(group) >= 5
    for pid, line in group.items():
        searched(house, f"the command line {line}", line)
        if pid != daemon.process.pid:
            searched(house, f"the environment of {line}", Path(f"/proc/{pid}/environ").read_bytes())


class Known(Page):
    """The page of somebody who knows the password."""

    def __init__(self, house: House) -> None:
        super().__init__(house.folder / "state", house.web)
        self._house = house

    @property
    def token(self) -> str:
        return self._house.web_password


def test_no_route_of_the_page_answers_with_one(house: House, daemon: Daemon) -> None:
    page = Known(house)
    answers = {}
    for path in ("/", "/nothing", "/api/events?label=x", *page.get("/api/openapi.json")["paths"]):
        if path != "/api/stream":
            at = path.replace("{camera}", "gone").replace("{seq}", "1").replace("{setting}", "min_score")
            answers[path] = page.ask("GET", at)
    assert sum(code == 200 for code, _ in answers.values()) >= 8
    guess = house.marks.make("wrong guess")
    answers["login"] = page.ask("POST", "/api/login", {"secret": guess}, Authorization="Bearer " + guess)
    searched(house, "the page", repr(answers))
    with page.stream("porch") as stream:
        searched(house, "the page's stream", repr(stream.wait("frame")))


def test_a_reload_that_fails_and_one_that_goes_elsewhere_tell_none(house: House, daemon: Daemon) -> None:
    wrong = house.marks.make("wrong key"), house.marks.make("wrong broker")
    mqtt = house.document["mqtt"]
    house.write({**house.document, "mqtt": {**mqtt, "pasword": wrong[0], "port": wrong[0]},
                 "webhooks": [{"url": wrong[0], "headers": [wrong[0]]}]})  # fmt: skip
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("mqtt.pasword")
    house.write({**house.document, "mqtt": {**mqtt, "password": wrong[1]}})
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("no connection to the MQTT broker")
    house.write(house.document)
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("connected to the MQTT broker", times=2)


def test_a_camera_process_that_crashes_leaves_none_behind(house: House, daemon: Daemon) -> None:
    hub = daemon.process.pid
    cameras = [pid for pid in daemon.group() if pid != hub and parent(pid) != hub]
    assert len(cameras) == len(house.document["cameras"])
    os.kill(cameras[-1], signal.SIGABRT)
    daemon.wait_log("killed by signal 6")
    for pid in daemon.group():
        assert resource.prlimit(pid, resource.RLIMIT_CORE)[0] <= 1, "a picture of the memory would hold them all"


FAULT = """
import multiprocessing, sys
from pathlib import Path
import av.error
from soteirad import camera
from soteirad.config.loader import config_from
text = "cameras: {porch: {source: 'http://viewer:%s@127.0.0.1/x?token=%s', detail: 'rtsp://a:%s@127.0.0.1/y'}}"
job = config_from(text % tuple(sys.argv[1:]), Path("x.yaml"), {}).cameras["porch"]
class Faulty:
    def __init__(self, *_):
        raise av.error.InvalidDataError(1, "invalid", f"{job.source} and {job.detail} by {sys.argv[1]}")
camera.CameraWatch = Faulty
ours, theirs = multiprocessing.Pipe()
camera.camera_main(camera.CameraJob("porch", job, None, Path("spool"), False, "debug"), theirs)
"""


def test_a_fault_of_ours_in_a_camera_process_is_told_without_them(tmp_path: Path) -> None:
    marks = Marks()
    secrets = [marks.make("password", "%2F"), marks.make("token"), marks.make("detail password")]
    run = subprocess.run([sys.executable, "-c", FAULT, *secrets], cwd=tmp_path, capture_output=True, timeout=60,
                         env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)  # fmt: skip
    assert run.returncode == 1
    assert b"this is a fault in Soteira" in run.stderr and b"InvalidDataError" in run.stderr, run.stderr
    assert marks.found(run.stdout + run.stderr) == set(), run.stderr


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[1])


@pytest.mark.parametrize(
    "words",
    [("check",), ("config",), ("config", "diff"), ("config", "apply", "{lines}", "--yes"), ("config", "apply", "{bad}"),
     ("events", "--json"), ("events", "--csv"), ("forget",), ("doctor", "--llm"), ("replay", "{clip}", "--json"),
     ("check", "{broken}")],
    ids=" ".join,
)  # fmt: skip
def test_no_command_prints_one(house: House, daemon: Daemon, monkeypatch: pytest.MonkeyPatch,
                               words: tuple[str, ...]) -> None:  # fmt: skip
    for name, value in house.environment.items():
        monkeypatch.setenv(name, value)
    secret = house.marks.make("line secret")
    files = {"lines": "cameras: {refused: {fps: 3}}\n", "bad": f"web: {{password: [{secret}]}}\n",
             "broken": f"mqtt: {{pasword: {secret}}}\nweb: {{password: {{a: {secret}}}}}\ncameras: {secret}\n",
             }  # fmt: skip
    paths = {name: house.folder / "outside" / f"{name}.yaml" for name in files}
    for name, text in files.items():
        paths[name].write_text(text, encoding="utf-8")
    config = paths["broken"] if "{broken}" in words else house.config
    asked = [word.format(clip=house.clip, **paths) for word in words if word != "{broken}"]
    ended = typed(*asked, "-c", str(config))
    assert ended.returncode in (0, 1), ended.stderr
    searched(house, f"soteirad {' '.join(words)}", ended.stdout + ended.stderr)


def test_nothing_that_was_written_sent_or_logged_holds_one(house: House, daemon: Daemon, listener: Subscriber) -> None:
    daemon.signal(signal.SIGTERM)
    daemon.wait_exit()
    searched(house, "the log", daemon.log())
    for message in listener.messages():
        searched(house, message.topic, message.topic.encode() + message.payload)
    assert house.marks.found_below(house.folder, house.lawful) == {}
    assert [*(house.folder / "home").iterdir(), *(house.folder / "tmp").iterdir()] == [], "all that is kept is in state"
    with sqlite3.connect(house.folder / "state" / "journal.sqlite3") as journal:
        assert journal.execute("SELECT count(*) FROM answers").fetchone()[0] > 0
