"""Which trials are compared, of studies that were never run."""

from __future__ import annotations

from optuna.distributions import CategoricalDistribution, FloatDistribution
from support.records import L2, entry, record

from search.decide.candidates import Candidates


def test_of_trials_that_are_nearly_one_setting_only_the_best_is_taken() -> None:
    """A fiftieth of the five decades of L2 is a factor of 1.26."""
    rate = CategoricalDistribution(("sgd", "adam"))
    params = [
        {"l2": 1e-3, "optimizer": "adam"},
        {"l2": 1.1e-3, "optimizer": "adam"},
        {"l2": 1.1e-3, "optimizer": "sgd"},
        {"l2": 1.5e-3, "optimizer": "adam"},
    ]
    entries = [entry(number, [2.0 - number / 10], params=one) for number, one in enumerate(params)]
    trials = Candidates.of(record(entries, {"l2": L2, "optimizer": rate}))
    assert trials.best(10) == [3, 2, 1]
    assert trials.best(2) == [3, 2]


def test_only_complete_trials_that_violate_nothing_may_be_the_best() -> None:
    entries = [
        entry(0, [0.1], state="pruned", params={"l2": 1e-6}),
        entry(1, [0.2], violates=("sparsity > 0.5",), params={"l2": 1e-5}),
        entry(2, [0.4], params={"l2": 1e-4}),
        entry(3, [0.3], params={"l2": 1e-2}),
    ]
    assert Candidates.of(record(entries)).best(10) == [3, 2]


def strengths(*values: float, states: str = "") -> Candidates:
    """Return trials at these strengths of dropout, each better than the one before; p is a pruned one, v violates."""
    entries = [
        entry(
            number,
            [2.0 - number / 10],
            state="pruned" if state == "p" else "complete",
            violates=("sparsity > 0.5",) if state == "v" else (),
            params={"dropout": value},
        )
        for number, (value, state) in enumerate(zip(values, states or "c" * len(values), strict=True))
    ]
    return Candidates.of(record(entries, {"dropout": FloatDistribution(0.0, 0.8)}))


def test_beside_the_tied_trials_the_best_of_the_next_bin_on_each_side() -> None:
    """Eight bins, each of 0.1. The bin from 0.2 has no trial, so the next one below is that from 0.1."""
    trials = strengths(0.05, 0.15, 0.16, 0.35, 0.45, 0.46, 0.75)
    assert trials.beside(tied=[3], compared=[3]) == [2, 5]
    assert trials.beside(tied=[3, 5], compared=[3, 5, 2]) == [6]
    assert trials.beside(tied=[3, 4], compared=[2, 3, 4, 6]) == []
    assert trials.beside(tied=[0, 6], compared=[0, 6]) == []


def test_a_pruned_trial_stands_for_its_bin_if_no_complete_one_does() -> None:
    assert strengths(0.05, 0.06, 0.15, states="cpc").beside(tied=[2], compared=[2]) == [0]
    assert strengths(0.05, 0.06, 0.15, states="ppc").beside(tied=[2], compared=[2]) == [1]
    assert strengths(0.05, 0.06, 0.15, states="vpc").beside(tied=[2], compared=[2]) == [1]
    assert strengths(0.05, 0.06, 0.15, states="vvc").beside(tied=[2], compared=[2]) == []
