"""A row of a table for each trial of a study: its number, state, value, hyperparameters and summary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from optuna.trial import FrozenTrial

from search.record.curves import SUMMARY
from search.record.feasible import violated
from search.record.objectives import Objectives


def trial_rows(trials: Sequence[FrozenTrial], objectives: Objectives) -> list[dict[str, Any]]:
    """Return the columns of each trial by name: number, state, value, its hyperparameters, best and final metrics.

    With several objectives, the value is the first one, each has a column of its own, and `front` is true for the
    trials of the Pareto front. With constraints, `violates` names those that a trial violates.
    """
    front = {trial.number for trial in objectives.front(trials)}

    def of_several(trial: FrozenTrial) -> dict[str, float | bool]:
        if not objectives.several:
            return {}
        named = zip(objectives.names, trial.values or (), strict=False)
        return {f"values_{name}": at for name, at in named} | {"front": trial.number in front}

    return [
        {"number": trial.number, "state": trial.state.name.lower(), "value": objectives.value(trial)}
        | of_several(trial)
        | trial.params
        | trial.user_attrs.get(SUMMARY, {})
        | ({"violates": ", ".join(violated(trial))} if objectives.constraints else {})
        for trial in trials
    ]
