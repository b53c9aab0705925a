"""What goes over the wire: requests and answers of the API. The OpenAPI document is made from these."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from soteirad.config.messages import NAME_PATTERN
from soteirad.config.values import LONGEST_NAME
from soteirad.event import EventType
from soteirad.near_misses import Kind

LONGEST_SECRET = 1024
MOST_ZONES = 32
MOST_POLYGONS = 32
MOST_NUMBERS = 200
"""Of one polygon: two for each corner."""
MOST_FILTERS = 64
"""How often one parameter of a query may be repeated."""
FIRST_YEAR, LAST_YEAR = 1971, 9998
"""No event is older or newer."""
LARGEST_SEQ = 2**53 - 1
"""The largest whole number that JavaScript keeps."""


_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?"
    r"(?:[Zz]|([ +-])([01][0-9]|2[0-3]):([0-5][0-9]))?)?"
)


class Model(BaseModel):
    """The base: no unknown fields, no conversions, no infinities."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)


def moment(text: str) -> float:
    """Return a time as seconds since the epoch; UTC if it says nothing else. Raises ValueError.

    A space stands for the `+` that it was before somebody put it into an address.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    day, hour, minute, second, fraction, sign, off_hours, off_minutes = match.groups()
    found = datetime.fromisoformat(f"{day}T{hour or '00'}:{minute or '00'}:00").replace(tzinfo=timezone.utc)
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        found = found.replace(year=min(max(found.year, FIRST_YEAR), LAST_YEAR), day=min(found.day, 28))
    offset = 3600 * int(off_hours or 0) + 60 * int(off_minutes or 0)
    return found.timestamp() + float(f"{second or 0}.{fraction or 0}") + (offset if sign == "-" else -offset)


def _check_time(value: str) -> str:
    try:
        moment(value)
    except ValueError:
        raise ValueError("this is no time: write it as 2026-11-22T02:18:17Z") from None
    return value


CameraName = Annotated[str, Field(pattern=NAME_PATTERN, max_length=LONGEST_NAME)]
Setting = Literal["motion_threshold", "scene_distance", "scene_ssim", "min_score"]
Word = Annotated[str, Field(min_length=1, max_length=200)]
When = Annotated[
    str,
    Field(
        max_length=64,
        description="ISO 8601, such as 2026-11-22T02:18:17Z, or a day; UTC if it says nothing else.",
        json_schema_extra={"format": "date-time"},
    ),
    AfterValidator(_check_time),
]
Fraction = Annotated[float, Field(ge=0, le=1)]
Polygon = Annotated[list[Fraction], Field(min_length=6, max_length=MOST_NUMBERS)]
Rectangle = Annotated[list[float], Field(min_length=4, max_length=4)]
Seq = Annotated[int, Field(ge=0, le=LARGEST_SEQ)]


class Problem(Model):
    """Why something was refused."""

    error: str = Field(description="One sentence: what, why, what to do.")


class Login(Model):
    """The token that `soteirad config` prints, or the password."""

    token: str = Field(min_length=1, max_length=LONGEST_SECRET)


class Session(Model):
    """Whoever asks may see the page."""

    version: str


class Threshold(Model):
    """One threshold: in force, in the file, and what it may be."""

    value: float
    file: float
    low: float
    high: float
    overridden: bool


class Zone(Model):
    """A named polygon in fractions of the frame; `objects` limits who counts there."""

    name: str
    coordinates: list[float]
    objects: list[str] | None


class Camera(Model):
    """One camera. `state` is what is retained on MQTT under `<camera>/state`; `detail`: has it a large stream?"""

    name: str
    title: str
    enabled: bool
    online: bool
    reason: str
    file: bool
    detail: bool
    state: dict[str, Any]
    thresholds: dict[Setting, Threshold]
    labels: list[str]
    zones: list[Zone]
    motion_mask: list[list[float]]
    privacy_mask: list[list[float]]
    questions: list[str]


class Cameras(Model):
    """All cameras."""

    cameras: list[Camera]


class Wish(Model):
    """The new value of a threshold."""

    value: float


class Accepted(Model):
    """The change is under way; the camera's message on the stream tells when it is in force."""

    accepted: Literal[True]


class ZoneWish(Model):
    """A zone as it is drawn."""

    coordinates: Polygon
    objects: Annotated[list[Word], Field(min_length=1, max_length=MOST_FILTERS)] | None = None


class Areas(Model):
    """Zones and masks as they are drawn."""

    # Said in full: pydantic's schema would allow names that it refuses.
    zones: Annotated[
        dict[CameraName, ZoneWish],
        Field(max_length=MOST_ZONES, json_schema_extra={"additionalProperties": False}),
    ] = Field(default_factory=dict)
    motion_mask: Annotated[list[Polygon], Field(max_length=MOST_POLYGONS)] = Field(default_factory=list)
    privacy_mask: Annotated[list[Polygon], Field(max_length=MOST_POLYGONS)] = Field(default_factory=list)


class Lines(Model):
    """Lines for the configuration file."""

    yaml: str


class Overrides(Model):
    """What was set and is not in the file: its lines, and the change of the file as a unified diff."""

    yaml: str
    diff: str


class EventsQuery(Model):
    """Which events. Those that may be repeated mean any of them."""

    camera: Annotated[list[CameraName], Field(max_length=MOST_FILTERS)] = Field(default_factory=list)
    label: Annotated[list[Word], Field(max_length=MOST_FILTERS)] = Field(default_factory=list)
    type: Annotated[list[EventType], Field(max_length=MOST_FILTERS)] = Field(default_factory=list)
    zone: Annotated[list[CameraName], Field(max_length=MOST_FILTERS)] = Field(default_factory=list)
    since: When | None = None
    until: When | None = None
    before: Annotated[Seq | None, Field(strict=False, description="Only events before this one in the journal.")] = None
    limit: Annotated[int, Field(ge=1, le=200, strict=False)] = 50


class Answer(Model):
    """What came of a question that was asked on an event."""

    question: str
    state: str
    answer: bool | float | str | None
    text: str
    time: str


class Clip(Model):
    """A video of a visit: once it is `ready` (a `recorded` tells) it can be fetched. The rest of it is known as long as
    that event is kept."""

    url: str
    ready: bool
    seconds: float | None
    bytes: int | None
    codec: str | None = Field(description="h264 or hevc; not every browser plays hevc.")
    more: list[str] = Field(description="Further parts: the camera changed its picture in the middle.")


class Item(Model):
    """An event as it was published, and its place in the journal.

    A `recorded`, which comes on the stream and in lists that ask for it, tells of the clip of the event it is `about`.
    """

    seq: int
    event: dict[str, Any]
    published: bool
    topic: str | None
    picture: str | None
    clip: Clip | None
    answers: list[Answer]


class Events(Model):
    """Events, newest first; `next` is the `before` of the next page."""

    events: list[Item]
    next: int | None


class NearMissQuery(Model):
    """Whose near misses."""

    camera: Annotated[list[CameraName], Field(max_length=MOST_FILTERS)] = Field(default_factory=list)


class NearMiss(Model):
    """What was nearly reported, and which limit it missed."""

    camera: str
    time: str
    kind: Kind
    gate: Literal[1, 2, 3]
    text: str
    label: str | None
    box: Rectangle | None
    values: dict[str, float]
    picture: str | None


class NearMisses(Model):
    """Near misses, newest first."""

    near_misses: list[NearMiss]


class HubHealth(Model):
    """The hub's process."""

    memory_mb: float


class MqttHealth(Model):
    """The connection to the broker: how many events wait, and how many were given up."""

    connected: bool
    waiting: int
    dropped: int


class StorageHealth(Model):
    """Where things are kept; sizes in bytes, null when the disk does not say."""

    path: str
    free_bytes: int | None
    total_bytes: int | None
    problem: str


class CameraHealth(Model):
    """One camera. `diagnostics` is what is published on MQTT under `<camera>/diagnostics`, `age_s` how old it is."""

    name: str
    online: bool
    reason: str
    starts: int
    age_s: float | None
    diagnostics: dict[str, Any]


class Viewers(Model):
    """How many look: at the page's stream of events, and at live video."""

    stream: int
    video: int


class Health(Model):
    """How the daemon and its cameras do. `llm` is what is retained on MQTT under `llm`."""

    version: str
    time: str
    uptime_s: float
    ready: str
    hub: HubHealth
    mqtt: MqttHealth
    storage: StorageHealth
    llm: dict[str, Any] | None
    viewers: Viewers
    cameras: list[CameraHealth]


class StreamQuery(Model):
    """Whose frames; all cameras' without it. Events, near misses and changes come of all cameras in any case."""

    cameras: Annotated[str, Field(max_length=4096, description="Names with commas; empty for no frames.")] | None = None


class LiveQuery(Model):
    """Which stream of a camera's."""

    stream: Annotated[
        Literal["source", "detail"], Field(description="The one that is watched, or the large one, if there is one.")
    ] = "source"


class Document(BaseModel):
    """An OpenAPI document."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]


class StaticQuery(Model):
    """Which version of a file the browser has been told of."""

    v: Annotated[str, Field(max_length=64)] | None = None
