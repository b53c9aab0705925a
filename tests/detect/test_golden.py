"""The golden check: each way in which a model can differ from its reference is found and named."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soteirad.detect.backend import Outputs, create_backend
from soteirad.detect.card import ModelCard, ModelFile, load_card
from soteirad.detect.detection import Detections
from soteirad.detect.detector import REFERENCE, Detector
from soteirad.detect.golden import (
    FLOAT_BOUNDS,
    INT8_BOUNDS,
    SCORE,
    Answer,
    Bounds,
    Verdict,
    bounds_for,
    check,
    compare,
    cosine,
    golden_detector,
    golden_folder,
    load_images,
    make_answers,
    read_answers,
    read_image,
    shipped_images,
    write_answers,
)
from soteirad.detect.preprocess import scale_picture
from soteirad.errors import ModelError
from tests.detect.small import GivenBackend

CARD = load_card("nanodet-g-416")
NAMES = ("person", "cat", "dog")
Row = tuple[list[float], float, int]
PERSON: Row = ([0.1, 0.1, 0.5, 0.9], 0.8, 0)
CAT: Row = ([0.6, 0.2, 0.8, 0.4], 0.6, 1)
FAINT: Row = ([0.0, 0.0, 0.1, 0.1], 0.2, 2)


def detections(*rows: Row) -> Detections:
    return Detections(np.array([r[0] for r in rows], np.float32).reshape(-1, 4),
                      np.array([r[1] for r in rows], np.float32), np.array([r[2] for r in rows], np.int64))  # fmt: skip


def parts(seed: int = 0, rows: int = 50) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores, boxes = rng.uniform(0, 1, (rows, 3)), rng.normal(0, 9, (rows, 4))
    return {"scores": scores.astype(np.float16), "boxes": boxes.astype(np.float16)}


def answer(*rows: Row, image: str = "a.png", **changed: np.ndarray) -> Answer:
    return Answer(image, detections(*rows), {**parts(), **changed})


REFERENCE_ANSWER = answer(PERSON, CAT, FAINT)


def verdict(*rows: Row, bounds: Bounds = FLOAT_BOUNDS, **changed: np.ndarray) -> Verdict:
    return compare([REFERENCE_ANSWER], [answer(*rows, **changed)], bounds, NAMES)


def shifted(row: Row, by: float) -> Row:
    box, score, label = row
    return [box[0] + by, box[1], box[2] + by, box[3]], score, label


def scored(row: Row, score: float) -> Row:
    return row[0], score, row[2]


def test_equal_answers_pass_with_perfect_figures() -> None:
    found = verdict(PERSON, CAT, FAINT)
    assert found.passed
    assert found == Verdict(2, pytest.approx(1.0), 0.0, pytest.approx(1.0), ())
    assert str(found) == "2 objects, IoU at least 1.000, scores within 0.000, cosine 1.00000"


def test_small_differences_pass_and_the_worst_of_them_are_told() -> None:
    near = parts()["boxes"] * np.float16(1.0) + np.random.default_rng(1).normal(0, 0.05, (50, 4)).astype(np.float16)
    found = verdict(shifted(PERSON, 0.005), scored(CAT, 0.62), boxes=near)
    assert found.passed
    assert found.objects == 2
    assert found.iou == pytest.approx(0.395 / 0.405, abs=1e-4)
    assert found.score == pytest.approx(0.02, abs=1e-6)
    assert found.cosine == pytest.approx(cosine(parts()["boxes"], near))
    assert found.cosine < 1


@pytest.mark.parametrize(
    ("rows", "problems"),
    [
        ((shifted(PERSON, 0.05), CAT),
         ["a.png: person 0.80 is missing or moved", "a.png: person 0.80 is not in the reference"]),
        ((PERSON, scored(CAT, 0.5)),
         ["a.png: cat 0.60 is missing or moved", "a.png: cat 0.50 is not in the reference"]),
        ((PERSON, scored(CAT, 0.68)),
         ["a.png: cat 0.60 is missing or moved", "a.png: cat 0.68 is not in the reference"]),
        ((PERSON,), ["a.png: cat 0.60 is missing or moved"]),
        ((), ["a.png: person 0.80 is missing or moved", "a.png: cat 0.60 is missing or moved"]),
        ((PERSON, CAT, ([0.2, 0.6, 0.3, 0.7], 0.45, 2)), ["a.png: dog 0.45 is not in the reference"]),
        ((PERSON, (CAT[0], 0.6, 2)),
         ["a.png: cat 0.60 is missing or moved", "a.png: dog 0.60 is not in the reference"]),
        ((PERSON, ([float("nan")] * 4, 0.6, 1)),
         ["a.png: cat 0.60 is missing or moved", "a.png: cat 0.60 is not in the reference"]),
        ((PERSON, scored(CAT, float("nan"))), ["a.png: cat 0.60 is missing or moved"]),
        ((PERSON, CAT, scored(FAINT, 0.4)), ["a.png: dog 0.40 is not in the reference"]),
    ],
    ids=["moved", "lower score", "higher score", "missing", "nothing at all", "extra", "other label", "NaN box",
         "NaN score", "a faint one became clear"],
)  # fmt: skip
def test_what_differs_is_found_and_named(rows: tuple[Row, ...], problems: list[str]) -> None:
    found = verdict(*rows)
    assert not found.passed
    assert list(found.problems) == problems


def test_the_order_of_detections_is_no_difference() -> None:
    assert verdict(CAT, FAINT, PERSON).passed


@pytest.mark.parametrize(
    ("reference", "found", "passes"),
    [
        (0.31, None, True), (0.329, None, True), (0.34, None, False), (None, 0.31, True), (None, 0.329, True),
        (None, 0.34, False), (0.31, 0.29, True), (0.29, 0.31, True), (0.29, None, True), (None, 0.29, True),
    ],
)  # fmt: skip
def test_a_score_within_the_bound_of_the_least_may_be_there_or_not(
    reference: float | None, found: float | None, passes: bool
) -> None:
    assert (SCORE, FLOAT_BOUNDS.score) == (0.3, 0.03)
    ours, theirs = ([] if s is None else [scored(CAT, s)] for s in (reference, found))
    result = compare([answer(PERSON, *ours)], [answer(PERSON, *theirs)], FLOAT_BOUNDS, NAMES)
    assert result.passed is passes


@given(st.floats(-0.06, 0.06), st.floats(-0.06, 0.06))
def test_a_detection_passes_exactly_when_it_is_within_the_bounds(shift: float, change: float) -> None:
    width = PERSON[0][2] - PERSON[0][0]
    overlap = (width - abs(shift)) / (width + abs(shift))
    near_a_bound = abs(overlap - FLOAT_BOUNDS.iou) < 1e-4 or abs(abs(change) - FLOAT_BOUNDS.score) < 1e-4
    found = verdict(scored(shifted(PERSON, shift), PERSON[1] + change), CAT)
    assert near_a_bound or found.passed == (overlap >= FLOAT_BOUNDS.iou and abs(change) <= FLOAT_BOUNDS.score)


def test_an_object_that_slipped_just_under_the_least_score_still_counts_as_found() -> None:
    found = compare([answer(scored(CAT, 0.31))], [answer(scored(CAT, 0.29))], FLOAT_BOUNDS, NAMES)
    assert (found.objects, found.score) == (1, pytest.approx(0.02, abs=1e-6))


def test_wider_bounds_let_an_8_bit_file_move_further() -> None:
    moved = scored(shifted(PERSON, 0.03), 0.7), CAT
    assert not verdict(*moved).passed
    assert verdict(*moved, bounds=INT8_BOUNDS).passed


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"scores": parts(seed=9)["scores"]}, "the raw scores have a cosine of 0.7"),
        ({"boxes": -parts()["boxes"]}, "the raw boxes have a cosine of -1.00000, not 0.999"),
        ({"boxes": parts(rows=49)["boxes"]}, "the raw boxes have a cosine of 0.00000, not 0.999"),
        ({"boxes": np.full((50, 4), np.nan, np.float16)}, "the raw boxes have a cosine of 0.00000, not 0.999"),
        ({"boxes": np.where(np.arange(200).reshape(50, 4) == 7, np.inf, parts()["boxes"])}, "a cosine of 0.00000"),
        ({"boxes": np.zeros((50, 4), np.float16)}, "the raw boxes have a cosine of 0.00000, not 0.999"),
    ],
    ids=["other numbers", "other sign", "other shape", "NaN", "one infinite", "zeros"],
)
def test_raw_outputs_that_differ_are_found_though_the_detections_agree(
    changed: dict[str, np.ndarray], told: str
) -> None:
    found = verdict(PERSON, CAT, **changed)
    assert len(found.problems) == 1
    assert found.problems[0].startswith("a.png: ")
    assert told in found.problems[0]


def test_a_missing_part_is_found() -> None:
    other = answer(PERSON, CAT)
    del other.parts["boxes"]
    found = compare([REFERENCE_ANSWER], [other], FLOAT_BOUNDS, NAMES)
    assert found.problems == ("a.png: the raw boxes have a cosine of 0.00000, not 0.999",)


def test_every_picture_is_compared_and_named() -> None:
    ours = [answer(PERSON, image="a.png"), answer(CAT, image="b.png"), answer(image="c.png")]
    found = compare(ours, [answer(PERSON), answer(), answer()], FLOAT_BOUNDS, NAMES)
    assert found.problems == ("b.png: cat 0.60 is missing or moved",)
    assert found.objects == 1


@given(st.integers(0, 100), st.floats(0.01, 100))
def test_the_cosine_is_that_of_the_vectors_and_blind_to_scale(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0, 1, (2, 6, 5))
    dot = sum(x * y for x, y in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True))
    sizes = sum(x * x for x in a.ravel().tolist()) ** 0.5 * sum(x * x for x in b.ravel().tolist()) ** 0.5
    assert cosine(a, b) == pytest.approx(dot / sizes)
    assert cosine(a, a * scale) == pytest.approx(1.0)


def test_two_arrays_of_zeros_are_alike_and_one_alone_is_not() -> None:
    zero, one = np.zeros((3, 2)), np.ones((3, 2))
    assert (cosine(zero, zero), cosine(zero, one), cosine(one, zero)) == (1.0, 0.0, 0.0)


# Files


def card_in(folder: Path, name: str = "a.golden.npz") -> ModelCard:
    (folder / CARD.labels).write_text("\n".join(CARD.class_names), encoding="utf-8")
    return CARD.model_copy(update={"folder": folder, "golden": name})


def test_answers_survive_being_written_and_read(tmp_path: Path) -> None:
    answers = [REFERENCE_ANSWER, answer(image="b.png", scores=parts(3)["scores"])]
    write_answers(tmp_path / "a.golden.npz", answers, "onnx fp32")
    read = read_answers(card_in(tmp_path))
    assert [a.image for a in read] == ["a.png", "b.png"]
    for ours, theirs in zip(answers, read, strict=True):
        for field in ("boxes", "scores", "classes"):
            before, after = getattr(ours.found, field), getattr(theirs.found, field)
            assert before.dtype == after.dtype
            assert np.array_equal(before, after)
        assert sorted(theirs.parts) == ["boxes", "scores"]
        assert all(np.array_equal(array, ours.parts[role]) for role, array in theirs.parts.items())


def test_eleven_pictures_keep_their_own_parts(tmp_path: Path) -> None:
    """The parts of picture 1 are not those of picture 10."""
    answers = [answer(image=f"{i}.png", boxes=np.full((2, 2), i, np.float16)) for i in range(11)]
    write_answers(tmp_path / "a.golden.npz", answers, "onnx fp32")
    read = read_answers(card_in(tmp_path))
    assert [a.parts["boxes"][0, 0] for a in read] == list(range(11))
    assert all(sorted(a.parts) == ["boxes", "scores"] for a in read)


def test_the_same_answers_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.npz", "two.npz"):
        write_answers(tmp_path / name, [REFERENCE_ANSWER], "onnx fp32")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def damage(data: bytes, how: str) -> bytes:
    middle = len(data) // 2
    changed = bytes(b ^ 255 for b in data[middle : middle + 100])
    damages = {
        "empty": b"",
        "half": data[:middle],
        "text": b"boxes: 3",
        "zip of nothing": b"PK\x05\x06" + bytes(18),
        "changed in the middle": data[:middle] + changed + data[middle + 100 :],
        "no zip but an array": b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }"
        + b" " * 59 + b"\n" + bytes(4),
    }  # fmt: skip
    return damages[how]


@pytest.mark.parametrize(
    "how", ["empty", "half", "text", "zip of nothing", "changed in the middle", "no zip but an array"]
)
def test_a_damaged_file_of_answers_is_refused_with_what_to_do(tmp_path: Path, how: str) -> None:
    assert CARD.golden is not None
    (tmp_path / "a.golden.npz").write_bytes(damage((CARD.folder / CARD.golden).read_bytes(), how))
    with pytest.raises(ModelError, match=r"the golden answers cannot be read .* make them again with `soteirad models"):
        read_answers(card_in(tmp_path))


def test_missing_answers_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"a\.golden\.npz: the golden answers cannot be read .* `soteirad models add`"):
        read_answers(card_in(tmp_path))
    with pytest.raises(ModelError, match=f"{CARD.name}: the card has no golden answers: make them with `soteirad mod"):
        read_answers(CARD.model_copy(update={"golden": None}))


def test_an_archive_of_other_arrays_is_no_file_of_answers(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.golden.npz", weights=np.zeros(3))
    with pytest.raises(ModelError, match="the golden answers cannot be read"):
        read_answers(card_in(tmp_path))


def test_a_cards_own_picture_goes_before_the_one_that_ships(tmp_path: Path) -> None:
    name, other = shipped_images()[:2]
    card, answers = card_in(tmp_path), [answer(image=name)]
    assert np.array_equal(load_images(card, answers)[name], read_image(golden_folder() / name))
    shutil.copy(golden_folder() / other, tmp_path / name)
    assert np.array_equal(load_images(card, answers)[name], read_image(golden_folder() / other))


def test_a_picture_that_is_missing_or_no_picture_is_refused_by_its_path(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelError, match=r"gone\.png: this picture is missing or cannot be read"):
        load_images(card_in(tmp_path), [answer(image="gone.png")])
    (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
    with pytest.raises(ModelError, match=r"text\.png: this picture is missing or cannot be read"):
        read_image(tmp_path / "text.png")


def test_pictures_are_read_as_three_channels_whatever_they_are(tmp_path: Path) -> None:
    for shape in ((4, 5), (4, 5, 3), (4, 5, 4)):
        cv2.imwrite(str(tmp_path / "a.png"), np.full(shape, 9, np.uint8))
        picture = read_image(tmp_path / "a.png")
        assert (picture.shape, picture.dtype) == ((4, 5, 3), np.uint8)


# Bounds


def with_files(**weights: str) -> ModelCard:
    files = {kind: ModelFile(file="x", weights=w) for kind, w in weights.items()}  # type: ignore[arg-type]
    return CARD.model_copy(update={"files": files})


def test_bounds_are_wider_only_for_8_bit_weights_whose_reference_has_more() -> None:
    assert bounds_for(with_files(onnx="fp32", tflite="int8"), "tflite") == INT8_BOUNDS
    assert bounds_for(with_files(onnx="fp16", tflite="int8"), "tflite") == INT8_BOUNDS
    assert bounds_for(with_files(onnx="fp32", tflite="int8"), "onnx") == FLOAT_BOUNDS
    assert bounds_for(with_files(onnx="fp32", tflite="fp16"), "tflite") == FLOAT_BOUNDS
    assert bounds_for(with_files(onnx="int8", tflite="int8"), "tflite") == FLOAT_BOUNDS
    assert bounds_for(with_files(tflite="int8"), "tflite") == FLOAT_BOUNDS
    assert bounds_for(with_files(onnx="fp32"), "coreml") == FLOAT_BOUNDS


# The default model


@pytest.fixture(scope="module")
def outputs() -> dict[str, Outputs]:
    """What the default model gives on each golden picture."""
    detector = golden_detector(CARD, REFERENCE)
    detector.load()
    images = load_images(CARD, read_answers(CARD))
    found = {n: detector.infer(scale_picture(p, CARD.input))[1] for n, p in images.items()}
    detector.close()
    return found


class Replayed(GivenBackend):
    """Gives the outputs of one picture after the other, changed."""

    def __init__(self, outputs: list[Outputs]) -> None:
        super().__init__(outputs[0])
        self._next = iter(outputs)

    def infer(self, image: np.ndarray) -> Outputs:
        return next(self._next)


def replayed(outputs: list[Outputs]) -> Verdict:
    answers = read_answers(CARD)
    detector = golden_detector(CARD, Replayed(outputs))
    detector.load()
    return check(detector, answers, load_images(CARD, answers), bounds_for(CARD, "onnx"))


def test_the_default_model_gives_its_own_golden_answers() -> None:
    answers = read_answers(CARD)
    detector = golden_detector(CARD, REFERENCE)
    detector.load()
    found = check(detector, answers, load_images(CARD, answers), FLOAT_BOUNDS)
    detector.close()
    assert found.problems == ()
    assert found.objects >= 8
    assert found.cosine > 0.9999


def test_the_golden_detector_sees_all_labels_from_well_below_the_least_score(outputs: dict[str, Outputs]) -> None:
    detector: Detector = golden_detector(CARD, Replayed(list(outputs.values())))
    detector.load()
    answers = make_answers(detector, load_images(CARD, read_answers(CARD)))
    assert [a.image for a in answers] == shipped_images()
    scores = np.concatenate([a.found.scores for a in answers])
    assert SCORE / 2 <= scores.min() < SCORE < scores.max()
    assert all(part.dtype == np.float16 for a in answers for part in a.parts.values())


def test_outputs_of_the_model_itself_pass(outputs: dict[str, Outputs]) -> None:
    assert replayed(list(outputs.values())).passed


@pytest.mark.parametrize("kind", ["scores", "boxes"])
@pytest.mark.parametrize("change", ["NaN in one place", "noise", "a level of zeros", "cells in another order"])
def test_outputs_of_a_default_model_that_computes_wrongly_are_found(
    outputs: dict[str, Outputs], kind: str, change: str
) -> None:
    rng = np.random.default_rng(0)
    wrong = []
    for given_outputs in outputs.values():
        own = {n: a.copy() for n, a in given_outputs.items()}
        for name in (f"{kind}_{s}" for s in (8, 16, 32)):
            array = own[name]
            if change == "NaN in one place":
                array[0, 3, 3] = np.nan
            elif change == "noise":
                array += rng.normal(0, 0.1 * (1 + array.std()), array.shape).astype(np.float32)
            elif change == "a level of zeros":
                array[:] = 0
            else:
                own[name] = array[:, ::-1]
        wrong.append(own)
    found = replayed(wrong)
    assert not found.passed
    assert any(f"the raw {kind} have a cosine of" in problem for problem in found.problems)


def test_answers_of_pictures_that_are_not_all_there_are_refused(tmp_path: Path) -> None:
    answers = [replace(a, image=f"own-{a.image}") for a in read_answers(CARD)]
    with pytest.raises(ModelError, match=r"own-golden-1\.png: this picture is missing"):
        load_images(card_in(tmp_path), answers)


def test_the_golden_detector_takes_a_backend_or_an_engine() -> None:
    backend = create_backend(CARD, REFERENCE)
    assert golden_detector(CARD, backend).backend is backend
    assert type(golden_detector(CARD, REFERENCE).backend) is type(backend)
