"""The range of strengths that cannot be told from the best one, worked out by hand."""

from __future__ import annotations

import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from support.records import L2, entry, record

from search.decide.candidates import Candidates
from search.decide.strengths import strength_ranges
from search.record.decision import StrengthRange

DROPOUT = FloatDistribution(0.0, 0.8)


def candidates(name: str, searched: BaseDistribution, *values: float | None) -> Candidates:
    """Return trials at these strengths; None is a trial in which the technique is off."""
    entries = [
        entry(number, [1.0], params={} if value is None else {name: value}) for number, value in enumerate(values)
    ]
    return Candidates.of(record(entries, {name: searched}))


L2_TRIALS = candidates("l2", L2, 1e-5, 1e-3, 1e-2, 1e-1, 1e-6, None)


def test_on_a_log_scale_it_ends_half_way_between_the_exponents() -> None:
    (found,) = strength_ranges(L2_TRIALS, tied=[2, 1], compared=[0, 1, 2, 3], chosen=2)
    assert (found.name, found.chosen, found.bounded, found.off) == ("l2", 1e-2, (True, True), False)
    assert (found.low, found.high) == pytest.approx((1e-4, 10**-1.5))


def test_on_a_linear_scale_it_ends_in_the_middle() -> None:
    trials = candidates("dropout", DROPOUT, 0.0, 0.2, 0.3, 0.7)
    (found,) = strength_ranges(trials, tied=[1, 2], compared=[0, 1, 2, 3], chosen=1)
    assert (found.low, found.high) == pytest.approx((0.1, 0.5))


def test_the_next_trial_that_is_told_ends_it_not_a_farther_one() -> None:
    trials = candidates("dropout", DROPOUT, 0.0, 0.1, 0.3, 0.5, 0.7)
    (found,) = strength_ranges(trials, tied=[2], compared=[0, 1, 2, 3, 4], chosen=2)
    assert (found.low, found.high) == pytest.approx((0.2, 0.4))


def test_where_nothing_beyond_is_told_it_reaches_to_the_last_strength_of_the_search() -> None:
    """Trial 4, at the lowest strength of all, was not compared."""
    (found,) = strength_ranges(L2_TRIALS, tied=[0, 1], compared=[0, 1, 2], chosen=1)
    assert found.bounded == (False, True)
    assert found.low == 1e-6
    assert found.high == pytest.approx(10**-2.5)
    (found,) = strength_ranges(L2_TRIALS, tied=[1], compared=[1], chosen=1)
    assert found == StrengthRange("l2", 1e-3, 1e-6, 1e-1, (False, False))


def test_a_trial_within_the_range_that_is_told_does_not_end_it() -> None:
    (found,) = strength_ranges(L2_TRIALS, tied=[0, 2], compared=[0, 1, 2, 3], chosen=0)
    assert found.bounded == (False, True)
    assert (found.low, found.high) == pytest.approx((1e-6, 10**-1.5))


def test_trials_that_are_off() -> None:
    (found,) = strength_ranges(L2_TRIALS, tied=[5, 1], compared=[1, 2, 5], chosen=5)
    assert (found.chosen, found.off) == (None, True)
    assert strength_ranges(L2_TRIALS, tied=[5], compared=[1, 5], chosen=5) == []


def test_a_hyperparameter_without_a_direction_has_no_range() -> None:
    trials = candidates("lr", FloatDistribution(1e-4, 1e-1, log=True), 1e-3, 1e-2)
    assert strength_ranges(trials, tied=[0], compared=[0, 1], chosen=0) == []
