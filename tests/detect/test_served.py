"""A served detector: what happens when its server dies, freezes, answers wrongly and comes back."""

from __future__ import annotations

import logging
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage import data

pytest.importorskip("tritonclient.grpc", reason="nothing was tested over kserve: install the extra `kserve`")

from soteirad.backoff import Backoff
from soteirad.detect.backends.kserve import KserveBackend, Server
from soteirad.detect.card import ModelCard
from soteirad.detect.detection import Detections
from soteirad.detect.detector import Detector
from soteirad.detect.served import ServedDetector
from soteirad.errors import DetectorUnavailable, ModelError
from tests.bare_kserve import BareServer
from tests.detect.served_models import (
    HEIGHT,
    WIDTH,
    TinyBackend,
    bgr,
    scaled,
    shipped_golden_card,
    tiny_answer,
    tiny_card,
    tiny_golden_card,
    tiny_server,
)
from tests.mlserver import MlServer

PATIENT = 20.0
PICTURE = np.random.default_rng(7).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
LOGGER = "soteirad.detect.served"


class FakeClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class BrokenBackend(TinyBackend):
    def load(self) -> dict[str, np.ndarray]:
        raise ModelError("tiny.onnx: the model file cannot be read")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server() -> Iterator[BareServer]:
    server = tiny_server()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return shipped_golden_card(tmp_path_factory.mktemp("shipped"))


@pytest.fixture(scope="module")
def mlserver(tmp_path_factory: pytest.TempPathFactory, shipped: ModelCard) -> Iterator[MlServer]:
    server = MlServer(tmp_path_factory.mktemp("mlserver") / "run", shipped.file_path("onnx"), "porch")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)


def local(card: ModelCard, backend: type[TinyBackend] = TinyBackend) -> Detector:
    return Detector(card, backend(), ["person", "cat"], 0.3)


def far(card: ModelCard, server: Server) -> Detector:
    return Detector(card, KserveBackend(card, server), ["person", "cat"], 0.3)


def served(card: ModelCard, server: BareServer, clock: Callable[[], float], fallback: Detector | None = None,
           timeout: float = PATIENT) -> ServedDetector:  # fmt: skip
    remote = far(card, Server(server.url, "tiny", timeout=timeout))
    return ServedDetector(remote, fallback, clock, Backoff(rng=random.Random(1)))


def lines(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == LOGGER and r.levelno == level]


def same(ours: Detections, theirs: Detections) -> bool:
    return (
        ours.classes.tolist() == theirs.classes.tolist()
        and np.allclose(ours.scores, theirs.scores, atol=1e-5)
        and np.allclose(ours.boxes, theirs.boxes, atol=1e-5)
    )


def until(detector: ServedDetector, picture: np.ndarray, up: bool, seconds: float = 60.0) -> Detections:
    """Detect, as a camera does, until the server is up or down; returns what was found last."""
    deadline = time.monotonic() + seconds
    while True:
        found = detector.detect(picture)
        if detector.state["up"] is up:
            return found
        assert time.monotonic() < deadline, f"the server is not {'up' if up else 'down'} after {seconds} s"
        time.sleep(0.05)


def test_a_real_server_that_is_killed_is_stood_in_for_and_used_again_when_it_is_back(
    mlserver: MlServer, shipped: ModelCard, caplog: pytest.LogCaptureFixture
) -> None:
    fallback = Detector.create(shipped, ["person", "cat"], 0.3)
    detector = ServedDetector(far(shipped, Server(mlserver.url, "porch", timeout=PATIENT)), fallback)
    detector.load()
    picture = scaled(detector, bgr(data.astronaut()))
    wanted = detector.detect(picture)
    assert len(wanted) == 1
    assert detector.state["up"] is True
    assert detector.state["fallback_used"] == 0
    mlserver.kill()
    for _ in range(3):
        assert same(detector.detect(picture), wanted)
    assert detector.state["fallback_used"] == 3
    assert len(lines(caplog, logging.WARNING)) == 1
    mlserver.start()
    assert same(until(detector, picture, up=True), wanted)
    assert len(lines(caplog, logging.WARNING)) == 1
    assert [line.split(": ")[1] for line in lines(caplog, logging.INFO)] == [
        "its answers on known pictures are right"
    ] * 2
    detector.close()


def test_a_frozen_real_server_costs_a_timeout_and_is_used_again_when_it_runs_on(
    mlserver: MlServer, shipped: ModelCard, caplog: pytest.LogCaptureFixture
) -> None:
    fallback = Detector.create(shipped, ["person", "cat"], 0.3)
    detector = ServedDetector(far(shipped, Server(mlserver.url, "porch", timeout=3.0)), fallback)
    detector.load()
    picture = scaled(detector, bgr(data.chelsea()))
    wanted = until(detector, picture, up=True)
    mlserver.freeze()
    try:
        began = time.monotonic()
        assert same(detector.detect(picture), wanted)
        assert time.monotonic() - began < 20.0
        assert detector.state["up"] is False
        assert "did not answer within 3 s" in lines(caplog, logging.WARNING)[-1]
    finally:
        mlserver.thaw()
    assert same(until(detector, picture, up=True), wanted)
    detector.close()


def test_without_a_fallback_a_dead_server_is_unavailable_and_comes_back(
    server: BareServer, clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    detector = served(tiny_card(tmp_path), server, clock)
    detector.load()
    for _ in range(5):
        with pytest.raises(DetectorUnavailable, match="the server cannot be reached"):
            detector.detect(PICTURE)
    assert len(lines(caplog, logging.WARNING)) == 1
    assert "nothing is detected meanwhile" in lines(caplog, logging.WARNING)[0]
    server.start()
    with pytest.raises(DetectorUnavailable):
        detector.detect(PICTURE)
    clock.now += 2.0
    assert detector.detect(PICTURE).classes.tolist() == [0, 1]
    assert detector.state["up"] is True
    assert len(lines(caplog, logging.WARNING)) == 1


def test_a_server_that_dies_while_it_is_used_costs_no_frame_when_there_is_a_fallback(
    server: BareServer, clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card = tiny_card(tmp_path)
    server.start()
    detector = served(card, server, clock, local(card))
    detector.load()
    wanted = detector.detect(PICTURE)
    server.stop()
    assert same(detector.detect(PICTURE), wanted)
    clock.now += 7.5
    assert detector.state == {"server": server.url, "up": False, "since": 7.5, "fallback_used": 1, "failures": 1}
    assert "the local detector is used meanwhile" in lines(caplog, logging.WARNING)[0]


def test_a_server_that_is_dead_at_the_start_raises_nothing_and_the_fallback_is_loaded(
    server: BareServer, clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card = tiny_card(tmp_path)
    detector = served(card, server, clock, local(card))
    detector.load()
    assert detector.detect(PICTURE).classes.tolist() == [0, 1]
    assert len(lines(caplog, logging.WARNING)) == 1
    assert detector.state["failures"] == 1


def test_a_wrong_server_at_the_start_raises_nothing(
    server: BareServer, clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.inputs = {"image": ("UINT8", [-1, 32, 32, 3])}
    server.start()
    detector = served(tiny_card(tmp_path), server, clock)
    detector.load()
    assert "the card says one picture of 64x48" in lines(caplog, logging.WARNING)[0]
    with pytest.raises(DetectorUnavailable, match="the card says one picture"):
        detector.detect(PICTURE)


def test_a_fallback_that_cannot_be_loaded_ends_the_start(server: BareServer, clock: FakeClock, tmp_path: Path) -> None:
    card = tiny_card(tmp_path)
    with pytest.raises(ModelError, match="the model file cannot be read"):
        served(card, server, clock, local(card, BrokenBackend)).load()


def test_a_fallback_that_turns_out_broken_later_is_unavailable_with_both_reasons_and_one_line(
    server: BareServer, clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card = tiny_card(tmp_path)
    server.start()
    detector = served(card, server, clock, local(card, BrokenBackend))
    detector.load()
    server.stop()
    for _ in range(3):
        with pytest.raises(DetectorUnavailable, match=r"cannot be reached .* the model file cannot be read"):
            detector.detect(PICTURE)
    assert len(lines(caplog, logging.ERROR)) == 1
    assert detector.state["fallback_used"] == 0


@pytest.mark.parametrize(
    "changes",
    [{"labels": "other.txt"}, {"input": {"width": 32, "height": 48, "colour": "BGR", "resize": "stretch"}}],
)
def test_a_fallback_with_other_labels_or_pictures_is_refused(
    server: BareServer, clock: FakeClock, tmp_path: Path, changes: dict[str, Any]
) -> None:
    (tmp_path / "other.txt").write_text("cat\nperson\ncar\n", encoding="utf-8")
    with pytest.raises(ModelError, match="tiny cannot stand in for tiny"):
        served(tiny_card(tmp_path), server, clock, local(tiny_card(tmp_path, **changes)))


def test_a_remote_detector_that_is_local_is_a_programming_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        ServedDetector(local(tiny_card(tmp_path)))


def test_a_server_that_stays_down_is_tried_once_for_each_delay_and_the_delays_grow_to_half_a_minute(
    server: BareServer, clock: FakeClock, tmp_path: Path
) -> None:
    server.ready = False
    server.start()
    card = tiny_card(tmp_path)
    detector = served(card, server, clock, local(card))
    detector.load()
    tried, last = [], clock.now
    while len(tried) < 8:
        before = server.calls["ServerLive"]
        detector.detect(PICTURE)
        assert server.calls["ServerLive"] - before in (0, 1)
        if server.calls["ServerLive"] > before:
            tried.append(clock.now - last)
            last = clock.now
        clock.now += 0.125
    for delay, least in zip(tried, (1, 2, 4, 8, 16, 30, 30, 30), strict=True):
        assert least <= delay <= 1.25 * least + 0.125


@pytest.mark.parametrize(("lasts", "delay"), [(60.0, 1.0), (1.0, 4.0)])
def test_only_a_server_that_lasted_is_tried_again_quickly(
    server: BareServer, clock: FakeClock, tmp_path: Path, lasts: float, delay: float
) -> None:
    card = tiny_card(tmp_path)
    detector = served(card, server, clock, local(card))
    detector.load()
    clock.now += 1.3
    detector.detect(PICTURE)
    server.start()
    clock.now += 2.6
    detector.detect(PICTURE)
    assert detector.state["up"] is True
    clock.now += lasts
    server.stop()
    detector.detect(PICTURE)
    server.start()
    clock.now += delay - 0.01
    detector.detect(PICTURE)
    assert detector.state["up"] is False
    clock.now += 0.25 * delay + 0.02
    detector.detect(PICTURE)
    assert detector.state["up"] is True


def test_a_server_with_other_numbers_is_refused_with_them_and_used_when_they_are_right(
    server: BareServer, clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card = tiny_golden_card(tmp_path)

    def moved(feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = tiny_answer(feeds)["found"]
        return {"found": found + np.array([8, 0, 8, 0, -0.1, 0], np.float32)}

    server.answer = moved
    server.start()
    detector = served(card, server, clock, local(card))
    detector.load()
    assert detector.state["up"] is False
    (line,) = lines(caplog, logging.WARNING)
    assert "does not give the reference's answers on known pictures (0 objects, IoU at least 1.000" in line
    assert "noise0.png: person 0.63 is missing or moved" in line
    assert "and 7 more" in line
    seen = len(server.received)
    detector.detect(PICTURE)
    assert len(server.received) == seen
    assert detector.state["fallback_used"] == 1
    server.answer = tiny_answer
    clock.now += 2.0
    detector.detect(PICTURE)
    assert detector.state["up"] is True
    assert detector.state["fallback_used"] == 1


def test_numbers_within_the_bounds_pass(server: BareServer, clock: FakeClock, tmp_path: Path) -> None:
    server.answer = lambda feeds: {"found": tiny_answer(feeds)["found"] * np.float32(1.001)}
    server.start()
    detector = served(tiny_golden_card(tmp_path), server, clock)
    detector.load()
    assert detector.state["up"] is True


@pytest.mark.parametrize(("weights", "up"), [("fp32", False), ("int8", True)])
def test_a_card_with_8_bit_weights_gets_their_wider_bounds(
    server: BareServer, clock: FakeClock, tmp_path: Path, weights: str, up: bool
) -> None:
    card = tiny_golden_card(tmp_path)
    files = {"onnx": {"file": "tiny.onnx", "weights": "fp32"}, "tflite": {"file": "tiny.tflite", "weights": weights}}
    card = tiny_card(tmp_path, golden=card.golden, files=files)
    less = np.array([0, 0, 0, 0, 0.1, 0], np.float32)
    server.answer = lambda feeds: {"found": tiny_answer(feeds)["found"] - less}
    server.start()
    detector = served(card, server, clock)
    detector.load()
    assert detector.state["up"] is up


def test_a_card_without_golden_answers_is_used_and_the_log_says_that_nothing_was_checked(
    server: BareServer, clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.start()
    detector = served(tiny_card(tmp_path), server, clock)
    detector.load()
    (line,) = lines(caplog, logging.INFO)
    assert "its answers were not checked" in line
    assert detector.state["up"] is True


def test_golden_answers_that_cannot_be_read_keep_an_unchecked_server_out(
    server: BareServer, clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.start()
    detector = served(tiny_card(tmp_path, golden="lost.npz"), server, clock)
    detector.load()
    assert detector.state["up"] is False
    assert "the golden answers cannot be read" in lines(caplog, logging.WARNING)[0]


def test_a_server_whose_model_changes_under_way_is_checked_again(
    server: BareServer, clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card = tiny_golden_card(tmp_path)
    server.start()
    detector = served(card, server, clock, local(card))
    detector.load()
    server.answer = lambda _: {"found": np.zeros((1, 9, 6), np.float32)}
    assert detector.detect(PICTURE).classes.tolist() == [0, 1]
    clock.now += 2.0
    detector.detect(PICTURE)
    assert detector.state["up"] is False
    assert ["the server's model changed" in line for line in lines(caplog, logging.WARNING)] == [True, False]
    assert "does not give the reference's answers" in lines(caplog, logging.WARNING)[1]


def test_a_dead_server_that_comes_back_wrong_is_worth_a_second_line_and_no_third(
    server: BareServer, clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card = tiny_card(tmp_path)
    detector = served(card, server, clock, local(card))
    detector.load()
    server.inputs = {"image": ("UINT8", [-1, 32, 32, 3])}
    server.start()
    for _ in range(5):
        clock.now += 40.0
        detector.detect(PICTURE)
    assert detector.state["failures"] == 6
    first, second = lines(caplog, logging.WARNING)
    assert "cannot be reached" in first
    assert "the card says one picture" in second


def test_each_loss_of_the_server_is_one_line_and_since_counts_from_the_last_change(
    server: BareServer, clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card = tiny_card(tmp_path)
    server.start()
    detector = served(card, server, clock, local(card))
    detector.load()
    for losses in (1, 2):
        clock.now += 3.0
        server.stop()
        detector.detect(PICTURE)
        clock.now += 4.0
        detector.detect(PICTURE)
        assert detector.state["since"] == 4.0
        assert len(lines(caplog, logging.WARNING)) == losses
        server.start()
        clock.now += 40.0
        detector.detect(PICTURE)
        clock.now += 5.0
        assert detector.state["since"] == 5.0
        assert len(lines(caplog, logging.INFO)) == losses + 1


def test_a_check_that_takes_longer_than_the_timeout_goes_on_with_the_next_frame(
    server: BareServer, tmp_path: Path
) -> None:
    card = tiny_golden_card(tmp_path, pictures=4)
    server.delay = 0.3  # nine calls: connecting takes five of them
    server.start()
    detector = served(card, server, time.monotonic, local(card), timeout=3.5)
    seen = []
    while not detector.state["up"]:
        detector.detect(PICTURE)
        seen.append(len(server.received))
        assert detector.state["failures"] == 0
    assert len(seen) > 1
    assert seen == sorted(set(seen))
    assert seen[-1] == 1 + 4 + 1  # the warm-up, the golden pictures, and the frame itself
    detector.close()


def test_a_missing_tritonclient_ends_the_start_although_there_is_a_fallback(
    monkeypatch: pytest.MonkeyPatch, server: BareServer, clock: FakeClock, tmp_path: Path
) -> None:
    card = tiny_card(tmp_path)
    detector = served(card, server, clock, local(card))
    monkeypatch.setitem(sys.modules, "tritonclient", None)
    with pytest.raises(ModelError, match=r"soteirad\[kserve\]"):
        detector.load()


def test_no_password_reaches_the_log_or_the_diagnostics(
    clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    detector = ServedDetector(far(tiny_card(tmp_path), Server("owner:hunter2@127.0.0.1:1", "tiny")), clock=clock)
    detector.load()
    with pytest.raises(DetectorUnavailable) as caught:
        detector.detect(PICTURE)
    assert "hunter2" not in f"{caught.value} {caplog.text} {detector.state}"


def test_after_close_it_can_be_loaded_again(server: BareServer, clock: FakeClock, tmp_path: Path) -> None:
    server.start()
    detector = served(tiny_card(tmp_path), server, clock)
    for _ in range(2):
        detector.load()
        assert detector.detect(PICTURE).classes.tolist() == [0, 1]
        detector.close()
        assert detector.state["up"] is False


@pytest.mark.parametrize("fault", [IndexError("index 300 is out of bounds"), ValueError("shapes do not match")])
def test_outputs_that_no_head_can_read_cost_the_server_and_not_the_camera(
    server: BareServer, clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch, fault: Exception,
) -> None:  # fmt: skip
    def decode(*_: object) -> None:
        raise fault

    card = tiny_card(tmp_path)
    server.start()
    remote = far(card, Server(server.url, "tiny", timeout=PATIENT))
    detector = ServedDetector(remote, local(card), clock, Backoff(rng=random.Random(1)))
    detector.load()
    wanted = detector.detect(PICTURE)
    monkeypatch.setattr(remote.head, "decode", decode)
    assert same(detector.detect(PICTURE), wanted)
    assert detector.state["up"] is False
    assert f"the server's outputs make no sense ({fault})" in lines(caplog, logging.WARNING)[0]
