"""The reception: what each message of a camera process is for, except the events, which go to the intake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from soteirad.hub.answers import Answers
from soteirad.hub.broadcast import Broadcast
from soteirad.hub.desk import Desk
from soteirad.hub.storage import Storage
from soteirad.hub.supervisor import CameraProcess
from soteirad.messages import (
    Ask,
    CameraFailed,
    CameraState,
    CameraStatus,
    Diagnostics,
    FromCamera,
    LiveFrame,
    Missed,
    Picture,
    Preview,
    SourceFinished,
    VideoBegan,
    VideoOverlay,
    VideoPiece,
    VideoStopped,
)


class Reception:
    """Hands on what cameras send. `file_failed` says whether a video file could not be played to its end."""

    def __init__(self, storage: Storage, broadcast: Broadcast, answers: Answers, desk: Desk) -> None:
        self.file_failed = False
        self._storage = storage
        self._broadcast = broadcast
        self._bulletin = broadcast.bulletin
        self._answers = answers
        self._desk = desk
        self._takers: Mapping[type[Any], Callable[[CameraProcess, Any], None]] = {
            Picture: self._picture,
            Preview: lambda camera, message: self._bulletin.preview(camera.name, message.jpeg),
            Ask: self._ask,
            LiveFrame: self._frame,
            **dict.fromkeys((VideoBegan, VideoPiece, VideoOverlay, VideoStopped), self._video),
            Missed: lambda camera, message: self._desk.missed(camera.name, message),
            CameraState: lambda camera, message: self._bulletin.state(camera.name, message.state),
            CameraStatus: self._status,
            Diagnostics: self._diagnostics,
            SourceFinished: self._finished,
            CameraFailed: self._failed,
        }

    def take(self, camera: CameraProcess, message: FromCamera) -> None:
        """Take one message; heartbeats and events were taken before."""
        taker = self._takers.get(type(message))
        if taker is not None:
            taker(camera, message)

    def _picture(self, camera: CameraProcess, message: Picture) -> None:
        self._storage.keep(message.path, message.jpeg)
        self._bulletin.snapshot(camera.name, message)

    def _ask(self, camera: CameraProcess, message: Ask) -> None:
        if not camera.closing:  # its pictures may show what is masked by now
            self._answers.take(camera.name, message)

    def _frame(self, camera: CameraProcess, message: LiveFrame) -> None:
        if not camera.closing:  # as above
            self._desk.frame(camera.name, message)

    def _video(self, camera: CameraProcess, message: VideoBegan | VideoPiece | VideoOverlay | VideoStopped) -> None:
        if not camera.closing:  # as above
            self._desk.videos.take(camera.name, message)

    def _status(self, camera: CameraProcess, message: CameraStatus) -> None:
        self._bulletin.status(camera.name, message.online)
        self._desk.status(camera.name, message.online, message.reason)

    def _diagnostics(self, camera: CameraProcess, message: Diagnostics) -> None:
        self._desk.diagnostics(camera.name, message.values, camera.starts)
        self._broadcast.diagnostics(camera.name, message.values)

    def _finished(self, camera: CameraProcess, message: SourceFinished) -> None:
        camera.finished = True
        self.file_failed |= bool(message.problem)

    def _failed(self, camera: CameraProcess, message: CameraFailed) -> None:
        """A model that is unusable at the start is the owner's to mend; later the other cameras go on."""
        if camera.founding and camera.starts == 1 and not camera.closing:
            camera.failure = message.reason
        else:
            camera.complaint = message.reason
