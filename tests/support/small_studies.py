"""Small studies without MLflow, whose outcomes can be compared as plain data."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from optuna.trial import TrialState

from search import Study
from search.recipe import Recipe
from search.record.curves import CURVES, SUMMARY
from search.record.decision import DECISION
from search.record.observer import Asked
from search.train.member import Member
from support.decisions import renumbered

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
"""Changes to `SMALL` after which no trial depends on another."""


def small(
    folder: Path, *, storage: str = "study.db", slots: int | str = "auto", checkpoint: bool = False, **changes: Any
) -> Study:
    """Return a study on the wine data in a database of its own; `changes` are fields of the recipe."""
    recipe = Recipe.parse(SMALL | changes, "test")
    url = f"sqlite:///{folder / storage}"
    return Study(recipe, storage=url, tracking_uri=None, device="cpu", slots=slots, checkpoint=checkpoint)


def copy_study(folder: Path, to: Path) -> None:
    """Copy the database that `small` has made in a folder into another one; SQLite may have a second file beside it."""
    for file in folder.glob("study.db*"):
        shutil.copy(file, to)


class Quiet:
    """An observer that counts epochs and told trials, and raises `Crash` after so many."""

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
    """Stands for the death of the process."""


class Outcome(NamedTuple):
    """All results of a study but its times; trials that failed are left out.

    Attributes:
        trials: the results of each trial.
        decision: what the study has decided, with trials numbered as in `trials`; None if it has decided nothing.
    """

    trials: Sequence[tuple[Any, ...]]
    decision: Mapping[str, Any] | None


def outcome(study: Study) -> Outcome:
    """Return all results of a study."""
    trials = [t for t in study.optuna_study.get_trials(deepcopy=False) if t.state != TrialState.FAIL]
    results = [
        (t.params, t.state, t.values, t.intermediate_values, t.user_attrs.get(CURVES), t.user_attrs.get(SUMMARY))
        for t in trials
    ]
    return Outcome(results, renumbered(study.optuna_study.user_attrs, trials).get(DECISION))


def in_any_order(study: Study) -> list[str]:
    """Return the trials' results as texts in a fixed order, for workers that have asked in another order."""
    return sorted(map(str, outcome(study).trials))
