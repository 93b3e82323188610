"""Extensions follow from the trials, draw the wider range evenly, and let samplers learn from all trials jointly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from search.choose import samplers
from search.choose.asking import Asker
from search.choose.claims import FileClaims
from search.choose.extending.asker import ExtendingAsker
from search.choose.extending.extended import Extended
from search.errors import RequestError
from search.recipe import Recipe
from search.recipe.discovery import select
from search.recipe.space import Space
from search.record.extensions import EXTENSIONS, Extension

LOW = {"l2": {"low": 1e-6, "high": 1e-4, "log": True}}
BOTH = LOW | {"lr": {"low": 1e-4, "high": 1e-2, "log": True}}
Loss = Callable[[Mapping[str, Any]], float]


def search(
    folder: Path,
    loss: Loss,
    space: Mapping[str, Any] = LOW,
    validate: Any = lambda _space: None,
    storage: RDBStorage | None = None,
    **changes: Any,
) -> tuple[list[FrozenTrial], Extended]:
    """Ask and tell until nothing is left, with a new asker for each cohort; return the trials and the extensions."""
    fields: dict[str, Any] = {"name": "x", "techniques": ["l2"], "trials": 20, "ask_batch": 4, "space": space}
    recipe = Recipe.parse(fields | changes, "x")
    resolved = Space.resolve(recipe, select(recipe.techniques, ()))
    storage = storage or RDBStorage("sqlite:///:memory:")
    study = optuna.create_study(storage=storage, load_if_exists=True, study_name="x")
    budget = recipe.trials if recipe.sampler != "grid" else resolved.cell_count()
    while True:
        plain = Asker(study, storage, recipe, resolved, budget, FileClaims(str(folder), "x"))
        asker = ExtendingAsker(plain, Extended(recipe, resolved), validate)
        if (cohort := asker.next_cohort()) is None:
            extended = Extended(recipe, resolved).read(study.user_attrs)
            assert (asker.space, asker.budget) == (extended.space, max(budget, extended.budget))
            return study.get_trials(), extended
        for one in cohort[1]:
            study.tell(one.trial, loss(one.values))


def up_to(goal: float) -> Loss:
    return lambda values: abs(float(values["l2"]) - goal)


def test_it_goes_on_until_the_best_is_inside(tmp_path: Path) -> None:
    """There are 20 trials in two decades, so each decade that is added gets ten."""
    trials, extended = search(tmp_path, up_to(3e-3), sampler="random")
    assert extended.extensions == (Extension(20, "l2", 1e-6, 1e-3, 10), Extension(30, "l2", 1e-6, 1e-2, 10))
    assert len(trials) == extended.budget == 40
    assert extended.space.searched["l2"] == FloatDistribution(1e-6, 1e-2, log=True)
    assert extended.space.moved == {"l2": extended.space.searched["l2"]}


def test_it_goes_no_further_than_three_times_on_a_side(tmp_path: Path) -> None:
    _, extended = search(tmp_path, up_to(1e9), sampler="random")
    assert [one.high for one in extended.extensions] == [1e-3, 1e-2, 1e-1]
    assert extended.fixed_ends == {("l2", "upper")}


def test_an_optimum_inside_is_left_alone(tmp_path: Path) -> None:
    extended = search(tmp_path, up_to(1e-5), sampler="random")[1]
    assert extended.extensions == ()
    assert extended.space is extended.base
    assert not extended.space.moved


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_samplers_that_draw_blindly_draw_in_the_new_part(tmp_path: Path, sampler: str) -> None:
    trials, extended = search(tmp_path, up_to(3e-3), sampler=sampler)
    assert len(extended.extensions) == 2
    for one, low in zip(extended.extensions, (1e-4, 1e-3), strict=True):
        values = [trial.params["l2"] for trial in trials[one.ticket : one.ticket + one.trials]]
        assert all(low <= value <= one.high for value in values)
        assert len(set(values)) == len(values) == 10


def test_a_hyperparameter_that_may_be_absent_is_there_in_what_is_added(tmp_path: Path) -> None:
    space = {"optimizer": {"choices": ["sgd", "adam"]}, "momentum": {"low": 0.1, "high": 0.2}}
    trials, extended = search(tmp_path, lambda values: -float(values.get("momentum", 0)), space, sampler="random")
    assert extended.extensions
    assert all(trial.params["optimizer"] == "sgd" for trial in trials[20:])
    assert {trial.params["optimizer"] for trial in trials[:20]} == {"sgd", "adam"}


@pytest.mark.parametrize("sampler", ["random", "tpe", "grid"])
def test_a_range_with_off_is_widened_without_off(tmp_path: Path, sampler: str) -> None:
    space = {"l2": LOW["l2"] | {"off": True, "points": 7}}
    trials, extended = search(tmp_path, up_to(1.5e-4), space, sampler=sampler)
    added = [trial.params for trial in trials[extended.extensions[0].ticket :]]
    assert extended.space.text("l2") == "off,1e-06:0.001:log"
    assert any(params.get("l2", 0.0) > 1e-4 for params in added)
    if sampler != "tpe":  # which learns from all trials, so it draws from the whole space
        assert all(params["use l2"] and params["l2"] > 1e-4 for params in added)


def test_a_grid_goes_on_with_its_own_spacing(tmp_path: Path) -> None:
    """The four values of l2 are two thirds of a decade apart, so one more fits into a decade."""
    goal = up_to(3e-3)
    trials, extended = search(
        tmp_path, lambda values: goal(values) + abs(float(values["lr"]) - 5e-4), BOTH, sampler="grid", grid_points=4
    )
    space = extended.space
    assert [(one.ticket, one.trials) for one in extended.extensions[:2]] == [(16, 4), (20, 4)]
    added = sorted({trial.params["l2"] for trial in trials if trial.params["l2"] > 1e-4})
    assert added == pytest.approx([1e-4 * 10 ** (k * 2 / 3) for k in range(1, len(added) + 1)])
    cells = Counter(tuple(sorted(trial.params.items())) for trial in trials)
    assert set(cells.values()) == {1}
    assert len(cells) == space.cell_count() == 4 * (4 + len(added))
    assert [trial.params for trial in trials] == list(space.cells())


def test_a_coarse_grid_gets_one_value_at_the_end_of_the_decade(tmp_path: Path) -> None:
    trials, extended = search(tmp_path, up_to(5e-4), sampler="grid", grid_points=2)
    assert extended.extensions[0] == Extension(2, "l2", 1e-6, 1e-3, 1)
    assert [trial.params["l2"] for trial in trials][:3] == pytest.approx([1e-6, 1e-4, 1e-3])


def test_each_of_two_edges_is_moved(tmp_path: Path) -> None:
    """They are moved one after the other, and the density of trials stays: 16 in two decades by two are 4 in each."""
    _, extended = search(
        tmp_path, lambda values: -float(values["l2"]) * float(values["lr"]), BOTH, sampler="random", trials=16
    )
    decades = {"l2": 2, "lr": 2}
    for one in extended.extensions:
        decades[one.name] += 1
        assert one.ticket + one.trials == 4 * decades["l2"] * decades["lr"]
    assert min(decades.values()) > 2


def test_epochs_are_not_extended(tmp_path: Path) -> None:
    """The rungs at which all trials are judged follow from the most epochs."""
    _, extended = search(tmp_path, lambda values: -float(values["epochs"]), {"epochs": {"low": 10, "high": 30}})
    assert extended.extensions == ()


def test_a_space_that_is_not_valid_is_not_searched(tmp_path: Path) -> None:
    def validate(space: Space) -> None:
        if float(space.possible("l2")[1]) > 2e-3:
            raise RequestError("too much")

    _, extended = search(tmp_path, up_to(1e9), validate=validate, sampler="random")
    assert [one.high for one in extended.extensions] == [1e-3]


def test_tpe_learns_from_all_trials_as_if_they_were_of_one_range(tmp_path: Path) -> None:
    """After an extension trials are asked for as if all earlier trials had been drawn from the wider range."""

    def loss(values: Mapping[str, Any]) -> float:
        return abs(float(values["l2"]) - 1e-3) + float(values["lr"])

    trials, extended = search(tmp_path, loss, BOTH, sampler="tpe", ask_batch=8)
    recipe = Recipe.parse({"name": "x", "sampler": "tpe", "ask_batch": 8}, "test")
    first = extended.extensions[0]
    at_first = trials[0].distributions | {first.name: FloatDistribution(first.low, first.high, log=True)}
    study = optuna.create_study()
    for trial in trials[: first.ticket]:
        assert trial.distributions != at_first
        params = {name: trial.params[name] for name in trial.params}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=at_first, value=trial.value))
    for ticket in range(first.ticket, first.ticket + 8):
        study.sampler = samplers.build(recipe, ticket, extended.space)
        asked = study.ask(at_first)
        assert asked.params == trials[ticket].params


def test_two_processes_decide_once(tmp_path: Path) -> None:
    fields: dict[str, Any] = {"name": "x", "techniques": ["l2"], "seed": 1, "ask_batch": 4, "space": LOW}
    recipe = Recipe.parse(fields, "x")
    space = Space.resolve(recipe, select(recipe.techniques, ()))
    storage = RDBStorage("sqlite:///:memory:")
    study = optuna.create_study(storage=storage, study_name="x")
    one, other = (
        ExtendingAsker(
            Asker(study, storage, recipe, space, 8, FileClaims(str(tmp_path), "x")),
            Extended(recipe, space),
            lambda _space: None,
        )
        for _ in range(2)
    )
    loss = up_to(5e-4)
    for asker in (one, other):
        cohort = asker.next_cohort()
        assert cohort is not None
        for trial in cohort[1]:
            study.tell(trial.trial, loss(trial.values))
    following = one.next_cohort()
    assert following is not None
    assert [trial.number for trial in following[1]] == [8, 9, 10, 11]
    assert other.next_cohort() == (2, []), "it waits for what the other trains"
    assert (one.budget, one.space) == (other.budget, other.space)
    assert other.budget == 12
    for trial in following[1]:
        study.tell(trial.trial, 1.0)  # they are worse than those before, so the best one is bracketed
    assert other.next_cohort() is None
    assert one.next_cohort() is None
    assert len(study.user_attrs[EXTENSIONS]) == 1


def test_more_trials_are_drawn_from_all_of_the_range(tmp_path: Path) -> None:
    kept = RDBStorage("sqlite:///:memory:")
    before, extended = search(tmp_path, up_to(5e-4), storage=kept, sampler="random")
    end = extended.budget
    assert len(before) == end
    more, again = search(tmp_path, up_to(5e-4), storage=kept, sampler="random", trials=end + 40)
    assert again.extensions[: len(extended.extensions)] == extended.extensions
    values = [trial.params["l2"] for trial in more[end : end + 40]]
    assert min(values) < 1e-5
    assert max(values) > 1e-4
    assert len(more) >= end + 40
    assert EXTENSIONS not in more[0].user_attrs
    assert all(trial.state == TrialState.COMPLETE for trial in more)
    assert again.budget == max(one.ticket + one.trials for one in again.extensions)
