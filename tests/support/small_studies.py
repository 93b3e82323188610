"""Studies for tests: small, without MLflow, comparable as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from search import Study
from search.recipe import Recipe
from search.record.curves import CURVES, SUMMARY
from search.record.observer import Asked
from search.train.cohort import Member

SMALL: dict[str, Any] = {
    "name": "small",
    "techniques": ["l2"],
    "trials": 12,
    "ask_batch": 4,
    "pruner": {"name": "halving", "reduction_factor": 2, "min_epochs": 2},
    "data": {"dataset": "wine"},
    "set": {"epochs": 6, "hidden": "16", "batch_size": 50},
    "space": {"l2": {"low": 1e-6, "high": 1e-1, "log": True}, "lr": {"low": 1e-4, "high": 1e-1, "log": True}},
}

ALONE: dict[str, Any] = {"ask_batch": 2, "grid_points": 3, "pruner": {"name": "none"}}
"""Changes after which no trial depends on another."""


def small(
    folder: Path, *, storage: str = "study.db", slots: int | str = "auto", checkpoint: bool = False, **changes: Any
) -> Study:
    """A study on wine, in its own database."""
    recipe = Recipe.parse(SMALL | changes, "test")
    url = f"sqlite:///{folder / storage}"
    return Study(recipe, storage=url, tracking_uri=None, device="cpu", slots=slots, checkpoint=checkpoint)


class Quiet:
    """An observer that notes what happens, and raises where it is told to."""

    def __init__(self, *, fail_after_epochs: int | None = None, fail_after_told: int | None = None) -> None:
        self.epochs = 0
        self.told_numbers: list[int] = []
        self._fail_after_epochs, self._fail_after_told = fail_after_epochs, fail_after_told

    def asked(self, cohort: Sequence[Asked]) -> None: ...

    def epoch(self, members: Sequence[Member]) -> None:
        self.epochs += len(members)
        if self._fail_after_epochs is not None and self.epochs >= self._fail_after_epochs:
            raise Crash

    def told(self, number: int, state: TrialState, value: float | None) -> None:
        del state, value
        self.told_numbers.append(number)
        if self._fail_after_told is not None and len(self.told_numbers) >= self._fail_after_told:
            raise Crash


class Crash(BaseException):
    """The process dies here."""


def outcome(study: Study) -> list[Any]:
    """All that a study came to, except when: trials that failed left out, numbers as ranks."""
    trials = [t for t in study.optuna_study.get_trials(deepcopy=False) if t.state != TrialState.FAIL]
    return [
        (t.params, t.state, t.values, t.intermediate_values, t.user_attrs.get(CURVES), t.user_attrs.get(SUMMARY))
        for t in trials
    ]


def in_any_order(study: Study) -> list[str]:
    """The same where workers have asked in another order."""
    return sorted(map(str, outcome(study)))
