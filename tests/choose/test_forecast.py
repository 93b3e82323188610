"""Verdicts of the pruners that forecast, worked out by hand (contract C5, docs/design.md)."""

from __future__ import annotations

import math
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState
from support.frozen_trials import frozen
from support.small_studies import Crash, Quiet, outcome, small

from search.choose.forecast import CurvePruner, ForecastPruner
from search.choose.pruners import MedianPruner


def test_curve_keeps_a_late_bloomer_that_median_stops_and_stops_what_no_longer_improves() -> None:
    cohort = [
        frozen(0, 0, {8: 0.8, 16: 0.4}),  # halves with each doubling: 0.4 / 2^2 = 0.1 at epoch 64
        frozen(1, 0, {8: 0.2, 16: 0.2}),  # the best so far
        frozen(2, 0, {8: 0.25, 16: 0.25}),  # no longer improves, and is behind
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
    # The final value of the first does not count: at this rung it was at 0.25.
    earlier = [
        frozen(0, 0, {8: 0.5, 16: 0.25, 32: 0.1}, TrialState.COMPLETE, 0.01),
        frozen(1, 0, {8: 0.9, 16: 0.9}, TrialState.PRUNED, 0.9),
    ]
    mine = [frozen(2, 1, {8: 0.8, 16: 0.6}), frozen(3, 1, {8: 0.8, 16: 0.48})]  # the forecasts are 0.3375 and 0.1728
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


@pytest.mark.parametrize("name", ["curve", "forecast"])
def test_a_rule_that_forecasts_depends_on_no_width_and_no_crash(name: str, tmp_path: Path) -> None:
    changes = {"pruner": {"name": name}, "set": {"epochs": 24, "hidden": "16", "batch_size": 50}}
    whole = outcome(small(tmp_path, storage="whole.db", **changes).run(observers=[Quiet()]))
    assert {trial[1] for trial in whole.trials} == {TrialState.PRUNED, TrialState.COMPLETE}
    with pytest.raises(Crash):
        small(tmp_path, slots=2, **changes).run(observers=[Quiet(fail_after_epochs=100)])
    assert outcome(small(tmp_path, slots=3, **changes).run(observers=[Quiet()])) == whole


def test_forecast_asks_for_the_best_twelfth_of_all_peers() -> None:
    pruner = ForecastPruner(64, min_epochs=None)
    flat = [frozen(n, 0, {8: 0.1 * (n + 1), 16: 0.1 * (n + 1)}) for n in range(24)]
    assert [n for n, lives in pruner.verdicts(flat, 0, 16).items() if lives] == [0, 1]
    assert [n for n, lives in pruner.verdicts(flat[:23], 0, 16).items() if lives] == [0]
    # It halves with each doubling, so it may end at 1.6 / 2^2 = 0.4: of 25 peers the second best has 0.2.
    assert not pruner.verdicts([*flat, frozen(24, 0, {8: 3.2, 16: 1.6})], 0, 16)[24]
    assert pruner.verdicts([*flat, frozen(24, 0, {8: 1.6, 16: 0.8})], 0, 16)[24]


def test_forecast_counts_pruned_trials_as_the_worst() -> None:
    pruner = ForecastPruner(64, min_epochs=None)
    pruned = [frozen(n, 0, {6: 0.01}, TrialState.PRUNED, 0.01) for n in range(20)]
    mine = [frozen(20 + n, 1, {8: 0.1 * (n + 1), 16: 0.1 * (n + 1)}) for n in range(4)]
    later = [frozen(30 + n, 2, {8: 0.01, 16: 0.01}) for n in range(4)]
    # Of 24 peers the best twelfth are two, none of which is pruned; of 4, it would be one.
    expected = {20: True, 21: True, 22: False, 23: False}
    assert pruner.verdicts(pruned + mine + later, 1, 16) == expected
    assert pruner.verdicts(later + mine[::-1] + pruned, 1, 16) == expected
    assert pruner.verdicts(mine, 1, 16) == {20: True, 21: False, 22: False, 23: False}


def _finished(count: int) -> list[FrozenTrial]:
    """Return trials that all have a pause from epoch 11 to 16, and then improve to the same share, 0.5 to 0.52."""
    return [
        frozen(n, 0, {8: 2.0 + n, 11: 1.0 + n, 16: 1.0 + n}, TrialState.COMPLETE, (1.0 + n) * (0.5 + 0.02 * (n % 2)))
        for n in range(count)
    ]


def test_forecast_learns_from_ten_finished_peers_how_much_improvement_is_left() -> None:
    pruner = ForecastPruner(64, min_epochs=None)
    # Its own curve says that it may end at 1.3 (1.3/2.6)^2 = 0.325. The peers say 0.65 to 0.676, and the best has 0.5.
    mine = frozen(99, 1, {8: 2.6, 11: 1.3, 16: 1.3})
    assert pruner.verdicts([*_finished(9), mine], 1, 16) == {99: True}
    assert pruner.verdicts([*_finished(10), mine], 1, 16) == {99: False}
    # From 0.9 it would come to 0.45 to 0.47.
    assert pruner.verdicts([*_finished(10), frozen(99, 1, {8: 1.8, 11: 0.9, 16: 0.9})], 1, 16) == {99: True}


def test_forecast_counts_finished_peers_that_are_alike_once() -> None:
    pruner = ForecastPruner(64, min_epochs=None)
    alike = [frozen(50 + n, 0, {8: 2.0, 11: 1.0, 16: 1.0}, TrialState.COMPLETE, 0.5) for n in range(9)]
    mine = frozen(99, 1, {8: 2.6, 11: 1.3, 16: 1.3})
    assert pruner.verdicts([*_finished(9), *alike, mine], 1, 16) == {99: True}
    # A trial that ended by itself before the rung says nothing of what comes after it.
    short = [frozen(50 + n, 0, {8: 2.0, 11: 1.0}, TrialState.COMPLETE, 0.7 + 0.01 * n) for n in range(9)]
    assert pruner.verdicts([*_finished(9), *short, mine], 1, 16) == {99: True}


_LOSSES = st.lists(st.tuples(*[st.floats(0.01, 1.0)] * 4), min_size=12, max_size=30, unique_by=lambda one: one[-1])


@given(_LOSSES)
def test_forecast_by_finished_peers_is_the_lower_bound_of_the_textbook_regression(
    losses: list[tuple[float, ...]],
) -> None:
    """The independent computation is by the normal equations with an intercept, and without the slight ridge."""
    curves = np.minimum.accumulate(np.array(losses), axis=1)
    *peers, mine = curves.tolist()
    trials = [
        frozen(n, 0, {8: one[0], 11: one[1], 16: one[2]}, TrialState.COMPLETE, one[3]) for n, one in enumerate(peers)
    ]
    pruner = ForecastPruner(64, min_epochs=None)
    ends = {one[3]: one for one in peers}
    x = np.log([[one[2] / one[0], one[2] / one[1]] for one in ends.values()])
    y = np.log([one[3] / one[2] for one in ends.values()])
    design = np.column_stack([np.ones(len(x)), x])
    # Of peers that end alike one counts; which one is nobody's business.
    if len(ends) < max(10, len(peers)) or np.linalg.cond(design.T @ design) > 1e3:
        return
    inverse = np.linalg.inv(design.T @ design)
    weights = inverse @ design.T @ y
    variance = ((y - design @ weights) ** 2).sum() / (len(y) - 3)
    point = np.array([1.0, np.log(mine[2] / mine[0]), np.log(mine[2] / mine[1])])
    bound = point @ weights - 1.5 * np.sqrt(variance * (1 + point @ inverse @ point))
    forecast = mine[2] * np.exp(min(bound, 0))
    survives = pruner.verdicts([*trials, frozen(99, 1, {8: mine[0], 11: mine[1], 16: mine[2]})], 1, 16)[99]
    bar = sorted(one[2] for one in [*peers, mine])[max(1, (len(peers) + 1) // 12) - 1]
    first = mine[2] * (mine[2] / mine[0]) ** 2 <= bar
    if abs(np.log(forecast / min(ends))) > 0.05:
        assert survives == (first and forecast <= min(ends))


def test_forecast_judges_nobody_before_it_has_seen_a_doubling_and_never_lets_the_infinite_live() -> None:
    pruner = ForecastPruner(64, min_epochs=None)
    finite = [frozen(0, 0, {6: 9.0, 8: 9.0, 11: 9.0}), frozen(1, 0, {6: 1.0, 8: 1.0, 11: 1.0})]
    assert pruner.verdicts([*finite, frozen(2, 0, {6: math.nan})], 0, 6) == {0: True, 1: True, 2: False}
    assert pruner.verdicts(finite, 0, 8) == {0: True, 1: True}
    assert pruner.verdicts(finite, 0, 11) == {0: False, 1: True}
    assert pruner.verdicts([frozen(0, 0, {16: math.inf, 32: math.inf})], 0, 32) == {0: False}
    infinite = frozen(99, 1, {8: math.inf, 11: math.inf, 16: math.inf})
    assert pruner.verdicts([*_finished(10), infinite, frozen(98, 1, {8: 0.5, 11: 0.0, 16: 0.0})], 1, 16) == {
        98: True,
        99: False,
    }


@given(st.integers(1, 200), st.data())
def test_forecast_always_keeps_a_finite_trial_of_a_first_cohort(epochs: int, data: st.DataObject) -> None:
    pruner = ForecastPruner(epochs, min_epochs=None)
    steps = st.lists(st.floats(1e-3, 1e3), min_size=len(pruner.rungs()), max_size=len(pruner.rungs()))
    curves = [np.minimum.accumulate(curve) for curve in data.draw(st.lists(steps, min_size=1, max_size=8))]
    for place, rung in enumerate(pruner.rungs()):
        reports = [dict(zip(pruner.rungs(), map(float, curve[: place + 1]), strict=False)) for curve in curves]
        trials = [frozen(n, 0, one) for n, one in enumerate(reports)]
        assert any(pruner.verdicts(trials, 0, rung).values())
