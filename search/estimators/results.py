"""The trials of a study in the form of scikit-learn's searches: `cv_results_`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import rankdata

from search.record import summary
from search.record.curves import CURVES, Curves
from search.record.feasible import violated
from search.record.own import own_trials
from search.study.study import BaseStudy


@dataclass(frozen=True, eq=False)
class Results:
    """The results of a search; a score is the first objective, or minus it where less is better.

    Attributes:
        table: a column of values for each key, as in `sklearn.model_selection.GridSearchCV.cv_results_`, and `state`;
            with constraints, `violates` too. A trial that was pruned has no scores.
        best: the index of the best trial in it.
    """

    table: dict[str, Any]
    best: int


def of(study: BaseStudy) -> Results:
    """Return the results of a study that has a complete trial."""
    trials = own_trials(study.optuna_study, [TrialState.COMPLETE, TrialState.PRUNED])
    splits = np.stack([_scores(study, trial) for trial in trials])
    means = splits.mean(axis=1)
    table: dict[str, Any] = {f"split{number}_test_score": scores for number, scores in enumerate(splits.T)}
    table |= {"mean_test_score": means, "std_test_score": splits.std(axis=1), "rank_test_score": _ranks(means)}
    for name in dict.fromkeys(name for trial in trials for name in trial.params):
        values = np.array([trial.params.get(name) for trial in trials], dtype=object)
        table[f"param_{name}"] = np.ma.MaskedArray(values, mask=[name not in trial.params for trial in trials])
    table["params"] = [dict(trial.params) for trial in trials]
    table["state"] = np.array([trial.state.name.lower() for trial in trials])
    if study.recipe.constraints:
        table["violates"] = np.array([", ".join(violated(trial)) for trial in trials], dtype=object)
    assert study.best is not None
    return Results(table, [trial.number for trial in trials].index(study.best.number))


def _scores(study: BaseStudy, trial: FrozenTrial) -> NDArray[np.float64]:
    """Return a trial's score on each fold, the mean over its replicates there; NaN if it was pruned."""
    folds = len(study.batches.folds)
    if trial.state != TrialState.COMPLETE:
        return np.full(folds, np.nan)
    aim = study.objectives.first
    values = -aim.sign * summary.objectives(Curves.decode(trial.user_attrs[CURVES]), aim)
    return np.array([values[fold::folds].mean() for fold in range(folds)])


def _ranks(means: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return the rank of each mean, the best one 1; all without a score share the last rank."""
    known = np.where(np.isnan(means), np.nanmin(means) - 1, means)
    ranks: NDArray[np.int32] = rankdata(-known, method="min").astype(np.int32)
    return ranks
