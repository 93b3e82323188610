"""Whether a study has ended before its budget because nothing was left to gain (`search.choose.until`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optuna.trial import TrialState

from search.choose.asking import asked_trials
from search.choose.until import Outlook, stored_outlook
from search.errors import counted
from search.record.own import own_trials

if TYPE_CHECKING:
    from search.study.study import BaseStudy


@dataclass(frozen=True)
class Stopped:
    """The end of a study before its budget was spent; as text, a sentence on why, and on how to go on.

    Attributes:
        outlook: what was left to gain.
        share: the share of the best value below which an improvement does not matter.
        budget: the total number of trials that the study might have had.
        objective: the name of the objective.
    """

    outlook: Outlook
    share: float
    budget: int
    objective: str

    @property
    def unneeded(self) -> int:
        """The number of trials of the budget that were not needed."""
        return self.budget - self.outlook.trials

    def outcome(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        outlook = self.outlook
        return {
            "why": str(self),
            "until": self.share,
            "trials": outlook.trials,
            "unneeded": self.unneeded,
            "complete": outlook.complete,
            "best": outlook.best,
            "bound": outlook.bound,
            "standard_error": outlook.error,
            "matters": outlook.matters(self.share),
        }

    def __str__(self) -> str:
        outlook, percent = self.outlook, f"{100 * self.share:.6g}%"
        matters, remedy = f"{percent} of the best value", "give a smaller --until, or none"
        if (outlook.error or 0.0) > self.share * abs(outlook.best):
            matters, remedy = f"the standard error of the best trial's {self.objective}", "leave out --until"
        return (
            f"stopped after {outlook.trials} of {self.budget} trials (--until {percent}): at most {outlook.bound:.3g}"
            f" is left to gain, by a Gaussian process on {counted(outlook.complete, 'complete trial')}, and {matters}"
            f" is {outlook.matters(self.share):.3g}; {counted(self.unneeded, 'trial')} not needed; to go on, {remedy}"
        )


def stopped(study: BaseStudy, budget: int | None = None) -> Stopped | None:
    """Return how a study has ended before its budget; None if it has not.

    Args:
        study: the study.
        budget: the total number of trials; by default the recipe's.
    """
    share, budget = study.recipe.until, study.budget() if budget is None else budget
    if share is None:
        return None
    trials = asked_trials(own_trials(study.optuna_study))
    if len(trials) >= budget or any(trial.state == TrialState.RUNNING for trial in trials):
        return None
    outlook = stored_outlook(study.optuna_study.user_attrs, len(trials), study.space)
    if outlook is None or not outlook.is_enough(share):
        return None
    return Stopped(outlook, share, budget, study.objectives.first.name)
