"""The clips section: whether a video of each visit is kept, of which stream, and how much room that may take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field
from pydantic_core import InitErrorDetails

from soteirad.config.messages import detail
from soteirad.config.section import Section
from soteirad.config.storage import GB
from soteirad.config.values import Bytes, Float, Switch, is_number, raw_get


class ClipsConfig(Section):
    """A video of each visit, cut out of what the camera sends."""

    enabled: Switch = Field(default=False, description="Whether to keep a video of each visit.")
    stream: Literal["source", "detail"] = Field(
        default="source",
        description="Which stream clips are cut from; detail is then kept open, which costs network and no decoding."
    )
    before: Float = Field(default=5.0, ge=0, le=60, description="Seconds of video before somebody entered.")
    after: Float = Field(default=5.0, ge=0, le=60, description="Seconds of video after somebody left.")
    max: Float = Field(
        default=60.0, ge=2, le=3600,
        description="Longest clip, in seconds; of a longer visit there is one of the entry and one of the departure."
    )
    audio: Switch = Field(default=True, description="Whether to keep the sound, if the camera sends AAC.")
    retain_days: Float = Field(default=10, gt=0, le=3650, description="How long clips are kept, in days.")
    max_size: Bytes = Field(
        default=5 * GB, description="Most room for the clips of one camera, such as 500MB or 5GB; the oldest go first."
    )

    @classmethod
    def contradictions(cls, data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
        """A clip that is over before somebody enters shows nothing."""
        fields = cls.model_fields
        before, after, most = (data.get(key, fields[key].default) for key in ("before", "after", "max"))
        if is_number(before) and is_number(after) and is_number(most) and most < before + after:
            key = next((key for key in ("max", "before", "after") if key in data), "max")
            yield detail((key,), "clips.max must be at least clips.before and clips.after together: "
                                 f"{most:g} is less than {before:g} and {after:g}")  # fmt: skip


def detail_nowhere(data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    """Yield where a raw configuration wants clips of the large stream and there is none: small ones would be kept.

    That some cameras have none is no mistake of what is said for all.
    """
    given, cameras = data.get("clips"), data.get("cameras")
    if not isinstance(cameras, Mapping):
        return
    wanting = [name for name, camera in cameras.items() if raw_get(camera, "detail") is None]
    for name in wanting:
        own = raw_get(cameras[name], "clips")
        enabled = raw_get(own, "enabled")
        if raw_get(own, "stream") == "detail" and (raw_get(given, "enabled") if enabled is None else enabled) is True:
            yield detail(("cameras", name, "clips", "stream"), "this camera has no large stream: add its address as "
                         "detail, or leave this key out")  # fmt: skip
    if raw_get(given, "stream") == "detail" and raw_get(given, "enabled") is True and len(wanting) == len(cameras) > 0:
        yield detail(("clips", "stream"), "no camera has a large stream: add the address of one as its detail, or "
                     "leave this key out")  # fmt: skip
