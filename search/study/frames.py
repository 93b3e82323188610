"""A study's record as tables of pandas: its trials, their curves."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from optuna.trial import FrozenTrial

from search.record.curves import CURVES, SUMMARY, Curves
from search.record.objectives import value
from search.study.published import Figure, compare

if TYPE_CHECKING:
    from search.study.study import BaseStudy


def trials(study: BaseStudy) -> pd.DataFrame:
    """One row per trial: number, state, value, its hyperparameters, best and final metrics.

    Of several objectives the value is the first; then each has a column, and `front` tells the trials of their front.
    """
    front = {trial.number for trial in study.front}

    def objectives(trial: FrozenTrial) -> dict[str, float | bool]:
        if not study.objectives.several:
            return {}
        named = zip(study.objectives.names, trial.values or (), strict=False)
        return {f"values_{name}": found for name, found in named} | {"front": trial.number in front}

    rows = [
        {"number": trial.number, "state": trial.state.name.lower(), "value": value(trial)}
        | objectives(trial)
        | trial.params
        | trial.user_attrs.get(SUMMARY, {})
        for trial in study.optuna_study.get_trials(deepcopy=False)
    ]
    return pd.DataFrame(rows)


def curves(study: BaseStudy) -> pd.DataFrame:
    """Every trial's curves in long form: trial, replicate, epoch (from 1) and one column per metric."""
    parts = []
    for trial in study.optuna_study.get_trials(deepcopy=False):
        if CURVES not in trial.user_attrs:
            continue
        found = Curves.decode(trial.user_attrs[CURVES])
        replicate, epoch = np.indices((found.replicates, found.epochs)).reshape(2, -1)
        columns = {name: found.of(name).ravel() for name in found.metrics}
        parts.append(pd.DataFrame({"trial": trial.number, "replicate": replicate, "epoch": epoch + 1} | columns))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["trial", "replicate", "epoch"])


def published(study: BaseStudy) -> pd.DataFrame:
    """The published figures beside a study's own: setting, metric, theirs, ours, sd, agrees."""
    return pd.DataFrame(compare(study), columns=[field.name for field in fields(Figure)])
