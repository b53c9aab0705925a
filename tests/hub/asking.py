"""What tests of answers share: a journal on disk, a model's server, pictures, and what is told."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from soteirad.config import Config
from soteirad.event import Event, iso_time, new_id
from soteirad.hub.answer_book import AnswerBook
from soteirad.hub.answers import Answers
from soteirad.hub.ask_record import AskRecord
from soteirad.hub.guard import Guard
from soteirad.hub.journal import Journal
from soteirad.llm.picture import Shot
from soteirad.messages import Ask
from tests.llm_server import LlmServer

PATIENCE_S = 30.0
START = 1_795_000_000.0
PARCEL = {"name": "parcel", "ask": "Is there a parcel?", "answer": "yes_no"}
CARS = {"name": "cars", "ask": "How many cars?", "answer": "number"}
_MOMENTS = (START + n for n in itertools.count())


def config(folder: Path, server: LlmServer | str | None, questions: Any = (PARCEL, CARS), storage: Any = None,
           cameras: Any = None, **llm: Any) -> Config:  # fmt: skip
    """A configuration whose only camera is called porch; `server` None is one without llm."""
    url = server.url if isinstance(server, LlmServer) else server
    asked = {"providers": [{"base_url": url, "model": "qwen"}], "workers": 1, **llm}
    return Config.model_validate({
        "cameras": cameras or {"porch": {"source": "rtsp://h/porch", "name": "Front porch"}},
        "questions": list(questions), "storage": {"path": str(folder / "state")},
        "mqtt": {"commands": ["ask", "enabled"]}, **({"llm": asked} if url is not None else {}),
    })  # fmt: skip


def ask(question: str = "parcel", grey: int = 100, on: Any = "left", moment: float | None = None, **fields: Any) -> Ask:
    """A question as a camera sends it, about a picture of one grey; each is a second after the one before."""
    at = next(_MOMENTS) if moment is None else moment
    picture = cv2.imencode(".jpg", np.full((48, 64, 3), grey, np.uint8))[1].tobytes()
    return Ask(**{
        "id": new_id(at), "question": question, "on": on, "time": iso_time(at), "signature": bytes([grey]) * 64,
        "shots": (Shot(picture, 64, 48, at),), **fields,
    })  # fmt: skip


class Desk:
    """Answers over a journal in `folder`, and what they tell; `restart` is another run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[tuple[str, str, dict[str, Any]]] = []
        self.statuses: list[dict[str, Any]] = []
        self.events: list[Event] = []
        self._woken = threading.Event()
        self._open()

    def _open(self) -> None:
        self.journal = Journal(self.folder / "journal.sqlite3")
        self.journal.open()
        self.book = AnswerBook(self.journal)
        self.guard = Guard()
        self.answers = Answers(self.book, self.guard, self._tell, lambda status: self.statuses.append(dict(status)),
                               self._woken.set)  # fmt: skip

    def restart(self, kill: bool = False) -> None:
        """Another run over the same journal; `kill` leaves all as it is on disk."""
        if not kill:
            self.journal_events(self.answers.stop(5.0))
        self.journal.close()
        self.told.clear()
        self._open()
        self.answers.recover()

    def _tell(self, camera: str, question: str, payload: Mapping[str, Any]) -> None:
        self.told.append((camera, question, dict(payload)))

    def step(self, now: float | None = None) -> list[Event]:
        """One turn of the hub: what comes of questions is journaled."""
        found = self.answers.step(time.monotonic() if now is None else now)
        self.journal_events(found)
        return found

    def journal_events(self, found: list[Event]) -> None:
        self.journal.append(found)
        self.events += found

    def until(self, holds: Callable[[], object], what: str = "it") -> None:
        """Take turns until something holds, and one more: what was told is on disk then."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, (what, self.told)
            self._woken.wait(0.02)
            self._woken.clear()
            self.step()
        self.step()

    def ask(self, question: str = "parcel", **fields: Any) -> dict[str, Any]:
        """Ask, and return what is told of it at last."""
        one = ask(question, **fields)
        self.answers.take("porch", one)
        self.until(lambda: self.open == 0)
        return self.last(question)

    @property
    def open(self) -> int:
        return len(self.answers._open)

    def last(self, question: str = "parcel") -> dict[str, Any]:
        """What was told of a question at last."""
        return [payload for _, name, payload in self.told if name == question][-1]

    def states(self, question: str = "parcel") -> list[str]:
        return [payload["state"] for _, name, payload in self.told if name == question]

    def record(self, ask_id: str) -> AskRecord | None:
        """What the disk has of an asking."""
        found = self.book._read("SELECT record FROM answers WHERE id = ?", (ask_id,))
        return found[0] if found else None

    def close(self) -> None:
        self.answers.stop(5.0)
        self.journal.close()
