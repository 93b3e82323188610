"""The order of trials, against cases that were worked out by hand."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from support.frozen_trials import frozen

from search.record.curves import DIVERGED_AT
from search.record.objectives import Objectives
from search.record.ranking import evenly, ranked


def complete(number: int, *values: float, **attributes: Any) -> FrozenTrial:
    trial = frozen(number, 0, {}, TrialState.COMPLETE, values[0] if len(values) == 1 else None)
    if len(values) > 1:
        trial.values = list(values)
    trial.user_attrs.update(attributes)
    return trial


def test_one_objective_ranks_feasible_then_stopped_then_infeasible_trials() -> None:
    study = optuna.create_study()
    violating = study.ask()
    violating.set_constraint("sparsity > 0.5", 0.2)
    study.tell(violating, 0.01)
    (broken,) = study.trials
    broken.number = 6
    trials = [
        complete(0, 0.5),
        complete(1, 0.3),
        complete(2, 0.1, **{DIVERGED_AT: 4}),
        frozen(3, 0, {2: 0.7, 6: 0.4}, TrialState.PRUNED, 0.4),
        frozen(4, 0, {2: 0.2}, TrialState.PRUNED, 0.2),
        complete(5, 0.3),
        broken,
        frozen(7, 0, {2: 0.2}),
        frozen(8, 0, {}, TrialState.FAIL),
    ]
    # The diverged trial has reported nothing here, so it comes after those that a rung has stopped.
    assert [trial.number for trial in ranked(Objectives(), trials)] == [1, 5, 0, 3, 4, 2, 6]
    accuracy = Objectives(("val_accuracy",))
    assert [trial.number for trial in ranked(accuracy, trials[:2])] == [0, 1]


def test_several_objectives_rank_front_by_front() -> None:
    # (0, 3), (1, 1) and (3, 0) are the front; (1, 2) and (2, 1) are that of the others, and (3, 3) is left.
    values = [(3.0, 3.0), (2.0, 1.0), (3.0, 0.0), (1.0, 1.0), (1.0, 2.0), (0.0, 3.0)]
    trials = [complete(number, *both) for number, both in enumerate(values)]
    objectives = Objectives(("val_loss", "weight_norm"))
    assert [trial.number for trial in ranked(objectives, trials)] == [5, 3, 2, 4, 1, 0]


def test_evenly_keeps_both_ends() -> None:
    assert evenly([0, 1, 2, 3, 4, 5, 6], 3) == [0, 3, 6]
    assert evenly([0, 1], 3) == [0, 1]
