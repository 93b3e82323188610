"""Verdicts of the pruners that forecast, worked out by hand (contract C5, docs/design.md)."""

from __future__ import annotations

import math
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState
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
    assert {trial[1] for trial in whole} == {TrialState.PRUNED, TrialState.COMPLETE}
    with pytest.raises(Crash):
        small(tmp_path, slots=2, **changes).run(observers=[Quiet(fail_after_epochs=100)])
    assert outcome(small(tmp_path, slots=3, **changes).run(observers=[Quiet()])) == whole


def test_forecast_before_half_time_asks_for_the_best_twelfth_of_all_peers() -> None:
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
    # Of 24 peers the best twelfth are two, none of which is pruned; of 4, it would be one.
    assert pruner.verdicts(pruned + mine, 1, 16) == {20: True, 21: True, 22: False, 23: False}
    assert pruner.verdicts(mine, 1, 16) == {20: True, 21: False, 22: False, 23: False}
    # At half time, a third of 24 are eight, and the four are among them; the best twelfth still counts.
    later = [frozen(20 + n, 1, {16: 0.1 * (n + 1), 32: 0.1 * (n + 1)}) for n in range(4)]
    assert pruner.verdicts(pruned + later, 1, 32) == {20: True, 21: True, 22: False, 23: False}


def test_forecast_from_half_time_on_keeps_the_best_third_of_the_forecasts() -> None:
    pruner = ForecastPruner(64, min_epochs=None)
    cohort = [
        frozen(0, 0, {16: 0.9, 32: 0.5}),  # 0.5 * (5/9) = 0.2778
        frozen(1, 0, {16: 0.8, 32: 0.44}),  # 0.44 * 0.55 = 0.242
        frozen(2, 0, {16: 0.4, 32: 0.4}),  # has stopped at 0.4, the best so far
        frozen(3, 0, {16: 0.5, 32: 0.45}),  # 0.45 * 0.9 = 0.405
        frozen(4, 0, {16: 0.6, 32: 0.45}),  # 0.45 * 0.75 = 0.3375
        frozen(5, 0, {16: 0.7, 32: 0.49}),  # 0.49 * 0.7 = 0.343
    ]
    expected = {0: True, 1: True, 2: False, 3: False, 4: False, 5: False}
    assert pruner.verdicts(cohort, 0, 32) == expected
    assert pruner.verdicts(cohort[::-1], 0, 32) == expected
    # Before half time all but one of the same forecasts go on, because they reach 0.4.
    early = [frozen(t.number, 0, {8: t.intermediate_values[16], 16: t.intermediate_values[32]}) for t in cohort]
    assert pruner.verdicts(early, 0, 16) == {0: True, 1: True, 2: True, 3: True, 4: True, 5: True}


def test_forecast_knows_earlier_peers_and_no_later_ones() -> None:
    pruner = ForecastPruner(64, min_epochs=None)
    earlier = [
        frozen(0, 0, {16: 0.4, 32: 0.2, 45: 0.19}, TrialState.COMPLETE, 0.19),  # its forecast at the rung was 0.1
        frozen(1, 0, {16: 0.5}, TrialState.COMPLETE, 0.15),  # it has ended by itself, so it will have 0.15
        frozen(2, 0, {16: 0.5, 32: 0.5}, TrialState.PRUNED, 0.5),
        frozen(3, 0, {}, TrialState.PRUNED),
    ]
    mine = [frozen(4, 1, {16: 0.4, 32: 0.22}), frozen(5, 1, {16: 0.4, 32: 0.25})]  # the forecasts: 0.121 and 0.15625
    later = [frozen(n, 2, {16: 0.01, 32: 0.01}) for n in (6, 7, 8)]
    # The forecasts of the six peers are 0.1, 0.15, 0.5, infinite, 0.121 and 0.15625; the best third are two.
    expected = {4: True, 5: False}
    assert pruner.verdicts(earlier + mine + later, 1, 32) == expected
    assert pruner.verdicts(later + mine[::-1] + earlier[::-1], 1, 32) == expected


def test_forecast_judges_nobody_before_it_has_seen_a_doubling_and_never_lets_the_infinite_live() -> None:
    pruner = ForecastPruner(64, min_epochs=None)
    trials = [
        frozen(0, 0, {3: 9.0, 4: 9.0, 6: 9.0}),
        frozen(1, 0, {3: 1.0, 4: 1.0, 6: 1.0}),
        frozen(2, 0, {3: math.nan}),
    ]
    assert pruner.verdicts(trials, 0, 3) == {0: True, 1: True, 2: False}
    assert pruner.verdicts(trials, 0, 4) == {0: True, 1: True}
    assert pruner.verdicts(trials, 0, 6) == {0: False, 1: True}
    assert pruner.verdicts([frozen(0, 0, {16: math.inf, 32: math.inf})], 0, 32) == {0: False}
    assert pruner.verdicts([frozen(0, 0, {16: math.inf, 32: 5.0})], 0, 32) == {0: True}


@given(st.integers(1, 200), st.data())
def test_forecast_always_keeps_a_finite_trial_of_a_first_cohort(epochs: int, data: st.DataObject) -> None:
    pruner = ForecastPruner(epochs, min_epochs=None)
    steps = st.lists(st.floats(1e-3, 1e3), min_size=len(pruner.rungs()), max_size=len(pruner.rungs()))
    curves = [np.minimum.accumulate(curve) for curve in data.draw(st.lists(steps, min_size=1, max_size=8))]
    for place, rung in enumerate(pruner.rungs()):
        reports = [dict(zip(pruner.rungs(), map(float, curve[: place + 1]), strict=False)) for curve in curves]
        trials = [frozen(n, 0, one) for n, one in enumerate(reports)]
        verdicts = pruner.verdicts(trials, 0, rung)
        assert any(verdicts.values())
