"""Trials that diverge are told such that TPE avoids the region where they do (contract C8, docs/design.md)."""

from __future__ import annotations

import random
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial
from support.marks import slow

from search.choose.asking import Asker
from search.choose.claims import FileClaims
from search.recipe import Recipe
from search.recipe.discovery import select
from search.recipe.space import Space
from search.record.curves import DIVERGED_AT, EPOCHS
from search.record.feasible import INFEASIBLE
from search.record.own import COHORT, TICKET

DIVERGES = 1e-2
RECIPE = Recipe.parse(
    {
        "name": "diverging",
        "techniques": ["l2"],
        "trials": 110,
        "ask_batch": 50,
        "space": {"lr": {"low": 1e-5, "high": 1.0, "log": True}},
    },
    "diverging",
)


def finished(number: int, params: dict[str, float], space: Space, kind: str, *, naive: bool) -> FrozenTrial:
    """Return a trial as the loop tells it; `naive` makes one that diverged a pruned one with its last report."""
    attributes = {COHORT: number // 15, TICKET: number, EPOCHS: 100}
    if kind == "late" and not naive:
        attributes[DIVERGED_AT] = 3
    step = {"complete": 100, "pruned": 50, "late": 95, "never finite": 90}[kind]
    value = 0.3 + abs(params["l2"] - 0.01) + (3.0 if kind == "late" else 0.0)
    complete = kind == "complete" or (kind == "late" and not naive)
    infeasible = kind == "never finite" and not naive
    return create_trial(
        state=TrialState.COMPLETE if complete else TrialState.PRUNED,
        value=None if infeasible else value,
        params=params,
        distributions=dict(space.searched),
        user_attrs=attributes,
        intermediate_values={} if complete or infeasible else {step: value},
        constraints={INFEASIBLE: 1.0} if infeasible else None,
    )


def asked_after(folder: Path, seed: int, *, naive: bool) -> list[float]:
    """Return the learning rates of fifty asks after sixty uniform trials, of which two in five diverge."""
    space = Space.resolve(RECIPE, select(RECIPE.techniques, ()))
    storage = RDBStorage(f"sqlite:///{folder}/{naive}.db")
    study = optuna.create_study(storage=storage)
    chance = random.Random(seed)
    complete = 0
    for number in range(60):
        params = {"l2": 10 ** chance.uniform(-6, -1), "lr": 10 ** chance.uniform(-5, 0)}
        if params["lr"] > DIVERGES:
            kind = "never finite" if params["lr"] > DIVERGES * 10 else "late"
        else:
            # Nearly all are pruned, as in a search; one that diverges gets further than these.
            kind = "complete" if complete < 2 else "pruned"
            complete += kind == "complete"
        study.add_trial(finished(number, params, space, kind, naive=naive))
    claims = FileClaims(str(folder), str(naive))
    cohort = Asker(study, storage, RECIPE, space, RECIPE.trials, claims).next_cohort()
    claims.release()
    assert cohort is not None
    return [float(one.values["lr"]) for one in cohort[1]]


@pytest.mark.parametrize("seed", [0, *slow(1, 2)])
def test_the_next_asks_avoid_where_trials_diverge(tmp_path: Path, seed: int) -> None:
    asked = asked_after(tmp_path, seed, naive=False)
    assert len(asked) == 50
    assert sum(lr > DIVERGES for lr in asked) <= 5, "one in ten, where two in five of the range diverge"
    # If the same trials are told naively, TPE ranks those first that got furthest.
    assert sum(lr > DIVERGES for lr in asked_after(tmp_path, seed, naive=True)) > 15
