"""The catalogue: which questions a configuration has, about which cameras, and what their pictures depend on. Pure."""

from __future__ import annotations

from typing import Any

from soteirad.config import Config, QuestionConfig
from soteirad.config.question import AD_HOC, ad_hoc_question

View = tuple[Any, ...]
"""What a camera's pictures depend on, the privacy masks among it; after a change older ones are not sent."""


class Catalogue:
    """The questions of one configuration; without one there are none."""

    def __init__(self, config: Config | None = None) -> None:
        self._cameras = config.cameras if config is not None else {}
        self._watched = config.watched if config is not None else {}
        offered = config.offered if config is not None else {}
        self.asked = [(name, question) for name in offered for question in (config.asked_of(name) if config else ())]
        """(camera, question) of all that may be asked."""

    def question(self, camera: str, name: str, text: str) -> QuestionConfig | None:
        """Return a question by its name, or (`AD_HOC`) the one in `text`; None if there is none."""
        if name == AD_HOC:
            return ad_hoc_question(text)
        questions = self._cameras[camera].questions if camera in self._cameras else ()
        return next((q for q in questions if q.name == name and q.enabled), None)

    def title(self, camera: str) -> str:
        """Return what people call a camera."""
        return (self._cameras[camera].name if camera in self._cameras else None) or camera

    def view(self, camera: str) -> View | None:
        """Return what a camera's pictures depend on; None for one that is not watched."""
        found = self._watched.get(camera)
        if found is None:
            return None
        return found.source, found.detail, found.stream, found.rotate, found.privacy_mask
