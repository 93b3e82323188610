"""What a study tells of trials that diverge keeps TPE out of where they do (contract C8)."""

from __future__ import annotations

import random
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.choose.asking import Asker
from search.choose.claims import Claims
from search.choose.pruners import COHORT, TICKET
from search.discovery import select
from search.loop import INFEASIBLE
from search.recipe import Recipe
from search.record.curves import EPOCHS
from search.space import Space

DIVERGES = 1e-2
RECIPE = Recipe.parse(
    {
        "name": "diverging", "techniques": ["l2"], "trials": 110, "ask_batch": 50,
        "space": {"lr": {"low": 1e-5, "high": 1.0, "log": True}},
    },
    "diverging",
)  # fmt: skip


def told(number: int, params: dict[str, float], space: Space, kind: str) -> FrozenTrial:
    """A trial as a study has it after the loop has told it."""
    finite = 0.3 + abs(params["l2"] - 0.01)
    reports = {} if kind in ("complete", "never finite") else {50: finite}
    state = TrialState.COMPLETE if kind in ("complete", "late") else TrialState.PRUNED
    return create_trial(
        state=state, value=finite if state == TrialState.COMPLETE else reports.get(50), params=params,
        distributions=dict(space.searched), intermediate_values=reports,
        user_attrs={COHORT: number // 15, TICKET: number, EPOCHS: 100},
        constraints={INFEASIBLE: 1.0} if kind == "never finite" else None,
    )  # fmt: skip


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_next_asks_avoid_where_trials_diverge(tmp_path: Path, seed: int) -> None:
    """Of sixty uniform trials two in five diverge at once, or late; of the next fifty hardly one is asked there."""
    space = Space.resolve(RECIPE, select(RECIPE.techniques, ()))
    storage = RDBStorage(f"sqlite:///{tmp_path}/diverging.db")
    study = optuna.create_study(storage=storage)
    chance = random.Random(seed)
    for number in range(60):
        params = {"l2": 10 ** chance.uniform(-6, -1), "lr": 10 ** chance.uniform(-5, 0)}
        if params["lr"] > DIVERGES * 10:
            kind = "never finite"
        elif params["lr"] > DIVERGES:
            # It had a finite best, worse than what trains to its end.
            kind = "late"
        else:
            kind = "pruned" if params["l2"] < 1e-4 else "complete"
        trial = told(number, params, space, kind)
        if kind == "late":
            trial.value = 3.0
        study.add_trial(trial)

    cohort = Asker(study, storage, RECIPE, space, RECIPE.trials, Claims(str(tmp_path), "diverging")).next_cohort()
    assert cohort is not None
    asked = [float(one.values["lr"]) for one in cohort[1]]
    assert len(asked) == 50
    assert sum(lr > DIVERGES for lr in asked) <= 5, "one in ten, where two in five of the range diverge"
    assert sum(lr > DIVERGES * 10 for lr in asked) <= 2
