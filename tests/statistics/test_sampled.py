"""Means of sampled values, and a variance of replicates that other tables tell: against scipy, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from search.statistics.crossed import crossed
from search.statistics.sampled import sampled

# Two replicates of three examples. The mean squares: 6 of replicates, 6.5 of examples, 1.5 of the rest.
TABLE = np.array([[1.0, 2.0, 3.0], [2.0, 3.0, 7.0]])
OF_EXAMPLES = 6.5**2 / 2 + 1.5**2 / 2  # their part of Satterthwaite's denominator


def test_independent_values_have_the_one_sample_t_test() -> None:
    values = np.random.default_rng(0).normal(0.4, 1, (3, 12))
    found = sampled(values)
    expected = stats.ttest_1samp(values, 0, axis=1)
    interval = expected.confidence_interval(0.95)
    low, high = found.interval()
    assert found.value == pytest.approx(values.mean(1))
    assert low == pytest.approx(interval.low)
    assert high == pytest.approx(interval.high)
    assert found.p() == pytest.approx(expected.pvalue)
    assert found.example_share.tolist() == [1, 1, 1]


def test_folds_have_nadeau_and_bengios_variance() -> None:
    """Three folds of mean 0.2 and variance 0.01; (1/3 + 1/2) 0.01, and t is 4.302653 with two degrees of freedom."""
    found = sampled(np.array([0.1, 0.3, 0.2]), overlap=0.5)
    assert found.variance == pytest.approx(0.01 * 5 / 6)
    assert found.freedom == 2
    low, high = found.interval()
    assert (low, high) == pytest.approx((0.2 - 4.302653 * 0.0912871, 0.2 + 4.302653 * 0.0912871), rel=1e-5)


def test_one_value_has_no_uncertainty() -> None:
    with pytest.raises(ValueError, match="two values or more, got 1"):
        sampled(np.ones((5, 1)))


def test_a_table_by_hand() -> None:
    found = crossed(TABLE)
    assert found.variance == pytest.approx((6 + 6.5 - 1.5) / 6)
    assert found.freedom == pytest.approx(11**2 / (6**2 / 1 + OF_EXAMPLES))


def test_a_larger_known_variance_of_the_replicates_takes_the_place_of_their_own() -> None:
    """The replicates' means vary by 2. Where others tell 5, the mean square of replicates is 15 instead of 6."""
    found = crossed(TABLE, (5.0, 4))
    assert found.variance == pytest.approx((15 + 6.5 - 1.5) / 6)
    assert found.freedom == pytest.approx(20**2 / (15**2 / 4 + OF_EXAMPLES))
    assert found.spread == pytest.approx(np.sqrt(5))
    assert found.value == crossed(TABLE).value


def test_a_smaller_one_changes_the_degrees_of_freedom_only() -> None:
    found, own = crossed(TABLE, (1.0, 4)), crossed(TABLE)
    assert found.variance == own.variance
    assert found.spread == own.spread
    assert found.freedom == pytest.approx(11**2 / (6**2 / 4 + OF_EXAMPLES))
    assert found.freedom > own.freedom
