"""Objectives and fronts, compared with Optuna's front, with counted cells and with cases worked out by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState, create_trial

from search.record import summary
from search.record.curves import Curves
from search.record.objectives import VAL_LOSS, Objectives, dominated, front, hypervolume, reported

POINTS = st.integers(2, 3).flatmap(
    lambda dimensions: st.lists(st.tuples(*[st.integers(0, 6)] * dimensions), min_size=1, max_size=12)
)


@given(POINTS)
def test_the_front_is_optunas(points: list[tuple[int, ...]]) -> None:
    names = ("val_loss", "sparsity", "weight_norm")[: len(points[0])]
    objectives = Objectives(names)
    study = optuna.create_study(directions=objectives.directions)
    study.add_trials([create_trial(values=[float(one) for one in point]) for point in points])
    found = objectives.front(study.trials)
    theirs = {tuple(trial.values) for trial in study.best_trials}
    # Of equal trials, the front has only the first, and Optuna's has all.
    assert len(found) == len(theirs)
    assert {tuple(trial.values) for trial in found} == theirs
    assert [trial.values[0] for trial in found] == sorted(trial.values[0] for trial in found)
    assert all(trial.number == min(t.number for t in study.trials if t.values == trial.values) for trial in found)


@given(POINTS)
def test_the_hypervolume_is_that_of_the_cells_below_some_point(points: list[tuple[int, ...]]) -> None:
    bound = [5] * len(points[0])
    cells = itertools.product(range(5), repeat=len(bound))
    inside = [cell for cell in cells if any(all(p <= c for p, c in zip(point, cell, strict=True)) for point in points)]
    assert hypervolume(np.array(points, dtype=float), bound) == pytest.approx(len(inside))


def test_one_objective_is_a_front_of_one() -> None:
    assert front(np.array([[3.0], [1.0], [2.0], [1.0]])) == [1]
    assert front(np.empty((0, 1))) == []
    assert hypervolume(np.array([[3.0], [1.0]]), [4.0]) == 3.0


def test_to_dominate_is_to_be_no_worse_and_somewhere_better() -> None:
    losses = np.array([[1.0, 1.0], [1.0, 2.0], [2.0, 1.0], [0.0, 3.0], [1.0, 1.0]])
    assert [dominated(one, losses) for one in losses] == [0, 2, 2, 0, 0]


def curves(loss: list[list[float]], sparsity: list[list[float]]) -> Curves:
    return Curves(("val_loss", "sparsity"), np.array([loss, sparsity], dtype=np.float32))


def test_all_objectives_are_those_of_each_replicates_best_epoch() -> None:
    objectives = Objectives(("val_loss", "sparsity"))
    found = curves([[3.0, 1.0, 2.0], [4.0, 3.0, 2.0]], [[0.0, 0.25, 0.5], [0.0, 0.25, 0.75]])
    assert objectives.of(found) == [1.5, 0.5]
    assert objectives.losses([[1.5, 0.5]]).tolist() == [[1.5, -0.5]]
    never = curves([[math.nan, math.inf]], [[0.5, 0.5]])
    assert objectives.of(never)[0] == math.inf


def test_what_is_reported_at_a_rung_is_read_again() -> None:
    study = optuna.create_study(directions=["minimize", "maximize"])
    trial = study.ask()
    # The second epoch is the best one; the weights are sparser at the third.
    objectives = Objectives(("val_loss", "sparsity"))
    objectives.report(trial, 3, curves([[3.0, 1.0, 2.0]], [[0.0, 0.25, 0.5]]))
    assert reported(study.trials[0]) == {3: [1.0, 0.25]}
    assert study.trials[0].user_attrs["rung:3"]["hoped"] == [1.0, 0.5]
    alone = optuna.create_study()
    trial = alone.ask()
    VAL_LOSS.report(trial, 2, curves([[3.0, 1.0]], [[0.0, 0.25]]))
    assert reported(alone.trials[0]) == alone_reported(alone) == {2: [1.0]}


def alone_reported(study: optuna.Study) -> dict[int, list[float]]:
    return {step: [one] for step, one in study.trials[0].intermediate_values.items()}


def test_a_pruned_trials_value_is_its_best_so_far() -> None:
    # In a study of several objectives, Optuna stores no value with a pruned trial.
    pruned = create_trial(state=TrialState.PRUNED, user_attrs={"summary": {"best_val_loss": 0.5}})
    assert VAL_LOSS.value(pruned) == 0.5
    assert VAL_LOSS.value(create_trial(state=TrialState.PRUNED, value=0.25)) == 0.25
    assert VAL_LOSS.value(create_trial(values=[0.125, 0.9])) == 0.125
    assert VAL_LOSS.value(create_trial(state=TrialState.FAIL)) is None


F1 = Objectives(("val_f1", "sparsity"))


def scored(f1: list[list[float]], loss: list[list[float]], sparsity: list[list[float]]) -> Curves:
    return Curves(("val_loss", "val_f1", "sparsity"), np.array([loss, f1, sparsity], dtype=np.float32))


def test_an_objective_to_maximise_is_best_where_it_is_highest_and_the_loss_is_finite() -> None:
    """The first replicate's highest value lies after its divergence, and the second's at its highest loss."""
    found = scored(
        [[0.25, 0.5, 0.875], [0.75, 0.5, 0.25]], [[3.0, 1.0, math.nan], [4.0, 3.0, 2.0]], [[0.0, 0.5, 0.75]] * 2
    )
    assert F1.directions == ["maximize", "maximize"]
    assert F1.of(found) == [(0.5 + 0.75) / 2, (0.5 + 0.0) / 2]
    assert summary.best_epochs(found, F1.first).tolist() == [2, 1]
    assert summary.objective_so_far(found, F1.first).tolist() == [0.5, 0.625, 0.625]
    assert summary.diverged_at(found) == 3
    summarised = summary.summarise(found, F1.first)
    assert summarised["best_val_f1"] == 0.625
    assert summarised["best_val_loss"] == (1.0 + 4.0) / 2
    assert summarised["final_val_f1"] == (0.875 + 0.25) / 2
    never = scored([[0.5, 0.5]], [[math.nan, math.inf]], [[0.5, 0.5]])
    assert F1.of(never)[0] == -math.inf


def test_the_front_of_objectives_to_maximise_is_optunas() -> None:
    study = optuna.create_study(directions=F1.directions)
    points = [(0.5, 0.5), (0.75, 0.25), (0.25, 0.75), (0.5, 0.25), (0.75, 0.125)]
    study.add_trials([create_trial(values=point) for point in points])
    assert [tuple(trial.values) for trial in F1.front(study.trials)] == [(0.75, 0.25), (0.5, 0.5), (0.25, 0.75)]
    assert {tuple(trial.values) for trial in study.best_trials} == set(points[:3])


def test_what_can_be_hoped_follows_each_direction() -> None:
    objectives = Objectives(("val_f1", "val_brier"))
    study = optuna.create_study(directions=objectives.directions)
    found = Curves(("val_loss", "val_f1", "val_brier"), np.array([[[1, 1]], [[0.5, 0.25]], [[0.5, 0.25]]], np.float32))
    objectives.report(study.ask(), 2, found)
    assert study.trials[0].user_attrs["rung:2"] == {"values": [0.5, 0.5], "hoped": [0.5, 0.25]}


def test_the_directions_of_a_stored_study_are_those_it_has() -> None:
    directions = [optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE]
    stored = Objectives.stored({"objective": ["val_gain", "val_loss"]}, directions)
    assert stored.names == ("val_gain", "val_loss")
    assert stored.directions == ["maximize", "minimize"]
    assert Objectives.stored({}, directions[1:]) == VAL_LOSS
