"""A house for the installed service: a broker that wants a password, two cameras of which one does, and a listener."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from soteirad.service.layout import UNIT
from tests.brokers import Mosquitto, Subscriber
from tests.clips import VISIT, cut
from tests.rtsp_server import RtspServer
from tests.systemd.appliance import Appliance, run

SECRETS = {"SOTEIRA_MQTT": "broker-secret-1", "SOTEIRA_PORCH": "porch-secret-2"}
QUICK = "[Service]\nRestartSec=0.5\n"


class House:
    """Everything around the service. Its configuration may be changed: `settle` writes it anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.broker = Mosquitto(folder / "broker", {"soteira": SECRETS["SOTEIRA_MQTT"], "listener": "listener"})
        self.listener = Subscriber(self.broker, user="listener", password="listener")  # noqa: S106
        self.porch = RtspServer(user="viewer", password=SECRETS["SOTEIRA_PORCH"])
        self.yard = RtspServer()
        self.appliance = Appliance()

    def start(self) -> None:
        """Start what is around it, and install it with its configuration and secrets; it does not run yet."""
        self.broker.start()
        self.listener.start()
        clip = cut(self._folder / "visit.mp4", VISIT)
        self.porch.start(clip, loop=True)
        self.yard.start(clip, loop=True)
        self.appliance.install()
        self.appliance.configure(self.configuration())
        self.appliance.keep_secrets(SECRETS)
        self.appliance.drop_in("quick.conf", QUICK)

    def configuration(self) -> dict[str, Any]:
        """Return what its owner wrote."""
        porch = "rtsp://viewer:{SOTEIRA_PORCH}@" + self.porch.url_for().removeprefix("rtsp://")
        mqtt = {"host": "127.0.0.1", "port": self.broker.port, "user": "soteira", "password": "{SOTEIRA_MQTT}"}
        return {"mqtt": mqtt, "cameras": {"porch": {"source": porch}, "yard": {"source": self.yard.url}}}

    def settle(self) -> None:
        """See that the service runs with its own configuration, and that both cameras are online."""
        changed = self.appliance.configure(self.configuration())
        if self.appliance.show("ActiveState") not in ("active", "reloading", "activating"):
            self.appliance.stop()
            self.appliance.start()
        elif changed:
            run("systemctl", "reload", UNIT)
        self.appliance.wait_status("2 cameras, 2 online, ")

    def stop(self) -> None:
        """End what is around it."""
        self.appliance.stop()
        self.porch.kill()
        self.yard.kill()
        self.listener.stop()
        self.broker.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
