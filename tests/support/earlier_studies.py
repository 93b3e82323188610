"""Studies made by hand, without training, from which others begin."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optuna.trial import TrialState, create_trial

from search import Study
from search.recipe import Recipe
from search.record.own import COHORT, TICKET

LOG: dict[str, Any] = {"low": 1e-6, "high": 1e-1, "log": True}


def earlier_study(
    folder: Path, name: str, trials: list[tuple[Mapping[str, Any], float | list[float]]], **fields: Any
) -> Study:
    """Return a study of that name, on the wine data, with complete trials of these parameters and values."""
    recipe = Recipe.parse({"name": name, "data": {"dataset": "wine"}, "techniques": ["l2"], **fields}, name)
    storage = f"sqlite:///{folder / 'study.db'}"
    study = Study(recipe, study_name=name, storage=storage, tracking_uri=None, device="cpu")
    _ = study.optuna_study
    for params, value in trials:
        add_trial(study, params, value)
    return study


def add_trial(
    study: Study,
    params: Mapping[str, Any],
    value: float | list[float] | None,
    state: TrialState = TrialState.COMPLETE,
    **more: Any,
) -> None:
    """Add a trial of the study's own, as if it had been trained; `more` are arguments of `create_trial`."""
    opened = study.optuna_study
    number = len(opened.trials)
    attributes = {TICKET: number, COHORT: number // 8, **more.pop("user_attrs", {})}
    trial = create_trial(
        state=state,
        values=[value] if isinstance(value, float) else value,
        params=dict(params),
        distributions={one: study.space.searched[one] for one in params},
        user_attrs=attributes,
        **more,
    )
    opened.add_trial(trial)
