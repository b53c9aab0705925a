"""The base of all configuration sections: frozen, strict, and reporting all problems together in the owner's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic_core import ErrorDetails, InitErrorDetails

from soteirad.config.messages import reword
from soteirad.errors import ConfigError


class Section(BaseModel):
    """The base of all sections: frozen, no unknown keys, and an empty section means the defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @classmethod
    def prepare(cls, data: Any) -> Any:
        """Return the data to validate; sections override this to complete it."""
        return {} if data is None else data

    @classmethod
    def contradictions(cls, data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
        """Yield each conflict between the keys of raw `data`, whether or not single keys are right."""
        yield from ()

    @model_validator(mode="wrap")
    @classmethod
    def _report_together(cls, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        problems = []
        model = None
        try:
            model = handler(cls.prepare(data))
        except ValidationError as error:
            lines = error.errors(include_url=False)
            problems = [reword(cls, line) for line in lines if not _follows(line, lines)]
        if isinstance(data, Mapping):
            problems += cls.contradictions(data)
        if problems:
            raise ValidationError.from_exception_data(cls.__name__, problems, hide_input=True)
        return model


S = TypeVar("S", bound=Section)


def from_plain(section: type[S], data: Any) -> S:
    """Return a section from plain data that comes from no file. Raises ConfigError."""
    try:
        return section.model_validate(data)
    except ValidationError as error:
        problems = [".".join(map(str, e["loc"])) + f": {e['msg']}" for e in error.errors(include_input=False)]
        raise ConfigError(problems) from None


def _follows(line: ErrorDetails, lines: Sequence[ErrorDetails]) -> bool:
    """Say whether a list is only short of items because those in it are wrong."""
    place = line["loc"]
    return line["type"] == "too_short" and any(o is not line and o["loc"][: len(place)] == place for o in lines)
