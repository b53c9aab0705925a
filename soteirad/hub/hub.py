"""The hub: one loop that journals what cameras confirm, publishes it, and keeps the cameras running."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from soteirad.config import Config
from soteirad.errors import SoteiraError, Stopped
from soteirad.event import Event
from soteirad.hub.answer_book import AnswerBook
from soteirad.hub.answers import Answers
from soteirad.hub.broadcast import Broadcast
from soteirad.hub.clip_retention import clip_limits
from soteirad.hub.commands import Change, Command, Restart
from soteirad.hub.controls import Controls
from soteirad.hub.desk import Facts
from soteirad.hub.engines import Choices, choose_engines
from soteirad.hub.fleet import Changes, Fleet, camera_jobs
from soteirad.hub.fork_server import ForkServer
from soteirad.hub.guard import Guard
from soteirad.hub.intake import Closing, Intake
from soteirad.hub.journal import Journal
from soteirad.hub.mender import Mender
from soteirad.hub.page import Page
from soteirad.hub.reception import Reception
from soteirad.hub.reload import Loaded, Reload
from soteirad.hub.state_folder import prepare_folder
from soteirad.hub.storage import Storage
from soteirad.hub.supervisor import CameraProcess
from soteirad.hub.vitals import Condition, Vitals
from soteirad.hub.webhooks import Webhooks
from soteirad.hub.wishes import Wishes
from soteirad.messages import Committed, Confirmed, FromCamera
from soteirad.mqtt.client import Message
from soteirad.runner import CameraJob
from soteirad.service.notify import Notifier
from soteirad.service.signals import Signals
from soteirad.spool import Spool

logger = logging.getLogger(__name__)

CAMERA_STOP_S = 2.0
FLUSH_S = 0.5
MQTT_STOP_S = 0.5
WEBHOOKS_STOP_S = 0.5
PAGE_STOP_S = 0.5
ANSWERS_STOP_S = 0.3
STORAGE_STOP_S = 0.3
MENDER_STOP_S = 0.3
"""Together the end takes under 5 seconds."""
OLD_CAMERAS_S = 5.0
"""How long a start waits for the cameras of a hub that was killed to write what they still hold."""
PRUNE_EVERY_S = 3600.0
UNTIL_END_FLUSH_S = 30.0


class Hub:
    """Runs until a signal comes, or until every file source has ended when `until_end` is set.

    `load` reads the configuration `file`, at the start and again whenever SIGHUP comes. `notifier` and `fork_server`
    were started; without them systemd hears nothing, and the start takes longer.
    """

    def __init__(self, load: Callable[[], Config], file: Path, log_level: str = "info",
                 until_end: bool = False, notifier: Notifier | None = None,
                 fork_server: ForkServer | None = None) -> None:  # fmt: skip
        self._load = load
        self._file = self._config = config = load()
        self._log_level = log_level
        self._until_end = until_end
        storage = config.storage
        self._spool = Spool(storage.path / "spool")
        self._signals = Signals()
        self._journal = Journal(storage.journal)
        self._mender = Mender(self._journal, self._signals.wake, self._mended)
        self._fleet = Fleet(self._signals.wake, fork_server or ForkServer())
        self._choices: Choices = {}
        self._reload: Reload | None = None
        self._prove = False
        disk: list[Guard] = []
        self._guard = Guard(disk)
        self._vitals = Vitals(self._journal, Guard(disk), notifier or Notifier())
        self._intake = Intake(self._journal, self._spool, Guard(disk), self._committed, self._sure)
        self._controls = Controls(self._journal, Guard(disk))
        self._page = Page(config, file, self._signals.wake)
        self._desk = self._page.desk
        self._broadcast = Broadcast(config, self._journal, self._intake, self._signals.wake, self._controls.of,
                                    self._desk.state, disk)  # fmt: skip
        self._bulletin = self._broadcast.bulletin
        self._storage = Storage(storage, self._journal, lambda: self._intake.problem, disk)
        self._answers = Answers(AnswerBook(self._journal), Guard(disk), self._bulletin.answer, self._tell_llm,
                                self._signals.wake, self._storage.has_room)  # fmt: skip
        self._reception = Reception(self._storage, self._broadcast, self._answers, self._desk)
        self._wishes = Wishes(self._fleet, self._bulletin.online, self._answers)
        self._webhooks = Webhooks(config.webhooks)
        self._prune_at = 0.0
        self._finished_at: float | None = None
        self._stopping = False
        self.restart = False
        """Whether the daemon is to be started anew when `run` has returned."""

    def run(self) -> int:
        """Run the daemon; returns the exit code. Raises SoteiraError when it cannot start."""
        self._signals.install()
        self._vitals.doing("opening the journal")
        self._open_storage()
        self._page.bind()
        self._controls.settle(self._file)
        self._config = self._controls.effective(self._file)
        self._desk.configure(self._file, self._config)
        self._page.start()  # it says that engines are proven, which may take a minute
        try:
            self._choices = choose_engines(self._config.watched, {}, self._is_to_end, self._vitals.doing)
        except Stopped:
            self._page.stop(PAGE_STOP_S)
            return 0
        self._fleet.found(self._jobs())
        self._recover()
        self._tell_config()
        self._webhooks.start()
        self._storage.start()
        self._broadcast.start()
        for camera in self._fleet:
            self._start_camera(camera)
        self._tell_vitals()
        self._vitals.ready()
        self._desk.be_ready()
        logger.info("watching %s", ", ".join(c.name for c in self._fleet) or "no camera")
        try:
            while not self._signals.stop and not self._failed() and not self._all_finished():
                self._turn(self._timeout())
        finally:
            self._shut_down()
        for camera in self._fleet:
            if camera.failure:
                logger.error("%s: %s", camera.name, camera.failure)
        return 1 if self._failed() or (self._until_end and self._reception.file_failed) else 0

    def _is_to_end(self) -> bool:
        """Say whether to end while engines are proven, which is progress."""
        self._vitals.busy()
        return self._signals.stop

    def _jobs(self) -> dict[str, CameraJob]:
        return camera_jobs(self._config, self._choices, self._config.storage.path / "spool", self._log_level)

    def _open_storage(self) -> None:
        prepare_folder(self._config.storage.path)
        self._spool.create()
        self._spool.claim()
        if not self._spool.wait_until_free(OLD_CAMERAS_S, self._signals.wait) and not self._signals.stop:
            logger.warning("camera processes of a daemon that was killed are still there")
        self._mender.open(self._vitals.busy)
        self._storage.note = self._mender.note
        self._storage.load()
        self._broadcast.load()
        self._controls.load()

    def _mended(self) -> None:
        """Give a new journal what the damaged one may have lost and this run knows."""
        self._storage.note = self._mender.note
        self._controls.write_again()
        self._broadcast.write_again()

    def _recover(self) -> None:
        found, closed = self._intake.recover()
        self._answers.recover()
        if found or closed:
            logger.info("recovered %d spooled events, closed %d open visits", found, closed)

    def _turn(self, timeout: float) -> None:
        """Wait for something to do, and do it."""
        self._signals.wait(timeout)
        self._take_messages()
        self._intake.take(self._answers.step(time.monotonic()))
        heard = self._broadcast.step(time.monotonic())
        wished = self._page.step(self._fleet, self._facts())
        if not self._stopping:
            self._obey(heard, wished)
        self._controls.save()
        now = time.monotonic()
        self._mender.step(now)
        self._storage.step(now)
        self._fleet.check(now)
        if not self._stopping:
            self._start_due(now)
            self._reload_if_asked()
        if now >= self._prune_at and self._storage.knows_age():
            self._prune_at = now + PRUNE_EVERY_S
            self._answers.prune(self._config.storage.retain_days)
        if not self._stopping:
            self._tell_vitals()
        self._vitals.progress(now, self._broadcast.hangs(now))

    def _facts(self) -> Facts:
        """Return what the page is told of the hub itself."""
        storage = self._storage
        return Facts(self._broadcast.connected, storage.problem, storage.free_bytes, storage.total_bytes)

    def _tell_vitals(self) -> None:
        """Tell systemd how we are."""
        online = sum(self._bulletin.online(c.name) for c in self._fleet)
        doing = self._reload.doing if self._reload is not None else ""
        if doing:
            self._vitals.extend()
        self._vitals.tell(Condition(len(self._fleet), online, self._broadcast.connected, doing, self._storage.problem))

    def _start_due(self, now: float) -> None:
        for camera in self._fleet:
            due = camera.due()
            if due is not None and now >= due:
                self._intake.take([Closing(camera.name, camera.restart_reason)])
                self._start_camera(camera)

    def _start_camera(self, camera: CameraProcess) -> None:
        lost = False

        def look() -> None:
            nonlocal lost
            lost = self._journal.source_is_lost(camera.name)

        self._guard(look)
        camera.start(lost)

    def _reload_if_asked(self) -> None:
        """Begin to read the configuration again, or take what came of it."""
        if self._reload is None and (self._signals.reload or self._prove):
            # Whoever switches a camera on does not mean what the owner has changed in the file meanwhile.
            file = self._file
            load = self._load if self._signals.reload else lambda: file
            self._signals.reload, self._prove = False, self._prove and self._signals.reload
            self._vitals.reloading()
            self._reload = Reload(load, lambda config: self._controls.effective(config).watched, self._choices,
                                  lambda: self._signals.stop, self._signals.wake)  # fmt: skip
            self._reload.start()
        elif self._reload is not None and self._reload.result is not None:
            result, self._reload = self._reload.result, None
            if isinstance(result, Loaded):
                self._apply(result)
            else:
                for problem in result.problems:
                    logger.error("%s", problem)
                logger.error("the new configuration cannot be used: the old one stays in force")
                if not self._prove:  # else they were not tried yet
                    self._give_up_unproven()
            self._vitals.ready()

    def _give_up_unproven(self) -> None:
        """Switch cameras off again that were switched on and have no engine: they would make the next start fail."""
        unproven = self._unproven()
        for name in unproven:
            logger.error("%s: it cannot be switched on", name)
            self._controls.change(self._file, Change(name, "enabled", False))
        if unproven:
            self._put_in_force()

    def _unproven(self) -> list[str]:
        """Return the cameras that were off so far: their engines have to be proven first."""
        return [name for name, camera in self._config.watched.items() if camera.detector not in self._choices]

    def _apply(self, loaded: Loaded) -> None:
        """Go on with a new configuration file; only what it changes is touched."""
        old, new = self._file, loaded.config
        if new.storage.path != old.storage.path:
            logger.warning("storage.path stays %s until the daemon is restarted", old.storage.path)
            new = new.model_copy(update={"storage": new.storage.model_copy(update={"path": old.storage.path})})
        running = {camera.job.camera.detector: camera.job.choice for camera in self._fleet}
        self._file, self._choices = new, {**running, **loaded.choices}
        if new.webhooks != old.webhooks:
            self._webhooks.stop(WEBHOOKS_STOP_S)
            self._webhooks = Webhooks(new.webhooks)
            self._webhooks.start()
        self._controls.settle(new)
        self._page.move(new, PAGE_STOP_S)
        self._broadcast.move(old, new, MQTT_STOP_S)
        logger.info("the configuration was reloaded: %s", self._put_in_force())

    def _put_in_force(self) -> Changes:
        """Go by the file and what was set over it; only what that changes is touched."""
        self._config = self._controls.effective(self._file)
        self._prove = bool(self._unproven())
        changes = self._fleet.apply(self._jobs())
        self._tell_config([camera.name for camera in self._fleet if camera.closing])
        for camera in self._fleet:
            if camera.connection is None and camera.closing:
                self._camera_ended(camera)
        return changes

    def _tell_llm(self, payload: Mapping[str, Any]) -> None:
        self._bulletin.llm(payload)
        self._desk.llm(payload)

    def _tell_config(self, leaving: Sequence[str] = ()) -> None:
        self._storage.configure(self._config.storage, clip_limits(self._config))
        self._desk.configure(self._file, self._config)
        self._bulletin.configure(self._config, leaving)
        self._answers.configure(self._config)

    def _timeout(self) -> float:
        now = time.monotonic()
        return max(0.0, min([1.0] + [at - now for at in (*self._fleet.due(), *self._broadcast.due())]))

    def _take_messages(self) -> None:
        """Read all pipes, commit all new events in one transaction, and only then answer."""
        batch: list[tuple[CameraProcess, list[FromCamera], bool]] = []
        for camera in self._fleet:
            if camera.connection is not None:
                batch.append((camera, *camera.receive()))
        self._intake.take([m.event for _, messages, _ in batch for m in messages if isinstance(m, Confirmed)])
        for camera, messages, closed in batch:
            for message in messages:
                self._reception.take(camera, message)
            if closed:
                self._camera_ended(camera)

    def _committed(self, events: Sequence[Event]) -> None:
        """Tell the cameras that they may forget: the disk has it."""
        for camera in self._fleet:
            ours = [e for e in events if e.camera == camera.name]
            if ours:
                camera.send(Committed(tuple(e.id for e in ours)))

    def _sure(self, events: Sequence[Event]) -> None:
        """Tell what happened."""
        self._vitals.recorded(sum(event.event_type != "recorded" for event in events))
        for event in events:
            if event.event_type != "answered":  # the answer itself was told
                logger.info("%s: %s %s", event.camera, event.event_type, event.label or "")
            self._bulletin.confirmed(event)
            self._storage.confirmed(event)
            self._desk.confirmed(event)
            self._webhooks.submit(event)

    def _camera_ended(self, camera: CameraProcess) -> None:
        ends = camera.finished or camera.failure or camera.closing or self._signals.stop or self._stopping
        fate = camera.ended(restart=not ends)
        self._bulletin.ended(camera.name)
        self._desk.status(camera.name, False, fate)
        if camera.closing and not self._stopping and not camera.succeed():
            reason = "switched_off" if camera.name in self._config.cameras else "removed"
            self._intake.take([Closing(camera.name, reason)])
            self._bulletin.removed(camera.name)
            self._fleet.drop(camera)
        elif not ends:
            self._broadcast.diagnostics(camera.name, {"online": False, "reason": fate})

    def _obey(self, messages: Sequence[Message], wished: Sequence[Change]) -> None:
        """Do what somebody wishes over MQTT or on the page, as far as it is allowed; then say what is true.

        However many come at once, what they change is put in force once: somebody may send them without end.
        """
        topics = self._broadcast.topics
        commands: list[Command | None] = [*wished]
        commands += [self._controls.read(topics, message, self._file) for message in messages]
        changes = [command for command in commands if isinstance(command, Change)]
        for change in changes:
            self._controls.change(self._file, change)
        if changes:
            self._controls.save()
            self._put_in_force()
        self._wishes.fulfil(commands)
        if Restart() in commands:
            self._ask_to_restart()
        for name in {topics.camera_of(message.topic) for message in messages}:
            self._bulletin.again(name)

    def _ask_to_restart(self) -> None:
        """End, to be started anew; not with a configuration that would keep it from coming back."""
        if self._signals.stop:  # who wants the end by a signal wants no new start
            return
        try:
            self._load()
        except SoteiraError as error:
            logger.error("no restart, because the configuration cannot be used: %s", error)
            return
        logger.info("told over MQTT to restart")
        self.restart = self._signals.stop = True

    def _failed(self) -> bool:
        return any(c.failure for c in self._fleet)

    def _all_finished(self) -> bool:
        """With `until_end`: all files have ended, and models and broker are done or have had their time for it."""
        if not self._until_end or not all(c.finished and c.connection is None for c in self._fleet):
            return False
        now = time.monotonic()
        self._finished_at = self._finished_at or now
        busy = self._answers.waiting or self._broadcast.waiting()
        return not busy or now - self._finished_at > UNTIL_END_FLUSH_S

    def _shut_down(self) -> None:
        """End cameras, take what they still send, publish what can be, say offline."""
        self._desk.be_ready("stopping")
        self._vitals.stopping(self.restart)
        self._stopping = True
        for camera in self._fleet:
            camera.ask_to_stop()
        deadline = time.monotonic() + CAMERA_STOP_S
        while any(c.connection is not None for c in self._fleet) and time.monotonic() < deadline:
            self._turn(0.1)
        for camera in self._fleet:
            camera.join(deadline)
            self._bulletin.ended(camera.name)
        self._mender.stop(MENDER_STOP_S)  # what waits for the journal may still go into it
        self._intake.hurry()
        self._intake.take(self._answers.stop(ANSWERS_STOP_S))
        self._flush()
        self._page.stop(PAGE_STOP_S)
        self._storage.stop(STORAGE_STOP_S)
        self._webhooks.stop(WEBHOOKS_STOP_S)
        self._broadcast.stop(MQTT_STOP_S)
        self._journal.close()
        self.restart = self.restart and not self._signals.told_to_stop  # a signal came while we ended
        logger.info("stopped")

    def _flush(self) -> None:
        """Give the broker a moment to take what it does not have yet."""
        deadline = time.monotonic() + FLUSH_S
        while time.monotonic() < deadline and self._broadcast.connected and self._broadcast.waiting():
            self._turn(0.05)
