"""What single values of the configuration may be: numbers, names, polygons, labels and addresses.

Numbers are strict: text and true or false are no numbers, but a whole number may stand for a fraction.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, Strict, ValidationError, WithJsonSchema

from soteirad.config.address import AVFOUNDATION, LIVE_SCHEMES, encode_user_info, is_device, scheme_of
from soteirad.config.messages import KEY, NAME_PATTERN, TOPIC_PATTERN, detail, found, show_key, value_problem

DEFAULT_LABELS = ("person",)
MOST_LABELS = 1000
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
"""RFC 9110, 5.6.2: a token."""
LONGEST_NAME = 64
"""Names become parts of topics, of files' names and of entity ids, which Home Assistant limits to 255 characters."""
SIZE = re.compile(r"[1-9][0-9]{1,4}x[1-9][0-9]{1,4}")
LEAST_BYTES = 1_000_000
_BYTES = r"[0-9]{1,12}(\.[0-9]{1,6})? ?([KkMmGgTt][Ii]?)?[Bb]"
_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4, "ki": 1024, "mi": 1024**2, "gi": 1024**3,
          "ti": 1024**4}  # fmt: skip
CAMERA_EXAMPLE = 'give at least one, such as cameras: {porch: {source: "rtsp://10.0.0.7/stream2"}}'


def is_number(value: object) -> bool:
    """Tell whether a raw value is a number; Python counts true and false as numbers, an owner doesn't."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def slug(text: str) -> str:
    """Return `text` as it may stand in an entity id: small letters a-z, digits and _; empty if nothing is left."""
    return re.sub("[^a-z0-9]+", "_", text.lower()).strip("_")


def _check_polygon(value: Any) -> tuple[float, ...]:
    shape = "list the corners as x1, y1, x2, y2, x3, y3, ... with 0 to 1 across the picture"
    if not isinstance(value, (list, tuple)):
        raise value_problem(f"{found(value)} where a polygon is needed: {shape}")
    problems = []
    for index, number in enumerate(value):
        if not is_number(number):
            problems.append(detail((index,), f"{found(number)} where a number is needed: {shape}"))
        elif not 0 <= number <= 1:
            problems.append(detail((index,), "this number is out of range: allowed is a number from 0 to 1"))
    if len(value) % 2:
        problems.append(detail((), f"an odd count of numbers: {shape}"))
    elif len(value) < 6:
        problems.append(detail((), f"fewer than three corners: {shape}"))
    if problems:
        raise ValidationError.from_exception_data("polygon", problems, hide_input=True)
    return tuple(float(number) for number in value)


def _check_polygons(value: Any) -> Any:
    if value is None:
        return ()
    if isinstance(value, (list, tuple)) and value and all(map(is_number, value)):
        raise value_problem("one polygon where a list of polygons is needed: put it in a second pair of [ ]")
    return value


def _check_labels(value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        raise value_problem(f"{found(value)} where a list of labels is needed: write [person, car]")
    if not value:
        raise value_problem("this list is empty: name at least one label, such as [person]")
    if len(value) > MOST_LABELS:
        raise value_problem(f"this list is too long: name at most {MOST_LABELS} labels")
    problems = []
    seen = set()
    for index, label in enumerate(value):
        if not isinstance(label, str) or not label:
            problems.append(detail((index,), "this is not a label: write a word such as person"))
            continue
        if label in seen:
            problems.append(detail((index,), "this label is listed twice: name each label once"))
        seen.add(label)
    if problems:
        raise ValidationError.from_exception_data("labels", problems, hide_input=True)
    return value


def _check_host(value: str) -> str:
    if not value or any(char in value for char in "/@ \t\r\n"):
        raise value_problem("this is not a host: give only a name or an address, such as 10.0.0.2")
    return value


def _names_host(url: str) -> bool:
    """Say whether a host, and a port that there can be, can be read from an address."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _check_source(value: str) -> str:
    if not value.strip() or "\0" in value:
        raise value_problem("this source is empty: give a camera's address or a video file's path")
    scheme = scheme_of(value)
    if not scheme:
        if value == AVFOUNDATION:
            raise value_problem("this names no camera: write avfoundation:0, or the camera's name after the colon")
        return value
    if scheme not in LIVE_SCHEMES:
        raise value_problem(
            "this kind of address is not supported: use rtsp://, rtsps://, http://, https://, /dev/video0 or a "
            "file's path"
        )
    value = encode_user_info(value)
    if not _names_host(value):
        raise value_problem(
            "no host and port can be read from this address: write rtsp://user:password@host:port/path, with "
            "/ ? # @ : in a password written as %2F %3F %23 %40 %3A"
        )
    return value


def _check_detail(value: str) -> str:
    if is_device(value) or not scheme_of(value):
        raise value_problem("this is no camera's address: give a stream (rtsp://) or a snapshot's address (http://)")
    return _check_source(value)


def _check_size(value: str) -> str:
    if not SIZE.fullmatch(value):
        raise value_problem("this is no picture size: write width x height, such as 1280x720")
    return value


def _check_bytes(value: Any) -> int:
    match = re.fullmatch(_BYTES, value.strip()) if isinstance(value, str) else None
    if match is not None:
        number, unit = match[0].rstrip("Bb").rstrip("KkMmGgTtIi "), (match[2] or "").lower()
        count = float(number) * _UNITS[unit]
    elif is_number(value) and math.isfinite(value):
        count = value
    else:
        raise value_problem("this is no size: write a number with its unit, such as 500MB or 5GB, or a number of bytes")
    if not LEAST_BYTES <= count <= _UNITS["t"] * 1000:
        raise value_problem("this size is out of range: allowed is from 1MB to 1000TB")
    return int(count)


def _check_speed(value: Any) -> Any:
    if value == "max" or (is_number(value) and 0 < value <= 1000):
        return value
    raise value_problem('this is no speed: allowed is a number more than 0 and at most 1000, or "max"')


def _check_web_address(value: str) -> str:
    if scheme_of(value) not in ("http", "https") or not _names_host(value) or any(map(str.isspace, value)):
        raise value_problem("this is no address for a request: write http://host:port/path or https://host/path")
    return value


def _check_title(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise value_problem("this is no name to show: write some words on one line")
    return value.strip()


def _check_headers(value: dict[str, str]) -> dict[str, str]:
    problems = []
    for name, text in value.items():
        if not HEADER_NAME.fullmatch(name):
            problems.append(detail((name,), "this is no name of a header: use letters, digits and -", KEY))
        elif not text.isprintable() or not _is_latin_1(text):
            problems.append(detail((name,), "this header has a line break, or a sign that cannot be sent"))
    if problems:
        raise ValidationError.from_exception_data("headers", problems, hide_input=True)
    return value


def _is_latin_1(text: str) -> bool:
    return all(ord(char) < 256 for char in text)


def _check_api_key(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise value_problem("this is no key: give the letters and digits that the server's owner gave you")
    return value


def _spell_out(value: Any) -> Any:
    return {True: "device", False: "off"}[value] if isinstance(value, bool) else value


def _version_text(value: Any) -> Any:
    return str(value) if is_number(value) else value


def _none_is_empty(value: Any) -> Any:
    return {} if value is None else value


def _none_is_no_item(value: Any) -> Any:
    return () if value is None else value


def _check_cameras(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise value_problem(f"{found(value)} where a section of cameras is needed: {CAMERA_EXAMPLE}")
    if not value:
        raise value_problem(f"there is no camera: {CAMERA_EXAMPLE}")
    return value


def raw_get(section: Any, key: str) -> Any:
    """Return one value of a section that is raw or already a model; None when it has none."""
    return section.get(key) if isinstance(section, Mapping) else getattr(section, key, None)


def tracked_labels(objects: Any) -> tuple[str, ...] | None:
    """Return the labels that a raw objects section tracks; None when that list itself is wrong."""
    track = raw_get(objects, "track")
    if track is None:
        return DEFAULT_LABELS
    if not isinstance(track, (list, tuple)) or not 0 < len(track) <= MOST_LABELS:
        return None
    return tuple(track) if all(isinstance(label, str) for label in track) else None


def untracked_text(tracked: tuple[str, ...]) -> str:
    """Return the problem with a label that is none of `tracked`."""
    names = ", ".join(map(show_key, tracked[:20]))
    return f"this label is not tracked: add it to objects.track or use one of {names}"


Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=LONGEST_NAME)]
Title = Annotated[str, Field(max_length=100), AfterValidator(_check_title)]
TopicPath = Annotated[str, Field(pattern=TOPIC_PATTERN, max_length=128)]
Headers = Annotated[dict[str, str], BeforeValidator(_none_is_empty), AfterValidator(_check_headers)]
WebAddress = Annotated[str, AfterValidator(_check_web_address)]
Discovery = Annotated[
    Literal["device", "single", "off"], BeforeValidator(_spell_out),
    WithJsonSchema({"enum": [True, False, "device", "single", "off"]}),
]
MqttVersion = Annotated[
    Literal["3.1.1", "5"], BeforeValidator(_version_text), WithJsonSchema({"enum": ["3.1.1", "5", 5]})
]
Switch = Annotated[bool, Strict()]
Fraction = Annotated[float, Strict(), Field(ge=0, le=1)]
Share = Annotated[float, Strict(), Field(gt=0, le=1)]
Seconds = Annotated[float, Strict(), Field(gt=0, le=3600)]
Count = Annotated[int, Strict(), Field(ge=1, le=10_000)]
Unit = Annotated[float, Field(ge=0, le=1)]
Polygon = Annotated[tuple[Unit, ...], Field(min_length=6), BeforeValidator(_check_polygon)]
Polygons = Annotated[tuple[Polygon, ...], BeforeValidator(_check_polygons)]
ApiKey = Annotated[SecretStr, AfterValidator(_check_api_key)]
Labels = Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_check_labels)]
Host = Annotated[str, AfterValidator(_check_host)]
Source = Annotated[str, AfterValidator(_check_source)]
Detail = Annotated[str, AfterValidator(_check_detail)]
Size = Annotated[str, AfterValidator(_check_size)]
Speed = Annotated[float | Literal["max"], BeforeValidator(_check_speed)]
Bytes = Annotated[
    int, BeforeValidator(_check_bytes),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": LEAST_BYTES},
                              {"type": "string", "pattern": f"^{_BYTES}$"}]}),
]  # fmt: skip
Float = Annotated[float, Strict()]
Int = Annotated[int, Strict()]
NONE_IS_EMPTY = BeforeValidator(_none_is_empty)
NONE_IS_NO_ITEM = BeforeValidator(_none_is_no_item)
CAMERAS = BeforeValidator(_check_cameras)
