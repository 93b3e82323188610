"""Verdicts by hand: who is compared with whom, and who goes on (contract C5)."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from random import Random

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState
from support.small_studies import Crash, Quiet, outcome, small

from search.choose.peers import COHORT, TICKET
from search.choose.pruners import (
    CurvePruner,
    HalvingPruner,
    HyperbandPruner,
    MedianPruner,
    NoPruner,
    build,
)
from search.recipe.schema import Pruner


def frozen(
    number: int,
    cohort: int,
    reports: dict[int, float],
    state: TrialState = TrialState.RUNNING,
    value: float | None = None,
) -> FrozenTrial:
    return FrozenTrial(
        number=number,
        state=state,
        value=value,
        datetime_start=datetime(2026, 1, 1),
        datetime_complete=None if state == TrialState.RUNNING else datetime(2026, 1, 2),
        params={},
        distributions={},
        user_attrs={COHORT: cohort, TICKET: number},
        system_attrs={},
        intermediate_values=reports,
        trial_id=number,
    )


def test_halving_keeps_the_best_share_of_its_cohort_and_of_earlier_ones() -> None:
    pruner = HalvingPruner(100, factor=2, min_epochs=10)
    assert pruner.rungs() == (10, 20, 40, 80)
    earlier = [frozen(0, 0, {10: 0.1}, TrialState.COMPLETE, 0.1), frozen(1, 0, {10: 0.9}, TrialState.PRUNED, 0.9)]
    mine = [frozen(2, 1, {10: 0.2}), frozen(3, 1, {10: 0.5}), frozen(4, 1, {10: 0.3}), frozen(5, 1, {10: 0.7})]
    later = [frozen(6, 2, {10: 0.0}), frozen(7, 2, {10: 0.0})]
    # Six peers, later ones unseen: the best three are 0.1, 0.2 and 0.3.
    expected = {2: True, 3: False, 4: True, 5: False}
    assert pruner.verdicts(earlier + mine + later, 1, 10) == expected
    assert pruner.verdicts(later + mine[::-1] + earlier, 1, 10) == expected


def test_a_trial_that_ended_by_itself_counts_with_its_final_value() -> None:
    pruner = HalvingPruner(100, factor=2, min_epochs=10)
    ended = frozen(0, 0, {10: 0.5}, TrialState.COMPLETE, 0.05)
    mine = [frozen(1, 0, {10: 0.6, 20: 0.3}), frozen(2, 0, {10: 0.7, 20: 0.4})]
    # At epoch 20: 0.05, 0.3, 0.4, of which one half is one.
    assert pruner.verdicts([ended, *mine], 0, 20) == {1: False, 2: False}


def test_a_trial_that_was_never_finite_counts_as_the_worst() -> None:
    pruner = HalvingPruner(100, factor=2, min_epochs=10)
    never = [frozen(n, 0, {}, TrialState.PRUNED) for n in range(3)]
    mine = [frozen(n + 3, 0, {10: float(n)}) for n in range(3)]
    # Six peers, of whom the better half are the three that are finite.
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
    assert build(Pruner(name="none"), 100).rungs() == ()
    assert build(Pruner(name="halving"), 1).rungs() == ()


def test_hyperband_leagues_judge_later_ones_later_and_compare_within() -> None:
    pruner = HyperbandPruner(90, factor=3, min_epochs=10)
    leagues: dict[int, list[int]] = {}
    for number in range(3000):
        leagues.setdefault(pruner.league(frozen(number, 0, {})), []).append(number)
    # Brackets of 3 * 9 / 3, 3 * 3 / 2 and 3 * 1 / 1 trials, rounded up: 9, 5 and 3 of 17.
    assert [len(leagues[i]) / 3000 for i in range(3)] == pytest.approx([9 / 17, 5 / 17, 3 / 17], abs=0.03)
    first, second, never = leagues[0][:4], leagues[1][:4], leagues[2][:4]
    trials = [
        frozen(n, 0, {10: float(i), 30: float(i)}) for group in (first, second, never) for i, n in enumerate(group)
    ]
    assert pruner.verdicts(trials, 0, 10) == {n: i == 0 for i, n in enumerate(first)}
    assert set(pruner.verdicts(trials, 0, 30)) == {*first, *second}


def test_curve_keeps_a_late_bloomer_that_median_stops_and_stops_what_no_longer_improves() -> None:
    cohort = [
        frozen(0, 0, {8: 0.8, 16: 0.4}),  # halves with each doubling: 0.4 / 2^2 = 0.1 at epoch 64
        frozen(1, 0, {8: 0.2, 16: 0.2}),  # the best so far
        frozen(2, 0, {8: 0.25, 16: 0.25}),  # ended its improvement, behind
        frozen(3, 0, {8: 0.8, 16: 0.6}),  # 0.6 * 0.75^2 = 0.3375
        frozen(4, 0, {8: 0.6, 16: 0.3}),  # 0.3 / 2^2 = 0.075
        frozen(5, 0, {8: 0.22, 16: 0.21}),  # 0.21 * (0.21 / 0.22)^2 = 0.1913
        frozen(6, 0, {8: 0.22, 16: 0.217}),  # 0.217 * (0.217 / 0.22)^2 = 0.2111
    ]
    pruner = CurvePruner(64, min_epochs=None)
    expected = {0: True, 1: True, 2: False, 3: False, 4: True, 5: True, 6: False}
    assert pruner.verdicts(cohort, 0, 16) == expected
    assert pruner.verdicts(cohort[::-1], 0, 16) == expected
    assert not MedianPruner(64, interval=16, min_epochs=16).verdicts(cohort, 0, 16)[0]


def test_curve_measures_by_what_its_cohort_and_earlier_ones_had_at_the_rung() -> None:
    pruner = CurvePruner(64, min_epochs=None)
    # What the first came to later, at epoch 64, is no bar: it was at 0.25 here.
    earlier = [
        frozen(0, 0, {8: 0.5, 16: 0.25, 32: 0.1}, TrialState.COMPLETE, 0.01),
        frozen(1, 0, {8: 0.9, 16: 0.9}, TrialState.PRUNED, 0.9),
    ]
    mine = [frozen(2, 1, {8: 0.8, 16: 0.6}), frozen(3, 1, {8: 0.8, 16: 0.48})]  # to 0.3375 and 0.1728
    later = [frozen(4, 2, {8: 0.01, 16: 0.01}), frozen(5, 2, {}, TrialState.COMPLETE, 0.001)]
    expected = {2: False, 3: True}
    assert pruner.verdicts(earlier + mine + later, 1, 16) == expected
    assert pruner.verdicts(later + mine[::-1] + earlier[::-1], 1, 16) == expected
    assert pruner.verdicts(mine, 1, 16) == {2: True, 3: True}


def test_curve_judges_nobody_before_it_has_seen_a_doubling() -> None:
    pruner = CurvePruner(64, min_epochs=None)
    trials = [frozen(0, 0, {6: 9.0, 8: 9.0, 11: 9.0}), frozen(1, 0, {6: 1.0, 8: 1.0, 11: 1.0})]
    assert pruner.verdicts(trials, 0, 6) == pruner.verdicts(trials, 0, 8) == {0: True, 1: True}
    assert pruner.verdicts(trials, 0, 11) == {0: False, 1: True}


def test_curve_counts_ended_trials_with_their_end_and_never_lets_the_infinite_live() -> None:
    pruner = CurvePruner(64, min_epochs=None)
    trials = [
        frozen(0, 0, {8: 0.1}, TrialState.COMPLETE, 0.05),
        frozen(1, 0, {}, TrialState.PRUNED),
        frozen(2, 0, {8: math.inf, 16: math.nan}),
        frozen(3, 0, {8: math.inf, 16: 7.0}),
        frozen(4, 0, {8: 0.3, 16: 0.2}),  # 0.2 * (2/3)^2 = 0.0889
        frozen(5, 0, {8: 0.3, 16: 0.0}),
    ]
    assert pruner.verdicts(trials[:5], 0, 16) == {2: False, 3: True, 4: False}
    assert pruner.verdicts(trials, 0, 16) == {2: False, 3: True, 4: False, 5: True}
    assert pruner.verdicts([frozen(0, 0, {6: math.inf})], 0, 6) == {0: False}


def test_curve_measures_by_the_best_eighth() -> None:
    pruner = CurvePruner(64, min_epochs=None)
    flat = [frozen(n, 0, {8: 0.1 * (n + 1), 16: 0.1 * (n + 1)}) for n in range(16)]
    assert [n for n, lives in pruner.verdicts(flat, 0, 16).items() if lives] == [0, 1]
    assert [n for n, lives in pruner.verdicts(flat[:15], 0, 16).items() if lives] == [0]


_CURVES = st.lists(st.tuples(*[st.floats(1e-3, 1e3)] * 2), min_size=1, max_size=20)


@given(_CURVES, st.randoms(use_true_random=False))
def test_curve_asks_whether_the_line_on_logarithmic_axes_ends_above_the_best(
    curves: list[tuple[float, float]], random: Random
) -> None:
    reached = [np.minimum.accumulate(curve) for curve in curves]
    trials = [frozen(n, 0, dict(zip((8, 16), map(float, one), strict=True))) for n, one in enumerate(reached)]
    random.shuffle(trials)
    verdicts = CurvePruner(64, min_epochs=None).verdicts(trials, 0, 16)
    best = sorted(one[-1] for one in reached)[1 if len(reached) >= 16 else 0]
    assert sorted(verdicts) == list(range(len(curves)))
    for number, (before, now) in enumerate(reached):
        line = np.polynomial.Polynomial.fit(np.log([8, 16]), np.log([before, now]), 1)
        end = float(np.exp(line(np.log(64))))
        if not math.isclose(end, best, rel_tol=1e-9):
            assert verdicts[number] == (end < best)


def test_curve_in_a_study_depends_on_no_width_and_no_crash(tmp_path: Path) -> None:
    changes = {"pruner": {"name": "curve"}, "set": {"epochs": 24, "hidden": "16", "batch_size": 50}}
    whole = outcome(small(tmp_path, storage="whole.db", **changes).run(observers=[Quiet()]))
    assert {trial[1] for trial in whole} == {TrialState.PRUNED, TrialState.COMPLETE}
    with pytest.raises(Crash):
        small(tmp_path, slots=2, **changes).run(observers=[Quiet(fail_after_epochs=100)])
    assert outcome(small(tmp_path, slots=3, **changes).run(observers=[Quiet()])) == whole


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
