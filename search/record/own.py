"""The trials that a study has asked itself, among those of its Optuna study.

Any program may add trials to an Optuna study: by `Study.add_trial`, by ask and tell, by copying another study. Samplers
learn from them. They have no curves, nobody can train them again, and they count towards no budget; so tables, reports
and comparisons are about a study's own trials. Those have a ticket, from the moment they are asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial, TrialState

COHORT = "cohort"
"""Trial attribute: the index of the trial's cohort."""
TICKET = "ticket"
"""Trial attribute: the trial's rank among the study's own trials that have not failed."""


def is_own(trial: FrozenTrial) -> bool:
    """Return whether a study has asked this trial itself; a trial that waits in the queue is nobody's yet."""
    return TICKET in trial.user_attrs and trial.state.name != "WAITING"


def own(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Return those trials that their study has asked itself."""
    return [trial for trial in trials if is_own(trial)]


def finished(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that are complete or pruned."""
    return [trial for trial in trials if trial.state.name in ("COMPLETE", "PRUNED")]


def own_trials(study: optuna.Study, states: Collection[TrialState] | None = None) -> list[FrozenTrial]:
    """Return a study's own trials by number, by default in all states."""
    return own(study.get_trials(deepcopy=False, states=None if states is None else tuple(states)))


def added_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the finished trials that another program has added to a study, by number."""
    return [trial for trial in finished(study.get_trials(deepcopy=False)) if not is_own(trial)]
