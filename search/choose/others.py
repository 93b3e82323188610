"""Trials that another program has put into a study: by adding finished ones, or by enqueueing values to try."""

from __future__ import annotations

from optuna.trial import FrozenTrial, TrialState, create_trial

from search.recipe.space import Space

ENQUEUED = "fixed_params"
"""Optuna's system attribute for the values that `Study.enqueue_trial` was given."""


def as_drawn(trial: FrozenTrial, space: Space) -> FrozenTrial | None:
    """Return a finished trial of another program as if it were drawn from the space; None if it does not fit.

    It fits if it has a value in each range of the space. Other parameters are left out: samplers draw jointly only what
    all trials have.
    """
    if trial.state not in (TrialState.COMPLETE, TrialState.PRUNED) or space.complete(trial.params) is None:
        return None
    drawn = {name: value for name, value in trial.params.items() if name in space.searched}
    try:
        same = create_trial(
            state=trial.state,
            values=trial.values,
            params=drawn,
            distributions={name: space.searched[name] for name in drawn},
            intermediate_values=trial.intermediate_values,
        )
    except ValueError:  # a value lies outside its range
        return None
    same.number = trial.number
    return same
