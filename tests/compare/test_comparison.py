"""The statistics of a comparison: exact numbers, its two limits, and how often its intervals hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.crossed import DESIGNS, Design, equal_arms, held
from search.show.text import format_figures
from search.statistics.crossed import crossed, root


def test_a_table_by_hand() -> None:
    """Two replicates, three examples: rows 2 and 4, columns 1, 3, 5, residuals 0 but for an interaction of 1."""
    found = crossed(np.array([[1.0, 2.0, 3.0], [1.0, 4.0, 7.0]]))
    # MS_r = 3 (1 + 1) / 1 = 6, MS_i = 2 (4 + 0 + 4) / 2 = 8, MS_e = (1 + 0 + 1 + 1 + 0 + 1) / 2 = 2.
    assert found.value == 3
    assert found.variance == pytest.approx((6 + 8 - 2) / 6)
    assert found.freedom == pytest.approx(12**2 / (6**2 / 1 + 8**2 / 2 + 2**2 / 2))
    assert found.spread == pytest.approx(np.sqrt(2))
    low, high = found.interval()
    half = stats.t.ppf(0.975, 144 / 70) * np.sqrt(2)
    assert (low, high) == (pytest.approx(3 - half), pytest.approx(3 + half))
    assert found.p() == pytest.approx(2 * stats.t.sf(3 / np.sqrt(2), 144 / 70))
    # Of three such pairs: Bonferroni.
    assert found.interval(3)[1] == pytest.approx(3 + stats.t.ppf(1 - 0.025 / 3, 144 / 70) * np.sqrt(2))
    assert found.p(3) == pytest.approx(min(1, 3 * found.p()))


numbers = st.lists(st.integers(-20, 20), min_size=2, max_size=8).filter(lambda values: len(set(values)) > 1)


@given(numbers, st.integers(2, 5), st.booleans())
def test_one_source_alone_is_the_paired_t_test(values: list[int], others: int, over_examples: bool) -> None:
    """Over replicates where all examples agree, and the other way round."""
    table = np.repeat(np.array(values, float)[:, None], others, axis=1)
    found = crossed(table.T if over_examples else table)
    t = stats.ttest_1samp(values, 0)
    low, high = t.confidence_interval(0.95)
    assert found.freedom == pytest.approx(len(values) - 1)
    assert found.interval() == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))
    assert found.p() == pytest.approx(t.pvalue)


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(2, 6), st.integers(1, 6))
def test_verdict_and_interval_never_disagree(seed: int, replicates: int, examples: int, family: int) -> None:
    """Nor is the variance below that of either source alone; discrete tables have many ties."""
    table = np.random.default_rng(seed).integers(-1, 2, (replicates, examples)).astype(float)
    found = crossed(table)
    low, high = found.interval(family)
    assert (found.p(family) < 0.05) == (low > 0 or high < 0)
    assert found.variance >= table.mean(1).var(ddof=1) / replicates - 1e-12
    assert found.variance >= table.mean(0).var(ddof=1) / examples - 1e-12
    swapped = crossed(-table.T)
    assert (swapped.value, swapped.variance) == (pytest.approx(-found.value), pytest.approx(found.variance))


def test_nothing_varies() -> None:
    same = crossed(np.zeros((3, 4)))
    assert (same.variance, same.interval(), same.p()) == (0, (0, 0), 1)
    sure = crossed(np.full((3, 4), 0.5))
    assert (sure.interval(), sure.p()) == ((0.5, 0.5), 0)


@pytest.mark.parametrize("shape", [(1, 5), (5, 1)])
def test_one_row_says_nothing(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"two examples or more, got {shape[0]} x {shape[1]}"):
        crossed(np.zeros(shape))


def test_variance_is_unbiased() -> None:
    """In the crossed model, with every component there is, none of them normal."""
    rng = np.random.default_rng(0)
    a, b, e = (rng.exponential(size=(20_000, *shape)) - 1 for shape in ((6, 1), (1, 9), (6, 9)))
    found = crossed(0.5 * a + 2 * b + e)
    assert found.variance.mean() == pytest.approx(0.25 / 6 + 4 / 9 + 1 / 54, rel=0.02)
    assert found.variance.mean() == pytest.approx(found.value.var(), rel=0.03)


def test_a_root_of_means() -> None:
    squares = np.random.default_rng(1).exponential(size=(5, 400))
    assert root(squares).mean() == pytest.approx(np.sqrt(squares.mean()))
    assert not root(np.zeros((2, 3))).any()
    # To first order what a cell adds: a small change of one cell changes the root as it says.
    changed = squares.copy()
    changed[2, 7] += 1e-3
    slope = (np.sqrt(changed.mean()) - np.sqrt(squares.mean())) / (1e-3 / squares.size)
    assert slope == pytest.approx(1 / (2 * np.sqrt(squares.mean())), rel=1e-4)


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: str(design.name))
def test_intervals_hold(design: Design) -> None:
    """2,000 comparisons of settings that do differ, on one test set each; benchmarks/intervals.py measures more."""
    share = held(design, comparisons=2000, replicates=10, examples=200, seed=3)
    assert 0.93 <= share.crossed <= 0.97
    # Which answers for the examples at hand only.
    assert share.replicates_alone < 0.93


@pytest.mark.parametrize("arms", [2, 4])
def test_equal_settings_are_seldom_told_apart(arms: int) -> None:
    """Of all pairs of a family, none in 95% of comparisons (and 1% for the luck of 2,000)."""
    assert equal_arms(arms, comparisons=2000, replicates=10, examples=200, seed=4) <= 0.06


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ((0.8, 0.04, 1.26), ["0.80", "0.04", "1.26"]),
        ((-0.1, -0.6, 0.4), ["-0.1", "-0.6", "0.4"]),
        ((0.0, 0.0, 0.0), ["0.0", "0.0", "0.0"]),
        ((0.5, 3e-9, 0.7), ["0.5", "3e-09", "0.7"]),
        ((float("nan"), float("nan"), float("inf")), ["nan", "nan", "inf"]),
    ],
)
def test_no_bound_is_rounded_to_another_verdict(values: tuple[float, ...], shown: list[str]) -> None:
    assert format_figures(*values) == shown
