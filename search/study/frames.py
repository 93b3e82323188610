"""The record of a study as pandas data frames: its trials, their curves."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from search.record.curves import CURVES, Curves
from search.record.own import own_trials
from search.record.rows import trial_rows
from search.study.published import PublishedFigure, compare

if TYPE_CHECKING:
    from search.study.study import BaseStudy


def trials(study: BaseStudy) -> pd.DataFrame:
    """Return one row per trial: number, state, value, its hyperparameters, best and final metrics.

    With several objectives, the value is the first one, each has a column of its own, and `front` is true for the
    trials of the Pareto front.
    """
    return pd.DataFrame(trial_rows(own_trials(study.optuna_study), study.objectives))


def curves(study: BaseStudy) -> pd.DataFrame:
    """Return every trial's curves in long form: trial, replicate, epoch (from 1) and one column per metric."""
    parts = []
    for trial in own_trials(study.optuna_study):
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
