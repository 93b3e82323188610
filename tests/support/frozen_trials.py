"""Trials as the storage has them, without a study."""

from __future__ import annotations

from datetime import datetime

from optuna.trial import FrozenTrial, TrialState

from search.record.own import COHORT, TICKET


def frozen(
    number: int,
    cohort: int,
    reports: dict[int, float],
    state: TrialState = TrialState.RUNNING,
    value: float | None = None,
) -> FrozenTrial:
    """Return a trial of a cohort with the objective at each rung that it has reported."""
    return FrozenTrial(
        number=number,
        state=state,
        value=value,
        datetime_start=datetime(2026, 1, 1),
        datetime_complete=None if state == TrialState.RUNNING else datetime(2026, 1, 2),
        params={},
        distributions={},
        user_attrs={COHORT: cohort, TICKET: number},
        system_attrs={},
        intermediate_values=reports,
        trial_id=number,
    )
