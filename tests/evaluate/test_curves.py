"""The four curves against worked examples and against a slow reading of their definition."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soteirad.evaluate.curves import CURVES, POINTS, Curves, Judged, curves_of, difference
from tests.evaluate.made import made_judged


def judged(objects: int, *detections: tuple[float, bool]) -> Judged:
    return Judged(np.array([s for s, _ in detections], float), np.array([h for _, h in detections], bool), objects)


def at(values: np.ndarray, x: float) -> float:
    return float(values[round(x * (len(values) - 1))])


def slow_curves(part: Judged, points: int) -> dict[str, list[float]]:
    """The module's definition, sentence by sentence, in fractions."""
    pairs = list(zip(part.scores.tolist(), part.hits.tolist(), strict=True))
    if not pairs or not part.objects:
        return {name: [0.0] * points for name in CURVES}
    scores = sorted({s for s, _ in pairs})
    precision, recall = {}, {}
    for s in scores:
        counted = [hit for score, hit in pairs if score >= s]
        precision[s] = Fraction(sum(counted), len(counted))
        recall[s] = Fraction(sum(counted), part.objects)

    def between(values: dict[float, Fraction], above: int, c: float) -> float:
        if c > scores[-1]:
            return above
        if c <= scores[0]:
            return float(values[scores[0]])
        upper = next(i for i, s in enumerate(scores) if s >= c)
        low, high = scores[upper - 1], scores[upper]
        share = (Fraction(c) - Fraction(low)) / (Fraction(high) - Fraction(low))
        return float(values[low] + share * (values[high] - values[low]))

    made: dict[str, list[float]] = {name: [] for name in CURVES}
    for i, c in enumerate(np.linspace(0, 1, points).tolist()):
        p, r = between(precision, 1, c), between(recall, 0, c)
        made["precision"].append(p)
        made["recall"].append(r)
        made["f1"].append(2 * p * r / (p + r) if p + r else 0.0)
        reached = [precision[s] for s in scores if recall[s] >= Fraction(i, points - 1)]
        made["pr"].append(float(max(reached, default=Fraction(0))))
    return made


detections = st.lists(st.tuples(st.integers(0, 20).map(lambda n: n / 20), st.booleans()), max_size=12)


@given(detections, st.integers(0, 4))
def test_the_curves_of_a_label_are_those_of_the_definition(found: list[tuple[float, bool]], missed: int) -> None:
    part = judged(sum(hit for _, hit in found) + missed, *found)
    for name, expected in slow_curves(part, 61).items():
        assert curves_of(part, 61)[name].tolist() == pytest.approx(expected, abs=1e-12), name


@given(detections, st.randoms(use_true_random=False))
def test_the_order_of_detections_does_not_matter(found: list[tuple[float, bool]], random: object) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    objects = 1 + sum(hit for _, hit in found)
    one, other = curves_of(judged(objects, *found)), curves_of(judged(objects, *shuffled))
    assert all(np.array_equal(one[name], other[name]) for name in CURVES)


def test_two_hits_and_a_false_one_by_hand() -> None:
    """Four objects; at 0.8 1 of 1 is right, at 0.6 1 of 2, at 0.4 2 of 3."""
    curves = curves_of(judged(4, (0.8, True), (0.6, False), (0.4, True)), 11)
    assert curves["precision"].tolist() == pytest.approx([2 / 3] * 5 + [7 / 12, 1 / 2, 3 / 4, 1, 1, 1])
    assert curves["recall"].tolist() == pytest.approx([0.5] * 5 + [0.375, 0.25, 0.25, 0.25, 0, 0])
    assert at(curves["f1"], 0.4) == pytest.approx(2 * (2 / 3) * 0.5 / (2 / 3 + 0.5))
    assert curves["pr"].tolist() == pytest.approx([1, 1, 1] + [2 / 3] * 3 + [0] * 5)


def test_detections_of_equal_score_count_together() -> None:
    curves = curves_of(judged(2, (0.5, False), (0.5, True)), 11)
    assert (at(curves["precision"], 0.5), at(curves["recall"], 0.5), at(curves["pr"], 0.0)) == (0.5, 0.5, 0.5)


def test_a_recall_that_is_a_point_of_the_grid_is_reached() -> None:
    """With three objects, a third is point 333 of 999."""
    pr = curves_of(judged(3, (0.9, True)))["pr"]
    assert (pr[333], pr[334]) == (1.0, 0.0)


def test_a_perfect_detector_has_precision_1_and_recall_1_up_to_its_lowest_score() -> None:
    curves = curves_of(judged(2, (0.9, True), (0.7, True)))
    assert (curves["precision"] == 1).all() and (curves["pr"] == 1).all()
    assert at(curves["recall"], 0.7) == 1 and at(curves["f1"], 0.3) == 1


def test_a_label_of_which_nothing_is_found_has_zero_everywhere() -> None:
    assert all((values == 0).all() for values in curves_of(judged(3)).values())


def test_the_mean_is_over_labels_with_objects_only() -> None:
    parts = {"a": judged(1, (0.5, True)), "b": judged(0, (0.9, False)), "c": judged(2)}
    curves = Curves.of(parts)
    assert (curves.labels, curves.objects) == (("a", "c"), (1, 2))
    assert np.allclose(curves.mean["recall"], curves_of(parts["a"])["recall"] / 2)


def test_pooled_curves_take_all_objects_as_of_one_label() -> None:
    curves = Curves.of({"a": judged(1, (0.5, True)), "c": judged(3, (0.3, False))})
    assert at(curves.pooled["recall"], 0.2) == pytest.approx(1 / 4)
    assert at(curves.pooled["precision"], 0.2) == pytest.approx(1 / 2)


def test_the_best_f1_is_told_with_its_confidence() -> None:
    best, confidence = Curves.of({"a": judged(1, (0.6, True), (0.3, False))}).best_f1()
    assert (best, confidence) == (pytest.approx(1, abs=0.01), pytest.approx(0.6, abs=0.001))


def test_a_run_does_not_differ_from_itself() -> None:
    curves = Curves.of(made_judged(1))
    for name in CURVES:
        found = difference(curves, curves, name)
        assert (found.largest, found.mean, found.slipped, found.causes, found.largest_pooled) == (0, 0, 0, (), 0)


def test_a_difference_tells_where_it_is_and_which_label_makes_it() -> None:
    base = Curves.of({"few": judged(1, (0.6, True)), "many": judged(10, (0.5, True))})
    other = Curves.of({"few": judged(1, (0.8, True)), "many": judged(10, (0.5, True))})
    found = difference(base, other, "recall")
    assert (found.largest, found.base, found.other) == (0.5, 0.0, 0.5)
    assert 0.6 < found.at < 0.602
    assert found.mean == pytest.approx(0.1, abs=0.001)
    assert [(c.label, c.objects, c.part) for c in found.causes] == [("few", 1, 0.5)]
    assert found.largest_pooled == pytest.approx((2 - 1 / 3) / 11, abs=0.001)


def test_a_step_that_moves_by_one_point_of_the_axis_is_large_but_not_when_it_may_slip() -> None:
    step = 1 / (POINTS - 1)
    base, near, far = (Curves.of({"one": judged(1, (300.5 * step + n * step, True))}) for n in (0, 1, 3))
    assert difference(base, near, "recall").largest == 1
    assert difference(base, near, "recall").slipped == 0
    assert difference(base, far, "recall").slipped == 1
