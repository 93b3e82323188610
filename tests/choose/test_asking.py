"""Trials are asked for in memory, and are the same as Optuna's sampler draws from the stored study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from search.choose import samplers
from search.choose.asking import Asker
from search.choose.claims import FileClaims
from search.recipe import Recipe
from search.recipe.discovery import select
from search.recipe.space import Space
from search.record.feasible import INFEASIBLE

CONDITIONAL = {"lr": {"low": 1e-3, "high": 1e-1, "log": True}, "optimizer": {"choices": ["sgd", "adam"]}}


def recipe_of(sampler: str, space: Mapping[str, Any]) -> Recipe:
    fields = {"name": "asked", "techniques": ["l2"], "sampler": sampler, "trials": 24, "ask_batch": 4, "space": space}
    return Recipe.parse(fields, "asked")


def finish(study: optuna.Study, trial: optuna.Trial, values: Mapping[str, Any]) -> None:
    """Tell a trial's result; its number decides whether it is complete, pruned, never finite or failed."""
    score = abs(float(values["l2"]) - 0.01) + float(values["lr"])
    kind = trial.number % 5
    if kind == 1:
        trial.report(score * 2, 3)
        study.tell(trial, state=TrialState.PRUNED)
    elif kind == 2:
        trial.set_constraint(INFEASIBLE, 1.0)
        study.tell(trial, state=TrialState.PRUNED)
    elif kind == 3 and trial.number % 2:
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, score)


def asked_by_us(folder: Path, recipe: Recipe, space: Space) -> list[FrozenTrial]:
    """Run a study with an asker, which is replaced after four cohorts as it would be after a crash."""
    storage = RDBStorage(f"sqlite:///{folder}/ours.db")
    study = optuna.create_study(storage=storage)
    asker = Asker(study, storage, recipe, space, recipe.trials, FileClaims(str(folder), "ours"))
    while (cohort := asker.next_cohort()) is not None:
        for one in cohort[1]:
            finish(study, one.trial, one.values)
        if cohort[0] == 3:
            asker = Asker(study, storage, recipe, space, recipe.trials, FileClaims(str(folder), "ours"))
    return study.get_trials()


def asked_by_optuna(recipe: Recipe, space: Space) -> list[FrozenTrial]:
    """Run the same study with Optuna alone; a trial that replaces a failed one gets the ticket of that one."""
    study = optuna.create_study()
    tickets: list[int] = []
    while missing := min(recipe.ask_batch, recipe.trials - len(tickets)):
        free = [ticket for ticket in range(len(tickets) + missing) if ticket not in tickets][:missing]
        cohort = []
        for ticket in free:
            study.sampler = samplers.build(recipe, ticket, space)
            if ticket < len(space.first):
                study.enqueue_trial(dict(space.first[ticket].params))
            trial = study.ask()
            cohort.append((ticket, trial, space.suggest(trial)))
        for ticket, trial, values in cohort:
            finish(study, trial, values)
            if study.trials[trial.number].state != TrialState.FAIL:
                tickets.append(ticket)
    return study.get_trials()


@pytest.mark.filterwarnings("ignore:Constraints have been set")
@pytest.mark.parametrize(
    ("sampler", "space"),
    [
        ("tpe", {"lr": CONDITIONAL["lr"]}),
        ("tpe", CONDITIONAL | {"beta1": {"low": 0.5, "high": 0.99}}),
        ("random", CONDITIONAL),
        ("cmaes", {"lr": CONDITIONAL["lr"]}),
        ("tpe", {"lr": CONDITIONAL["lr"], "l2": {"off": True, "low": 1e-4, "high": 1.0, "log": True}}),
        pytest.param("gp", {"lr": CONDITIONAL["lr"]}, marks=pytest.mark.slow),
    ],
)
def test_what_is_asked_in_memory_is_what_optuna_asks(tmp_path: Path, sampler: str, space: Mapping[str, Any]) -> None:
    # The search begins with two known settings, one of which leaves l2 to the sampler, or off.
    recipe = recipe_of(sampler, space).but("asked", enqueue=[{"l2": 0.05, "lr": 0.02}, {"lr": 0.03}])
    resolved = Space.resolve(recipe, select(recipe.techniques, ()))
    optunas = asked_by_optuna(recipe, resolved)
    ours = asked_by_us(tmp_path, recipe, resolved)
    assert_equal(ours, optunas)
    assert [trial.params["lr"] for trial in ours[:2]] == [0.02, 0.03]
    assert len(ours) > recipe.trials > 20, "some have failed, and been asked again"


@pytest.mark.filterwarnings("ignore:Constraints have been set")
def test_what_is_drawn_by_earlier_studies_is_what_the_sampler_draws_from_optuna(tmp_path: Path) -> None:
    trials = [{"rank": at / 12, "params": {"l2": 0.01 * 2.0 ** (at % 3), "lr": 2e-3 * (at + 1)}} for at in range(12)]
    changes: dict[str, Any] = {"earlier": [{"study": "old", "trials": trials}]}
    plain = recipe_of("tpe", {"lr": CONDITIONAL["lr"]}).but("asked", enqueue=[{"l2": 0.05, "lr": 0.02}])
    recipe = plain.but("asked", **changes)
    space = Space.resolve(recipe, select(recipe.techniques, ()))
    ours = asked_by_us(tmp_path, recipe, space)
    assert_equal(ours, asked_by_optuna(recipe, space))
    without = asked_by_optuna(plain, space)
    # The setting and the fourth trial are those of a search that begins from no study.
    same = [a.params == b.params for a, b in zip(ours, without, strict=False)]
    assert same[:4] == [True, False, False, True]


def assert_equal(ours: list[FrozenTrial], optunas: list[FrozenTrial]) -> None:
    assert [trial.params for trial in ours] == [trial.params for trial in optunas]
    assert [trial.distributions for trial in ours] == [trial.distributions for trial in optunas]
    assert [(trial.state, trial.values) for trial in ours] == [(trial.state, trial.values) for trial in optunas]


def test_a_known_setting_waits_for_what_is_queued_and_comes_again_if_it_fails(tmp_path: Path) -> None:
    known = [{"l2": 0.01, "lr": 0.01}, {"l2": 0.02, "lr": 0.01}]
    recipe = recipe_of("tpe", {"lr": CONDITIONAL["lr"]}).but("asked", enqueue=known)
    space = Space.resolve(recipe, select(recipe.techniques, ()))
    storage = RDBStorage(f"sqlite:///{tmp_path}/queued.db")
    study = optuna.create_study(storage=storage)
    study.enqueue_trial({"l2": 0.05, "lr": 0.01})
    asker = Asker(study, storage, recipe, space, recipe.trials, FileClaims(str(tmp_path), "queued"))
    cohort = asker.next_cohort()
    assert cohort is not None
    assert [one.values["l2"] for one in cohort[1]][:3] == [0.05, 0.01, 0.02]
    for one in cohort[1]:
        failed = one.values["l2"] == 0.01
        study.tell(one.trial, None if failed else 1.0, TrialState.FAIL if failed else TrialState.COMPLETE)
    following = asker.next_cohort()
    assert following is not None
    assert [one.values["l2"] in (0.01, 0.02) for one in following[1]] == [True, False, False, False]
    assert following[1][0].values["l2"] == 0.01


def test_a_trial_that_somebody_has_queued_is_next(tmp_path: Path) -> None:
    recipe = recipe_of("tpe", {"lr": CONDITIONAL["lr"]})
    space = Space.resolve(recipe, select(recipe.techniques, ()))
    storage = RDBStorage(f"sqlite:///{tmp_path}/queued.db")
    study = optuna.create_study(storage=storage, sampler=TPESampler(seed=0))
    asker = Asker(study, storage, recipe, space, recipe.trials, FileClaims(str(tmp_path), "queued"))
    for _ in range(2):
        study.enqueue_trial({"l2": 0.05, "lr": 0.01})
        cohort = asker.next_cohort()
        assert cohort is not None
        assert [one.values["l2"] == 0.05 for one in cohort[1]] == [True, False, False, False]
        for one in cohort[1]:
            finish(study, one.trial, one.values)
    following = asker.next_cohort()
    assert following is not None
    assert [one.number for one in following[1]] == [8, 9, 10, 11]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"sampler": "random"}, 64),
        ({"sampler": "qmc"}, 64),
        ({"sampler": "grid"}, 64),
        ({"sampler": "random", "ask_batch": 5}, 5),
        ({"sampler": "random", "pruner": {"name": "halving"}}, 32),  # trials are judged among those of their cohort
        ({"sampler": "random", "until": 0.01}, 32),  # each cohort is a chance to end
        ({"sampler": "tpe"}, 8),
        ({"sampler": "nsgaii"}, 16),
        ({"settings": [{"set": {"lr": 0.01 * (n + 1)}} for n in range(70)]}, 70),
    ],
)
def test_cohorts_are_larger_where_that_changes_nothing(fields: dict[str, Any], expected: int) -> None:
    recipe = Recipe.parse({"name": "x", "pruner": {"name": "none"}} | fields, "test")
    assert samplers.cohort_size(recipe) == expected
    # A study stores all fields, and what is stored is obeyed.
    assert samplers.cohort_size(Recipe.parse(recipe.model_dump(mode="json"), "stored")) == recipe.ask_batch
