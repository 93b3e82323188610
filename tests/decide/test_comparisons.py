"""Which trials are told to be worse than the best one: against t tests, and in simulated studies."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq

from search.decide.comparisons import Comparisons
from search.decide.evidence import Evidence
from search.statistics.crossed import Floats


def shifted(deviations: Floats, p: float, overlap: float = 0.0) -> Floats:
    """Return differences with these deviations, whose one-sided t test has a given p value."""
    count = len(deviations)
    error = np.sqrt((1 / count + overlap) * deviations.var(ddof=1))
    return np.asarray(deviations - deviations.mean() + stats.t.isf(p, count - 1) * error)


def told_at(deviations: Floats, p: float) -> Floats:
    """Return differences whose t test has a given p value, with one more: the largest of all, against them."""

    def excess(shift: float) -> float:
        values = deviations + shift
        further = np.append(values, -np.abs(values).max())
        return float(stats.ttest_1samp(further, 0, alternative="greater").pvalue) - p

    return np.asarray(deviations + brentq(excess, 0.0, 10.0))


def evidence(*differences: Floats, overlap: float | None = None) -> Evidence:
    """Return what is known of a best trial, number 0, and of others that differ from it by these."""
    best = 5 + np.random.default_rng(9).normal(0, 1, differences[0].shape)
    cells = {0: best[None], **{number: (best + one)[None] for number, one in enumerate(differences, 1)}}
    return Evidence(cells, overlap)


def uncorrelated(count: int, rows: int = 40) -> list[Floats]:
    columns = np.random.default_rng(4).normal(0, 1, (rows, count))
    centred, _ = np.linalg.qr(columns - columns.mean(0))
    return [*centred.T]


def test_two_trials_have_the_one_sided_paired_t_test_with_one_block_against_it() -> None:
    rng = np.random.default_rng(0)
    told = 0
    for _ in range(100):
        cells = {0: rng.normal(0, 1, (1, 30)), 1: rng.normal(0.4, 1, (1, 30))}
        compared = Comparisons(Evidence(cells))
        best = compared.best
        difference = cells[1 - best][0] - cells[best][0]
        further = np.append(difference, -np.abs(difference).max())
        test = stats.ttest_1samp(further, 0, alternative="greater")
        assert (compared.tied == [best]) == (test.pvalue < 0.05)
        assert compared.most_to_gain(1 - best) == pytest.approx(-test.confidence_interval(0.95).low)
        told += compared.tied == [best]
    assert 10 < told < 90


def test_of_many_equal_trials_the_true_best_is_hardly_ever_told_to_be_worse() -> None:
    """Each of them is a best one; trial 0 stands for it. Another one is so bad that it is always told."""
    rng = np.random.default_rng(1)
    wrong, studies = 0, 200
    for _ in range(studies):
        cells = dict(enumerate(rng.normal(0, 0.5, 12) + rng.normal(0, 1, (9, 1, 12))))
        cells[8] = cells[8] + 6.0
        tied = Comparisons(Evidence(cells)).tied
        wrong += 0 not in tied
        assert 8 not in tied
    assert wrong <= stats.binom.ppf(0.999, studies, 0.05)


def test_perfectly_correlated_differences_cost_no_more_than_one_comparison() -> None:
    (one,) = uncorrelated(1)
    difference = told_at(one, 0.045)
    assert Comparisons(evidence(*(scale * difference for scale in (1, 2, 3, 4)))).tied == [0]
    difference = told_at(one, 0.055)
    assert Comparisons(evidence(difference, 2 * difference)).tied == [0, 1, 2]


def test_uncorrelated_differences_cost_as_many_as_they_are() -> None:
    """Of four, one is told at the level 1 - 0.95^(1/4) = 1.27%."""
    assert len(Comparisons(evidence(*(told_at(one, 0.0145) for one in uncorrelated(4)))).tied) == 5
    assert Comparisons(evidence(*(told_at(one, 0.011) for one in uncorrelated(4)))).tied == [0]


def test_differences_that_do_not_vary_are_told() -> None:
    compared = Comparisons(evidence(np.full(40, 0.125), np.full(40, 0.25)))
    assert compared.tied == [0]


@pytest.mark.parametrize(("p", "tied"), [(0.03, [0, 1, 2]), (0.02, [0])])
def test_of_folds_each_is_told_at_bonferronis_level(p: float, tied: list[int]) -> None:
    """Two comparisons at 2.5% each, by Nadeau and Bengio's t test, although the differences are correlated."""
    difference = shifted(np.array([0.3, -0.1, 0.2, -0.5, 0.1]), p, overlap=0.25)
    assert Comparisons(evidence(difference, 2 * difference, overlap=0.25)).tied == tied


def test_the_tied_trials_are_listed_from_the_best_on() -> None:
    far, near, told = uncorrelated(3)
    near = shifted(near, 0.4)
    far = shifted(far, 0.3)
    assert Comparisons(evidence(far, near, shifted(told, 1e-4))).tied == [0, 2, 1]


def test_replicates_could_tell_only_what_rows_do_not_hide() -> None:
    """Two replicates, as alike as can be, and two that vary: of the latter more would tell."""
    rows = np.random.default_rng(2).normal(0, 1, 40)
    rows -= rows.mean()
    noise = np.random.default_rng(3).normal(0, 1e-3, (2, 2, 40))
    alike = {0: 5 + noise[0], 1: 5 + noise[1] + 0.1 + rows}
    compared = Comparisons(Evidence(alike))
    assert compared.tied == [0, 1]
    assert not compared.may_be_told(1)
    varying = {0: 5 + noise[0], 1: 5 + noise[1] + np.array([[0.0], [0.2]])}
    compared = Comparisons(Evidence(varying))
    assert compared.tied == [0, 1]
    assert compared.may_be_told(1)
