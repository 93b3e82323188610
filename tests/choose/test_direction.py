"""Choices follow the direction of the objective: with a metric to maximise they are those of the mirrored loss."""

from __future__ import annotations

import math
from random import Random

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from support.frozen_trials import frozen

from search.choose.extending.extended import Extended
from search.choose.pruners import build
from search.errors import RequestError
from search.recipe import Recipe
from search.recipe.schema import Pruner
from search.recipe.space import Space
from search.record.objectives import Objectives
from search.train.metrics.objective import BUILT_IN, Objective

EPOCHS = 64
ACCURACY = Objectives(("val_accuracy",))


def mirrored(trial: FrozenTrial) -> FrozenTrial:
    """Return the trial with 1 minus each of its losses, and minus infinity for infinity."""
    reports = {rung: 1 - loss for rung, loss in trial.intermediate_values.items()}
    value = None if trial.values is None else 1 - trial.values[0]
    return frozen(trial.number, trial.user_attrs["cohort"], reports, trial.state, value)


@pytest.mark.parametrize("name", ["halving", "hyperband", "median", "curve", "forecast", "none"])
@pytest.mark.parametrize("seed", range(4))
def test_a_pruner_judges_an_accuracy_as_it_judges_the_error(name: str, seed: int) -> None:
    """The numbers are multiples of 1/1024, so that 1 minus them is exact."""
    draw = Random(seed)
    losses, accuracies = build(Pruner(name=name), EPOCHS), build(Pruner(name=name), EPOCHS, objectives=ACCURACY)
    rungs = losses.rungs()
    trials = []
    for number in range(60):
        steps = sorted((draw.randint(1, 1023) / 1024 for _ in rungs), reverse=True)
        reports = dict(zip(rungs, steps, strict=True))
        if number < 40:
            trials.append(frozen(number, 0, reports, TrialState.COMPLETE, draw.randint(0, 600) / 1024))
        else:
            kept = {rung: (math.inf if draw.random() < 0.1 else loss) for rung, loss in reports.items()}
            trials.append(frozen(number, 1, kept))
    trials.append(frozen(60, 1, {}, TrialState.PRUNED))
    stopped = 0
    for rung in rungs:
        expected = losses.verdicts(trials, 1, rung)
        assert accuracies.verdicts([mirrored(trial) for trial in trials], 1, rung) == expected
        stopped += sum(not survives for survives in expected.values())
    assert stopped or name == "none"


@pytest.mark.parametrize("name", ["curve", "forecast"])
def test_a_forecast_needs_to_know_what_is_best(name: str) -> None:
    own = (Objective("val_gain", "maximize"),)
    with pytest.raises(RequestError, match=r"best possible val_gain, which is not known: give it with Metric\(best="):
        build(Pruner(name=name), EPOCHS, objectives=Objectives(("val_gain",), own))
    known = Objectives(("val_gain",), (Objective("val_gain", "maximize", 3.0),))
    pruner = build(Pruner(name=name), EPOCHS, objectives=known)
    assert pruner.loss_at(frozen(0, 0, {8: 2.5}), 8) == 0.5


def test_the_pareto_pruner_compares_with_a_constant_predictor_in_the_right_direction() -> None:
    objectives = Objectives(("val_accuracy", "sparsity"))
    pruner = build(Pruner(name="pareto"), 8, objectives=objectives, constant=0.5)

    def running(number: int, accuracy: float) -> FrozenTrial:
        trial = frozen(number, 0, {})
        trial.user_attrs["rung:2"] = {"values": [accuracy, 0.5], "hoped": [accuracy, 0.5]}
        return trial

    trials = [running(0, 0.4), running(1, 0.5), running(2, 0.6), running(3, -math.inf)]
    assert pruner.verdicts(trials, 0, 2) == {0: False, 1: False, 2: True, 3: False}


def test_the_best_trial_at_an_edge_is_the_one_with_the_highest_value() -> None:
    """Of two trials, the better one lies at the upper end and the worse one at the lower."""
    recipe = Recipe.parse({"name": "x", "space": {"lr": {"low": 1e-4, "high": 1e-1, "log": True}}}, "test")
    ranges = {"lr": FloatDistribution(1e-4, 1e-1, log=True)}
    trials = [
        create_trial(params={"lr": lr}, distributions=ranges, value=value) for lr, value in ((1e-4, 0.2), (1e-1, 0.9))
    ]
    space = Space.resolve(recipe, [])
    (lower,) = Extended(recipe, space).warnings(trials)
    (upper,) = Extended(recipe, space, aim=BUILT_IN["val_f1"]).warnings(trials)
    assert "lower end" in lower
    assert "upper end" in upper
