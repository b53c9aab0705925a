"""The faults: each is put upon the house, and watched until all is well again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from soteirad.hub.health import Crashes, Pulse
from soteirad.mqtt.client import RETRY_MAX_S, RETRY_MIN_S
from tests.soak.house import FPS, OTHER_FPS, House

SLACK_S = 3.0
"""What a recovery may take beyond the wait that was in force."""
START_S = 10.0
"""What a camera process may take to start, load its model, connect and get a picture, on a machine that has work."""
PATIENCE_S = 120.0
STABLE_S = 10.5
"""After so long online a camera's next retry is a quick one again."""
READ_TIMEOUT_S = 10.0
"""The default."""
LOAD_S = 20.0
LONGEST_S = 50.0
"""What any fault takes with its recovery, almost always."""
JITTER = 1.25

SERVER, FREEZE, CRASH, HANG, BROKER, RELOAD, LOAD = KINDS = (
    "camera switched off and on", "camera frozen", "camera process killed", "camera process hangs",
    "broker killed and restarted", "reload with another fps", "all cores busy",
)  # fmt: skip


@dataclass
class Fault:
    """One fault and what came of it. Times are monotonic; `recovered` is in seconds, None if it never did."""

    kind: str
    camera: str
    began: float
    ended: float = 0.0
    recovered: float | None = None
    limit: float = 0.0
    others_changed: tuple[str, ...] = ()
    warnings: int = 0
    note: str = ""
    problem: str = ""


def schedule(rng: random.Random) -> Iterator[str]:
    """Yield kinds for ever: all of them once in each round, and after the first round more power cuts than others."""
    more = 0
    while True:
        kinds = [*KINDS, *[SERVER] * more]
        rng.shuffle(kinds)
        yield from kinds
        more = 5


def wait_in_force(down: float, first: float = 1.0, last: float = 30.0) -> float:
    """Return the longest wait that may be running `down` seconds after the first failure, if each try fails at once."""
    wait, begins = first, 0.0
    while begins + wait <= down:
        begins += wait
        wait = min(last, wait * 2)
    return wait * JITTER


class Troubles:
    """Puts faults upon a house, one after the other."""

    def __init__(self, house: House, rng: random.Random) -> None:
        self._house = house
        self._rng = rng
        self._crashes: dict[str, deque[float]] = {name: deque() for name in house.names}
        self._connections = 1
        self.faults: list[Fault] = []
        self._burners: list[subprocess.Popen[bytes]] = []

    def put(self, kind: str, camera: str) -> Fault:
        """Make one fault happen and wait until it is over."""
        house, causes = self._house, {SERVER: self._server, FREEZE: self._freeze, CRASH: self._crash, HANG: self._hang,
                                      BROKER: self._broker, RELOAD: self._reload, LOAD: self._load}  # fmt: skip
        if kind not in (BROKER, LOAD):
            house.wait(lambda: self._stable(camera), PATIENCE_S)
        fault = Fault(kind, camera if kind not in (BROKER, LOAD) else "", time.monotonic())
        lines = self._warnings()
        causes[kind](fault)
        fault.ended = time.monotonic()
        fault.warnings = self._warnings() - lines
        fault.others_changed = tuple(
            name for name in house.names
            if name != fault.camera and any(at >= fault.began for at, _ in house.story(name).status)
        )  # fmt: skip
        self.faults.append(fault)
        return fault

    def close(self) -> None:
        """End what still burns."""
        for burner in self._burners:
            burner.kill()
            burner.wait()

    def _warnings(self) -> int:
        log = self._house.daemon.log()
        return log.count(" WARNING ") + log.count(" ERROR ")

    def _stable(self, camera: str) -> bool:
        story = self._house.story(camera)
        return story.online and time.monotonic() - story.status[-1][0] > STABLE_S

    def _back(self, fault: Fault, since: float) -> None:
        """Wait until the camera that went away is online again, and note how long after `since` it was."""
        status = self._house.story(fault.camera).status
        begin = fault.began

        def online() -> float | None:
            self._house.listener.read()
            return next((at for at, said in reversed(status) if said == "online" and at > begin), None)

        if self._house.wait(lambda: online() is not None and status[-1][1] == "online", PATIENCE_S):
            fault.recovered = max(0.0, (online() or since) - since)

    def _offline(self, fault: Fault, timeout: float) -> float | None:
        """Wait until the camera is offline; returns after how many seconds it was."""
        status = self._house.story(fault.camera).status
        if not self._house.wait(lambda: self._house.listener.read() and status[-1][1] == "offline", timeout):
            return None
        return status[-1][0] - fault.began

    def _server(self, fault: Fault) -> None:
        down = self._rng.choice((1.0, 2.0, 4.0, 8.0))
        self._house.servers[fault.camera].kill()
        self._offline(fault, SLACK_S)
        self._pass(fault.began + down)
        since = self._house.serve(fault.camera)
        fault.limit = wait_in_force(since - fault.began) + SLACK_S
        self._back(fault, since)
        fault.note = f"off for {since - fault.began:.1f} s"

    def _freeze(self, fault: Fault) -> None:
        server = self._house.servers[fault.camera]
        server.freeze()
        try:
            noticed = self._offline(fault, 3 * READ_TIMEOUT_S)
            self._pass(time.monotonic() + self._rng.uniform(1.5, 5.0))
        finally:
            server.thaw()
        since = time.monotonic()
        # The try that runs meanwhile may take up to its connect timeout; the wait after it is the second one.
        fault.limit = wait_in_force(1.5) + SLACK_S
        if noticed is None:
            fault.problem = f"not noticed in {since - fault.began:.0f} s"
            return
        if noticed > READ_TIMEOUT_S + SLACK_S:
            fault.problem = f"noticed after {noticed:.1f} s; the read timeout is {READ_TIMEOUT_S:.0f} s"
        fault.note = f"offline after {noticed:.1f} s"
        self._back(fault, since)

    def _crash(self, fault: Fault) -> None:
        pid = self._pid(fault)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            fault.limit = self._restart_within(fault.camera) + START_S
            self._back(fault, fault.began)

    def _hang(self, fault: Fault) -> None:
        pid = self._pid(fault)
        if pid is None:
            return
        os.kill(pid, signal.SIGSTOP)
        killed = self._offline(fault, PATIENCE_S)
        if killed is None or killed > Pulse.SILENCE_S + SLACK_S:
            fault.problem = f"it was killed after {killed or PATIENCE_S:.1f} s, not {Pulse.SILENCE_S:.0f} s"
        fault.note = f"killed after {killed:.1f} s" if killed is not None else "never killed"
        fault.limit = self._restart_within(fault.camera) + START_S
        self._back(fault, fault.began + (killed or 0.0))

    def _broker(self, fault: Fault) -> None:
        house = self._house
        house.broker.kill()
        self._pass(fault.began + self._rng.choice((1.0, 3.0, 6.0)))
        house.broker.start()
        since = time.monotonic()
        fault.limit = wait_in_force(since - fault.began, RETRY_MIN_S, RETRY_MAX_S) + SLACK_S
        self._connections += 1
        house.reconnect_subscriber(self._connections)

        def back() -> float | None:
            said = house.listener.read().daemon
            return next((at for at, what in reversed(said) if what == "online" and at > since), None)

        if house.wait(back, PATIENCE_S):
            fault.recovered = (back() or since) - since

    def _reload(self, fault: Fault) -> None:
        house = self._house
        house.fps[fault.camera] = OTHER_FPS if house.fps[fault.camera] == FPS else FPS
        house.configure()
        house.daemon.signal(signal.SIGHUP)
        fault.limit = START_S
        if self._offline(fault, PATIENCE_S) is not None:
            self._back(fault, fault.began)

    def _load(self, fault: Fault) -> None:
        """Keep all cores busy; each burner ends by itself."""
        code = f"import time\nend = time.monotonic() + {LOAD_S}\nwhile time.monotonic() < end: pass"
        self._burners = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(os.cpu_count() or 1)]
        for burner in self._burners:
            burner.wait()
        fault.recovered, fault.limit = 0.0, SLACK_S

    def _pid(self, fault: Fault) -> int | None:
        pid = self._house.vitals.pid_of(fault.camera)
        if pid is None:
            fault.problem = "its process was not found"
        return pid

    def _restart_within(self, camera: str) -> float:
        """Return when a process that died now is started again: later if it died often."""
        now, times = time.monotonic(), self._crashes[camera]
        times.append(now)
        while now - times[0] > Crashes.WINDOW_S:
            times.popleft()
        return Crashes.LATER_S if len(times) >= Crashes.MANY else Crashes.SOON_S

    def _pass(self, until: float) -> None:
        """Let time pass: that the thing stays broken is the fault itself."""
        self._house.wait(lambda: time.monotonic() >= until, max(0.0, until - time.monotonic()) + 1.0)
