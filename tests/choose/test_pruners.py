"""Verdicts worked out by hand: which trials are compared, and which survive (contract C5, docs/design.md)."""

from __future__ import annotations

import math

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState
from support.frozen_trials import frozen

from search.choose.pruners import (
    HalvingPruner,
    HyperbandPruner,
    MedianPruner,
    NoPruner,
    build,
)
from search.recipe.schema import Pruner
from search.record.own import COHORT


def test_halving_keeps_the_best_share_of_its_cohort_and_of_earlier_ones() -> None:
    pruner = HalvingPruner(100, factor=2, min_epochs=10)
    assert pruner.rungs() == (10, 20, 40, 80)
    earlier = [frozen(0, 0, {10: 0.1}, TrialState.COMPLETE, 0.1), frozen(1, 0, {10: 0.9}, TrialState.PRUNED, 0.9)]
    mine = [frozen(2, 1, {10: 0.2}), frozen(3, 1, {10: 0.5}), frozen(4, 1, {10: 0.3}), frozen(5, 1, {10: 0.7})]
    later = [frozen(6, 2, {10: 0.0}), frozen(7, 2, {10: 0.0})]
    # Later trials do not count, so there are six peers, of which the best three are at 0.1, 0.2 and 0.3.
    expected = {2: True, 3: False, 4: True, 5: False}
    assert pruner.verdicts(earlier + mine + later, 1, 10) == expected
    assert pruner.verdicts(later + mine[::-1] + earlier, 1, 10) == expected


def test_a_trial_that_ended_by_itself_counts_with_its_final_value() -> None:
    pruner = HalvingPruner(100, factor=2, min_epochs=10)
    ended = frozen(0, 0, {10: 0.5}, TrialState.COMPLETE, 0.05)
    mine = [frozen(1, 0, {10: 0.6, 20: 0.3}), frozen(2, 0, {10: 0.7, 20: 0.4})]
    # At epoch 20 the three are at 0.05, 0.3 and 0.4; half of three, rounded down, is one.
    assert pruner.verdicts([ended, *mine], 0, 20) == {1: False, 2: False}


def test_a_trial_that_was_never_finite_counts_as_the_worst() -> None:
    pruner = HalvingPruner(100, factor=2, min_epochs=10)
    never = [frozen(n, 0, {}, TrialState.PRUNED) for n in range(3)]
    mine = [frozen(n + 3, 0, {10: float(n)}) for n in range(3)]
    # There are six peers, and the better half of them are the three that are finite.
    assert pruner.verdicts(never + mine, 0, 10) == {3: True, 4: True, 5: True}


def test_at_least_one_survives_unless_none_is_finite() -> None:
    pruner = HalvingPruner(100, factor=4, min_epochs=10)
    assert pruner.verdicts([frozen(0, 0, {10: 3.0}), frozen(1, 0, {10: 2.0})], 0, 10) == {0: False, 1: True}
    assert pruner.verdicts([frozen(0, 0, {10: math.inf}), frozen(1, 0, {10: math.nan})], 0, 10) == {0: False, 1: False}


def test_median_stops_the_worse_half() -> None:
    pruner = MedianPruner(50, interval=10, min_epochs=20)
    assert pruner.rungs() == (20, 30, 40)
    trials = [frozen(n, 0, {20: value}) for n, value in enumerate((1.0, 2.0, 3.0, 4.0, math.nan))]
    assert pruner.verdicts(trials, 0, 20) == {0: True, 1: True, 2: True, 3: False, 4: False}


def test_default_rungs_lie_late() -> None:
    assert build(Pruner(name="halving"), 100).rungs() == (50,)
    assert build(Pruner(name="median"), 100).rungs() == (50, 60, 70, 80, 90)
    assert build(Pruner(name="hyperband"), 90).rungs() == (10, 30)
    assert build(Pruner(name="curve"), 64).rungs() == (6, 8, 11, 16, 23, 32, 45)
    assert build(Pruner(name="curve", min_epochs=16), 64).rungs() == (16, 23, 32, 45)
    assert build(Pruner(name="curve"), 1).rungs() == ()
    assert build(Pruner(name="forecast"), 64).rungs() == (6, 8, 11, 16, 23, 32, 45)
    assert build(Pruner(name="forecast", min_epochs=16), 64).rungs() == (16, 23, 32, 45)
    assert build(Pruner(name="none"), 100).rungs() == ()
    assert build(Pruner(name="halving"), 1).rungs() == ()


def test_hyperband_judges_later_brackets_later_and_compares_within_them() -> None:
    pruner = HyperbandPruner(90, factor=3, min_epochs=10)
    brackets: dict[int, list[int]] = {}
    for number in range(3000):
        brackets.setdefault(pruner.bracket(frozen(number, 0, {})), []).append(number)
    # Brackets of 3 * 9 / 3, 3 * 3 / 2 and 3 * 1 / 1 trials, rounded up: 9, 5 and 3 of 17.
    assert [len(brackets[i]) / 3000 for i in range(3)] == pytest.approx([9 / 17, 5 / 17, 3 / 17], abs=0.03)
    first, second, never = brackets[0][:4], brackets[1][:4], brackets[2][:4]
    trials = [
        frozen(n, 0, {10: float(i), 30: float(i)}) for group in (first, second, never) for i, n in enumerate(group)
    ]
    assert pruner.verdicts(trials, 0, 10) == {n: i == 0 for i, n in enumerate(first)}
    assert set(pruner.verdicts(trials, 0, 30)) == {*first, *second}


def test_optunas_interface_gives_the_same_verdict() -> None:
    pruner = HalvingPruner(100, factor=2, min_epochs=10)
    study = optuna.create_study(pruner=pruner)
    trials = [study.ask() for _ in range(4)]
    for trial, value in zip(trials, (0.4, 0.1, 0.3, 0.2), strict=True):
        trial.set_user_attr(COHORT, 0)
        trial.report(value, 10)
    assert [trial.should_prune() for trial in trials] == [True, False, True, False]
    assert not study.ask().should_prune()


@given(st.lists(st.floats(allow_nan=True), min_size=1, max_size=40), st.integers(2, 5))
def test_survivors_are_never_worse_than_the_pruned(values: list[float], factor: int) -> None:
    for pruner in (
        HalvingPruner(64, factor=factor, min_epochs=4),
        MedianPruner(64, interval=4, min_epochs=4),
        NoPruner(64),
    ):
        trials = [frozen(n, 0, {4: value}) for n, value in enumerate(values)]
        verdicts = pruner.verdicts(trials, 0, 4)
        if isinstance(pruner, NoPruner):
            assert verdicts == {}
            continue
        alive = [values[n] for n, lives in verdicts.items() if lives]
        pruned = [values[n] for n, lives in verdicts.items() if not lives and math.isfinite(values[n])]
        assert all(math.isfinite(value) for value in alive)
        assert not (alive and pruned) or max(alive) < min(pruned) or max(alive) == min(pruned)
        if any(math.isfinite(value) and value == min(values) for value in values):
            assert alive
