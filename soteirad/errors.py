"""The exceptions an owner can cause or see; everything else is a bug.

    SoteiraError            one clear sentence: what, where, why, what to do
    ├── ConfigError         the configuration file (carries every problem found)
    ├── ModelError          a model card or model file
    │   └── ModelUntried    it could not be tried to the end; it may pass by itself
    ├── DetectorUnavailable no detector can answer at the moment; it is tried again
    ├── SourceError         a camera stream or a video file
    │   ├── SourceEnded     the stream ended (a file's end, a camera that hung up)
    │   └── SourceRefused   trying again soon gets the same answer: a wrong password, path or codec
    ├── BrokerError         files for the encrypted connection to the MQTT broker
    ├── WebError            the address of the page
    ├── InstallError        a step of `soteirad install` or `uninstall`
    ├── ProviderError       a vision model's server (in llm/reasons.py)
    └── StorageError        the journal or the state directory; it may pass by itself
        ├── StorageRefused  it will be the same at the next try: its owner has to change something
        └── DamagedError    the journal is damaged: the daemon mends it

`SoteiraError` ends a command with exit code 1 and its message, never with a traceback; a daemon whose start fails for
a reason that `passes` ends with 75 instead.
"""

from __future__ import annotations


class SoteiraError(Exception):
    """The base of all errors whose message is written for the owner."""

    passes = False
    """Whether the next try may succeed although nobody has changed anything: a full disk, a port in use."""


class ConfigError(SoteiraError):
    """The configuration cannot be used; `problems` holds one line for each thing that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class ModelError(SoteiraError):
    """A model card or model file is missing, damaged or not what its card says."""


class ModelUntried(ModelError):  # noqa: N818 - a state that passes
    """A model could not be tried to the end: its trial was killed, or took too long on a machine that is busy."""

    passes = True


class DetectorUnavailable(SoteiraError):  # noqa: N818 - a state that passes
    """No detector can answer at the moment; it is tried again."""


class Stopped(SoteiraError):  # noqa: N818 - somebody's wish, not an error
    """Told to stop before the work was done."""


class SourceError(SoteiraError):
    """A source cannot be opened or read."""


class SourceEnded(SourceError):  # noqa: N818 - an end is not an error in a file
    """The source has no more frames."""


class SourceRefused(SourceError):  # noqa: N818 - the camera's answer
    """The source will give the same answer again: its owner has to change something."""


class BrokerError(SoteiraError):
    """What the configuration names for the connection to the MQTT broker cannot be used."""


class WebError(SoteiraError):
    """The page cannot listen where the configuration says."""


class WebTaken(WebError):  # noqa: N818 - a state that passes
    """Somebody else listens there, perhaps a daemon that is about to end; or the address is not there yet."""

    passes = True


class StorageError(SoteiraError):
    """The journal or the state directory cannot be used."""

    passes = True


class StorageRefused(StorageError):  # noqa: N818 - it stays so
    """The same at the next try: the owner has to change something."""

    passes = False


class DamagedError(StorageError):
    """The journal is damaged: what SQLite wrote there is not what it reads, or a row says nothing that can be."""


class InstallError(SoteiraError):
    """A step of the installation, or of its removal, cannot be done on this machine."""


class HangError(RuntimeError):
    """A thread hangs where it cannot be interrupted: its process has to end. No owner's mistake."""
