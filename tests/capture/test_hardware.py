"""Hardware decoding: what can be used here is used, and what cannot is told once and replaced by software."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import get_args

import pytest

from soteirad.capture import hardware
from soteirad.capture.clock import SystemClock
from soteirad.capture.decoder import Decoder, StreamCounters
from soteirad.capture.hardware import usable_hardware
from soteirad.config import CameraConfig
from tests.capture.made import write_clip

KINDS = get_args(CameraConfig.model_fields["hwaccel"].annotation)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == hardware.logger.name]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without any device file."""
    files = {kind: str(tmp_path / kind) for kind in hardware._DEVICE_FILES}
    monkeypatch.setattr(hardware, "_DEVICE_FILES", files)
    monkeypatch.setattr(hardware.sys, "platform", "linux")


@pytest.mark.parametrize("wanted", KINDS)
def test_every_kind_of_the_configuration_gives_itself_or_software(
    wanted: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = usable_hardware(wanted)
    if wanted == "auto":
        assert found in KINDS and found != "auto" and said(caplog) == []
    elif found == wanted:
        assert said(caplog) == []
    else:
        assert found == "none"
        (line,) = said(caplog)
        assert line.startswith(f"hwaccel {wanted} cannot be used here, the video is decoded in software: ")


def test_software_and_the_stateful_decoders_are_taken_as_they_are_wished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_problem", lambda kind: pytest.fail(f"{kind} was tried"))
    assert (usable_hardware("none"), usable_hardware("v4l2m2m")) == ("none", "v4l2m2m")


@pytest.mark.usefixtures("bare")
def test_automatic_is_software_without_a_word_on_a_machine_that_has_no_device(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert usable_hardware("auto") == "none"
    assert said(caplog) == []


@pytest.mark.usefixtures("bare")
def test_automatic_takes_the_first_kind_whose_device_is_there_and_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for kind in ("cuda", "vaapi"):
        (tmp_path / kind).touch()
    monkeypatch.setattr(hardware, "_problem", lambda kind: "no driver" if kind == "cuda" else None)
    assert usable_hardware("auto") == "vaapi"
    monkeypatch.setattr(hardware, "_problem", lambda kind: None)
    assert usable_hardware("auto") == "cuda"
    monkeypatch.setattr(hardware, "_problem", lambda kind: "no driver")
    assert usable_hardware("auto") == "none"
    monkeypatch.setattr(hardware.sys, "platform", "darwin")
    monkeypatch.setattr(hardware, "_problem", lambda kind: None)
    assert usable_hardware("auto") == "videotoolbox"
    assert said(caplog) == []


@pytest.mark.usefixtures("bare")
def test_a_device_file_that_nothing_stands_behind_is_decoded_in_software(tmp_path: Path) -> None:
    (tmp_path / "vaapi").touch()
    found = usable_hardware("auto")
    assert found in ("none", "vaapi")
    assert (found == "none") == (hardware._problem("vaapi") is not None)


@pytest.mark.parametrize("wanted", ["none", "v4l2m2m", "cuda", "drm"])
def test_a_stream_is_decoded_whatever_was_found_usable(tmp_path: Path, wanted: str) -> None:
    """A Raspberry Pi's decoders are asked for by name, and are missing on most machines."""
    clip = write_clip(tmp_path / "a.mp4", 10)
    counters = StreamCounters()
    decoder = Decoder("it", counters, SystemClock(), usable_hardware(wanted))
    decoder.open(str(clip), {}, None)
    stamps = [decoder.next().stamp for _ in range(10)]
    decoder.close()
    assert stamps == pytest.approx([index / 10 for index in range(10)])
    assert (counters.decoded, counters.corrupt) == (10, 0)
