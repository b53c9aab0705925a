"""The hub: one loop that journals what cameras confirm, publishes it, and keeps the cameras running."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from soteirad.assembly import choose_engine, model_card
from soteirad.camera import CameraJob
from soteirad.config import Config, DetectorConfig
from soteirad.detect.choice import Choice
from soteirad.errors import ModelError, Stopped, StorageError
from soteirad.event import Event
from soteirad.hub.journal import Journal
from soteirad.hub.outbox import Outbox
from soteirad.hub.retained import Retained
from soteirad.hub.supervisor import CameraProcess, process_context
from soteirad.messages import (
    CameraFailed,
    CameraState,
    CameraStatus,
    Committed,
    Confirmed,
    Diagnostics,
    FromCamera,
    Picture,
    SourceFinished,
)
from soteirad.mqtt.client import Connected, MqttClient, MqttNotice
from soteirad.mqtt.topics import Topics
from soteirad.service.notify import Notifier
from soteirad.service.signals import Signals
from soteirad.snapshot import write_atomically
from soteirad.spool import Spool

logger = logging.getLogger(__name__)

CAMERA_STOP_S = 2.0
FLUSH_S = 0.5
MQTT_STOP_S = 0.5
"""Together the end takes under 5 seconds."""
OLD_CAMERAS_S = 5.0
"""How long a start waits for the cameras of a hub that was killed to write what they still hold."""
PRUNE_EVERY_S = 3600.0
UNTIL_END_FLUSH_S = 30.0


class Hub:
    """Runs until a signal comes, or until every file source has ended when `until_end` is set."""

    def __init__(self, config: Config, log_level: str = "info", until_end: bool = False) -> None:
        self._config = config
        self._until_end = until_end
        storage, mqtt = config.storage, config.mqtt
        self._spool = Spool(storage.path / "spool")
        self._pictures = storage.path / "snapshots"
        self._signals = Signals()
        self._notifier = Notifier()
        self._journal = Journal(storage.path / "journal.sqlite3")
        self._topics = Topics(mqtt.topic_prefix)
        self._client = MqttClient(
            mqtt.host, mqtt.port, user=mqtt.user,
            password=mqtt.password.get_secret_value() if mqtt.password else None,
            topics=self._topics, on_wake=self._signals.wake,
        )  # fmt: skip
        self._outbox = Outbox(self._journal, self._client, self._topics)
        self._retained = Retained(self._client, self._topics)
        context = process_context()
        self._cameras = [
            CameraProcess(CameraJob(name, camera, None, storage.path / "spool", storage.snapshots, log_level), context,
                          self._signals.wake)
            for name, camera in config.cameras.items()
            if camera.enabled
        ]
        self._events = 0
        self._prune_at = 0.0
        self._storage_told = ""
        self._uncommitted: list[Event] = []
        self._finished_at: float | None = None
        self._stopping = False
        self._file_failed = False

    def run(self) -> int:
        """Run the daemon; returns the exit code. Raises StorageError or ModelError when it cannot start."""
        self._signals.install()
        self._open_storage()
        try:
            self._choose_engines()
        except Stopped:
            return 0
        self._recover()
        self._client.start()
        for camera in self._cameras:
            self._retained.camera_status(camera.name, False)
            camera.start()
        self._notifier.ready()
        logger.info("watching %s", ", ".join(c.name for c in self._cameras) or "no camera")
        try:
            while not self._signals.stop and not self._failed() and not self._all_finished():
                self._turn(self._timeout())
        finally:
            self._shut_down()
        for camera in self._cameras:
            if camera.failure:
                logger.error("%s: %s", camera.name, camera.failure)
        return 1 if self._failed() or (self._until_end and self._file_failed) else 0

    def _choose_engines(self) -> None:
        """Give each camera the engine that is proven for its model: once for all that want the same."""
        chosen: dict[DetectorConfig, Choice | None] = {}
        for camera in self._cameras:
            settings, card = camera.job.camera.detector, model_card(camera.job.camera)
            if settings not in chosen:
                self._notifier.status(f"trying what runs {card.name} best here")
                try:
                    choice = chosen[settings] = choose_engine(camera.job.camera, card, lambda: self._signals.stop)
                except ModelError as error:
                    raise ModelError(f"{camera.name}: {error}") from error
                on = f"{settings.server.model} on {settings.server.url}, stand-in: " if settings.server else ""
                logger.info("detector %s: %s%s", card.name, on, choice or "none")
            camera.job = replace(camera.job, choice=chosen[settings])

    def _open_storage(self) -> None:
        self._spool.create()
        self._spool.claim()
        if not self._spool.wait_until_free(OLD_CAMERAS_S, self._signals.wait) and not self._signals.stop:
            logger.warning("camera processes of a daemon that was killed are still there")
        self._journal.open()

    def _recover(self) -> None:
        """Take in what camera processes spooled, then close the visits that the last run left open."""
        found = self._take_spooled()
        closed = self._journal.close_open_visits("restart", time.time())
        if found or closed:
            logger.info("recovered %d spooled events, closed %d open visits", found, len(closed))

    def _take_spooled(self, camera: str | None = None) -> int:
        """Journal what cameras (or one) spooled; an id that is there already is not journaled again."""
        found = self._spool.read(camera)
        self._journal.append(found)
        for event in found:
            self._spool.forget(event.id)
        return len(found)

    def _turn(self, timeout: float) -> None:
        """Wait for something to do, and do it."""
        self._signals.wait(timeout)
        self._take_messages()
        self._handle_notices(self._client.step(time.monotonic()))
        self._pump()
        now = time.monotonic()
        for camera in self._cameras:
            due = camera.restart_due()
            if due is not None and now >= due:
                if self._close_visits(camera):
                    camera.start()
                else:
                    camera.postpone()
        if now >= self._prune_at:
            self._prune_at = now + PRUNE_EVERY_S
            self._guarded(self._prune)
        self._notifier.watchdog(now)
        online = sum(self._retained.online(c.name) for c in self._cameras)
        self._notifier.status(f"{len(self._cameras)} cameras, {online} online, {self._events} events")

    def _timeout(self) -> float:
        now = time.monotonic()
        due = [c.restart_due() for c in self._cameras] + [self._client.retry_at]
        return max(0.0, min([1.0] + [d - now for d in due if d is not None]))

    def _take_messages(self) -> None:
        """Read all pipes, commit all new events in one transaction, and only then answer."""
        batch: list[tuple[CameraProcess, list[FromCamera], bool]] = []
        for camera in self._cameras:
            if camera.connection is not None:
                batch.append((camera, *camera.receive()))
        self._commit([m.event for _, messages, _ in batch for m in messages if isinstance(m, Confirmed)])
        for camera, messages, closed in batch:
            for message in messages:
                self._handle(camera, message)
            if closed:
                self._camera_ended(camera)

    def _commit(self, events: list[Event]) -> None:
        """Journal events and answer their cameras. If the disk fails they wait here, and unanswered in the cameras."""
        events = [*self._uncommitted, *events]
        if not events:
            return
        if not self._guarded(lambda: self._journal.append(events)):
            self._uncommitted = events
            return
        self._uncommitted = []
        self._events += len(events)
        for camera in self._cameras:
            ours = [e for e in events if e.camera == camera.name]
            if ours:
                camera.send(Committed(tuple(e.id for e in ours)))
        for event in events:
            logger.info("%s: %s %s", event.camera, event.event_type, event.label or "")

    def _handle(self, camera: CameraProcess, message: FromCamera) -> None:
        if isinstance(message, Picture):
            self._guarded(lambda: write_atomically(self._pictures / message.path, message.jpeg))
            self._retained.snapshot(camera.name, message.jpeg)
        elif isinstance(message, CameraState):
            self._retained.state(camera.name, message.state)
        elif isinstance(message, CameraStatus):
            self._retained.camera_status(camera.name, message.online)
        elif isinstance(message, Diagnostics):
            topic = self._topics.diagnostics(camera.name)
            self._client.publish(topic, json.dumps(message.values, separators=(",", ":")))
        elif isinstance(message, SourceFinished):
            camera.finished = True
            self._file_failed |= bool(message.problem)
        elif isinstance(message, CameraFailed):
            self._camera_failed(camera, message.reason)

    def _camera_failed(self, camera: CameraProcess, reason: str) -> None:
        """A model that is unusable at the start is the owner's to mend; later the other cameras go on."""
        if camera.starts == 1:
            camera.failure = reason
        else:
            logger.error("%s: %s", camera.name, reason)

    def _camera_ended(self, camera: CameraProcess) -> None:
        camera.ended(restart=not (camera.finished or camera.failure or self._signals.stop or self._stopping))
        self._retained.camera_status(camera.name, False)

    def _close_visits(self, camera: CameraProcess) -> bool:
        """What a dead process watched is unknown: its visits end, and its successor finds things `present`."""

        def close() -> None:
            self._take_spooled(camera.name)
            self._journal.close_open_visits("camera_restart", time.time(), camera.name)

        return self._guarded(close)

    def _handle_notices(self, notices: list[MqttNotice]) -> None:
        for notice in notices:
            self._outbox.on_notice(notice)
            if isinstance(notice, Connected):
                self._client.publish(self._topics.status(), "online", qos=1, retain=True)
                self._retained.publish_all()

    def _pump(self) -> None:
        self._guarded(self._outbox.pump)

    def _prune(self) -> None:
        outbox = self._config.storage.outbox
        dropped = self._journal.prune(outbox.days, outbox.events)
        if dropped:
            logger.warning("the outbox was full: %d of the oldest events were dropped unpublished", dropped)

    def _guarded(self, action: Callable[[], object]) -> bool:
        """Run a storage action; a failing disk is told once for each reason and never stops the watch."""
        try:
            action()
        except StorageError as error:
            if str(error) != self._storage_told:
                self._storage_told = str(error)
                logger.error("%s", error)
            return False
        self._storage_told = ""
        return True

    def _failed(self) -> bool:
        return any(c.failure for c in self._cameras)

    def _all_finished(self) -> bool:
        """With `until_end`: all files have ended, and the broker has taken their events or had its time for it."""
        if not self._until_end or not all(c.finished and c.connection is None for c in self._cameras):
            return False
        now = time.monotonic()
        self._finished_at = self._finished_at or now
        return not self._journal.count_pending() or now - self._finished_at > UNTIL_END_FLUSH_S

    def _shut_down(self) -> None:
        """End cameras, take what they still send, publish what can be, say offline."""
        self._notifier.stopping()
        self._stopping = True
        for camera in self._cameras:
            camera.ask_to_stop()
        deadline = time.monotonic() + CAMERA_STOP_S
        while any(c.connection is not None for c in self._cameras) and time.monotonic() < deadline:
            self._turn(0.1)
        for camera in self._cameras:
            camera.join(deadline)
            self._retained.camera_status(camera.name, False)
        self._flush()
        self._handle_notices(self._client.stop(MQTT_STOP_S))
        self._pump()
        self._journal.close()
        logger.info("stopped")

    def _flush(self) -> None:
        """Give the broker a moment to take what the journal still holds."""
        deadline = time.monotonic() + FLUSH_S
        while time.monotonic() < deadline and self._client.connected and self._journal.count_pending():
            self._turn(0.05)
