"""When the best trial lies at the edge of a range, and how far the range may be widened: cases by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search.choose.edges import edges, wider
from search.recipe.declared import CORE
from search.technique import Numeric

RATE = Numeric(above=0.0)
SHARE = Numeric(minimum=0.0, below=1.0, neutral=0.0)
WHOLE = Numeric(minimum=1, whole=True, neutral=math.inf)


def ends(best: float, others: list[float], searched: Any = None) -> list[str]:
    """At which ends of 0 ... 1 the best lies among others."""
    tried = [{"x": value} for value in [best, *others]]
    return [one.end for one in edges({"x": best}, tried, {"x": searched or FloatDistribution(0, 1)}, {"x": RATE})]


@pytest.mark.parametrize(
    ("best", "others", "found"),
    [
        (0.5, [0.1, 0.9], []),
        # Within a twentieth, whatever lies beyond.
        (0.96, [0.5, 0.99], ["upper"]),
        (0.04, [0.5, 0.01], ["lower"]),
        # Nobody is further out.
        (0.86, [at / 25 for at in range(1, 20)], ["upper"]),
        # It is bracketed by a worse one.
        (0.86, [0.9, *(at / 25 for at in range(1, 20))], []),
        (0.14, [1 - at / 25 for at in range(1, 20)], ["lower"]),
        # Few trials say nothing of what they are far from.
        (0.76, [0.1, 0.2], ["upper"]),
        (0.74, [0.1, 0.2], []),
    ],
)
def test_the_best_is_at_an_edge(best: float, others: list[float], found: list[str]) -> None:
    assert ends(best, others) == found


def test_places_are_on_the_scale_that_is_searched() -> None:
    assert ends(10**-5.8, [1e-3, 1e-2], FloatDistribution(1e-6, 1e-1, log=True)) == ["lower"]
    assert ends(0.05, [0.06, 0.09], FloatDistribution(1e-6, 1e-1, log=True)) == []


def test_choices_have_no_edges() -> None:
    assert ends(0.0, [1.0], CategoricalDistribution((0.0, 1.0))) == []


@pytest.mark.parametrize(
    ("declared", "distribution", "end", "moved"),
    [
        (RATE, FloatDistribution(1e-4, 1e-1, log=True), "upper", 1.0),
        (RATE, FloatDistribution(1e-4, 1e-1, log=True), "lower", 1e-5),
        # Half its width, and no further than it may.
        (SHARE, FloatDistribution(0.2, 0.6), "upper", 0.8),
        (SHARE, FloatDistribution(0.2, 0.4), "lower", 0.1),
        (SHARE, FloatDistribution(0.1, 0.5), "lower", 0.0),
        # Half of the way to what it cannot reach.
        (SHARE, FloatDistribution(0.0, 0.8), "upper", 0.9),
        (RATE, FloatDistribution(0.1, 0.9), "lower", 0.05),
        (SHARE, FloatDistribution(1e-3, 0.5, log=True), "upper", 0.75),
        (WHOLE, IntDistribution(3, 30), "upper", 43),
        (WHOLE, IntDistribution(3, 30), "lower", 1),
        (WHOLE, IntDistribution(16, 64, log=True), "lower", 2),
        (WHOLE, IntDistribution(3, 30, log=True), "lower", 1),
        (WHOLE, IntDistribution(1, 30), "lower", None),
        (CORE["batch_size"], IntDistribution(8, 64, log=True), "upper", 640),
        (CORE["batch_size"], IntDistribution(1, 64), "lower", None),
        (Numeric(neutral=1.0, above=0.0), FloatDistribution(0.1, 0.5, log=True), "upper", 1.0),
    ],
)
def test_how_far_a_range_is_widened(declared: Any, distribution: Any, end: Any, moved: float | None) -> None:
    after = wider("x", distribution, declared, end)
    if moved is None:
        assert after is None
        return
    assert after is not None
    assert (after.low if end == "lower" else after.high) == pytest.approx(moved)
    assert (after.high == distribution.high) if end == "lower" else (after.low == distribution.low)
    assert after.log == distribution.log
    declared.validate("x", after.low)
    declared.validate("x", after.high)


def test_a_limit_and_where_it_does_nothing_are_not_passed() -> None:
    for low, high, best, limited in [(0.0, 0.8, 0.01, True), (0.0, 0.8, 0.79, False), (0.1, 0.8, 0.1, False)]:
        tried = [{"x": 0.4}, {"x": best}]
        (found,) = edges({"x": best}, tried, {"x": FloatDistribution(low, high)}, {"x": SHARE})
        assert found.limit == limited
        assert (found.wider is None) == limited
