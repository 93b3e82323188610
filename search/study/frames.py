"""The record of a study as pandas data frames: its trials, their curves."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from optuna.trial import FrozenTrial

from search.record.curves import CURVES, SUMMARY, Curves
from search.study.published import PublishedFigure, compare

if TYPE_CHECKING:
    from search.study.study import BaseStudy


def trials(study: BaseStudy) -> pd.DataFrame:
    """Return one row per trial: number, state, value, its hyperparameters, best and final metrics.

    With several objectives, the value is the first one, each has a column of its own, and `front` is true for the
    trials of the Pareto front.
    """
    front = {trial.number for trial in study.front}

    def objectives(trial: FrozenTrial) -> dict[str, float | bool]:
        if not study.objectives.several:
            return {}
        named = zip(study.objectives.names, trial.values or (), strict=False)
        return {f"values_{name}": at for name, at in named} | {"front": trial.number in front}

    rows = [
        {"number": trial.number, "state": trial.state.name.lower(), "value": study.objectives.value(trial)}
        | objectives(trial)
        | trial.params
        | trial.user_attrs.get(SUMMARY, {})
        for trial in study.optuna_study.get_trials(deepcopy=False)
    ]
    return pd.DataFrame(rows)


def curves(study: BaseStudy) -> pd.DataFrame:
    """Return every trial's curves in long form: trial, replicate, epoch (from 1) and one column per metric."""
    parts = []
    for trial in study.optuna_study.get_trials(deepcopy=False):
        if CURVES not in trial.user_attrs:
            continue
        record = Curves.decode(trial.user_attrs[CURVES])
        replicate, epoch = np.indices((record.replicates, record.epochs)).reshape(2, -1)
        columns = {name: record.of(name).ravel() for name in record.metrics}
        parts.append(pd.DataFrame({"trial": trial.number, "replicate": replicate, "epoch": epoch + 1} | columns))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["trial", "replicate", "epoch"])


def published(study: BaseStudy) -> pd.DataFrame:
    """Return the published figures with a study's own: setting, metric, theirs, ours, sd, agrees."""
    return pd.DataFrame(compare(study), columns=[field.name for field in fields(PublishedFigure)])
