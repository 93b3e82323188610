"""Intervals of means of skewed values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from search.statistics.sampled import sampled
from search.statistics.skewed import asymmetry, skewed_interval


def test_the_asymmetry_is_scipys_skewness_by_the_root_of_the_number() -> None:
    values = np.random.default_rng(0).lognormal(0, 1, 50)
    assert asymmetry(values) == pytest.approx(stats.skew(values) / np.sqrt(50))
    assert asymmetry(np.full(9, 2.0)) == 0.0


def test_without_skewness_it_is_students_interval() -> None:
    estimate = sampled(np.random.default_rng(1).normal(0, 1, 30))
    low, high = estimate.interval()
    assert skewed_interval(estimate, 0.0) == pytest.approx((float(low), float(high)))
    assert skewed_interval(estimate, 1e-4) == pytest.approx((float(low), float(high)), abs=1e-3)


def test_the_ends_solve_halls_equation() -> None:
    """T + a T^2 / 3 + a^2 T^3 / 27 + a / 6 is the quantile, where T is the distance of the truth in standard errors."""
    estimate, a = sampled(np.random.default_rng(2).lognormal(0, 1, 40)), 0.4
    q, error = stats.t.ppf(0.975, 39), float(np.sqrt(estimate.variance))
    for end, y in zip(skewed_interval(estimate, a), (q, -q), strict=True):
        t = (float(estimate.value) - end) / error
        assert t + a * t**2 / 3 + a**2 * t**3 / 27 + a / 6 == pytest.approx(y)


def test_of_skewed_losses_it_misses_fewer_means_than_students_interval() -> None:
    rng, truth, studies = np.random.default_rng(3), float(np.exp(0.98)), 400
    held = {"student": 0, "hall": 0}
    for _ in range(studies):
        values = rng.lognormal(0, 1.4, 100)
        estimate = sampled(values)
        for name, (low, high) in (
            ("student", estimate.interval()),
            ("hall", skewed_interval(estimate, asymmetry(values))),
        ):
            held[name] += bool(low <= truth <= high)
    assert held["student"] < 0.88 * studies
    assert held["hall"] > held["student"] + 0.02 * studies
