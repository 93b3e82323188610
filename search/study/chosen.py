"""Which trial of a study is taken where nobody names one: the one that it has decided for, or else its best one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial

from search.record.decision import Decision, kept
from search.record.own import own_trials

if TYPE_CHECKING:
    from search.study.study import BaseStudy


def decided(study: BaseStudy) -> Decision | None:
    """Return what the study has decided about the trials that it has now; None if it has not decided."""
    return kept(study.optuna_study.user_attrs, study.optuna_study.get_trials(deepcopy=False))


def chosen_trial(study: BaseStudy) -> FrozenTrial | None:
    """Return the trial that the study has decided for, or else the best one; None without a feasible trial."""
    if (decision := decided(study)) is None:
        return study.best
    return next(trial for trial in own_trials(study.optuna_study) if trial.number == decision.chosen)
