"""Tests of studies that list settings: the trials that the settings become, and the lists that are refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState
from support.small_studies import Crash, Quiet

from search import Study
from search.errors import RequestError
from search.recipe import Recipe, packaged
from search.recipe.discovery import select
from search.recipe.schema import Pruner, Setting
from search.recipe.space import Space
from search.technique import Numeric, Structural, Technique

# It has no default range, so it is fixed unless a setting gives it. Infinity means "no bound".
BOUND = Technique(name="bound", hyperparameters={"bound": Numeric(above=0.0, neutral=math.inf)})


def recipe(*settings: dict[str, Any], **fields: Any) -> Recipe:
    return Recipe.parse({"name": "listed", "settings": settings} | fields, "test")


def listing(*settings: dict[str, Any], **fields: Any) -> Recipe:
    return recipe(*({"set": setting} for setting in settings), **fields)


def study(folder: Path, given: Recipe, techniques: Sequence[Technique] = ()) -> Study:
    small = given.but("test", data={"dataset": "wine"}, set={"epochs": 2, "hidden": "8"})
    return Study(
        small, storage=f"sqlite:///{folder}/settings.db", tracking_uri=None, device="cpu", techniques=techniques
    )


def test_the_settings_are_the_cells_in_the_order_written() -> None:
    given = listing({"lr": 0.1, "momentum": 0.9}, {"momentum": 0.5}, {"lr": 0.01}, set={"optimizer": "sgd", "lr": 0.2})
    space = Space.resolve(given, [])
    assert space.searched == {
        "lr": CategoricalDistribution((0.1, 0.2, 0.01)),
        "momentum": CategoricalDistribution((0.9, 0.5, 0.0)),
    }
    # The second takes lr from [set], the third momentum from its declared default.
    cells = [{"lr": 0.1, "momentum": 0.9}, {"lr": 0.2, "momentum": 0.5}, {"lr": 0.01, "momentum": 0.0}]
    assert list(space.cells()) == cells
    assert space.cell_count() == 3
    assert space.fixed["optimizer"] == "sgd"
    assert {"lr", "momentum"}.isdisjoint(space.fixed)


def test_a_setting_has_only_what_exists_in_it() -> None:
    given = listing(
        {"optimizer": "sgd", "momentum": 0.9}, {"optimizer": "adam"}, {"optimizer": "sgd", "momentum": 0.99}
    )
    space = Space.resolve(given, [])
    assert list(space.cells()) == [
        {"optimizer": "sgd", "momentum": 0.9},
        {"optimizer": "adam"},
        {"optimizer": "sgd", "momentum": 0.99},
    ]
    assert space.searched["momentum"] == CategoricalDistribution((0.9, 0.99))
    assert space.conditional


def test_values_are_kept_in_their_standard_form() -> None:
    space = Space.resolve(listing({"hidden": "64, 32", "lr": 1}, {"hidden": "64x32"}, {"hidden": "8"}), [])
    assert list(space.cells()) == [
        {"hidden": "64x32", "lr": 1.0},
        {"hidden": "64x32", "lr": 1e-3},
        {"hidden": "8", "lr": 1e-3},
    ]
    assert space.searched["hidden"] == CategoricalDistribution(("64x32", "8"))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (listing({"lrr": 1.0}), "setting 1: unknown hyperparameter 'lrr': did you mean 'lr'?"),
        (listing({}, {"lr": 0.0}), "setting 2: lr must be > 0, got 0"),
        (listing({"lr": math.nan}), "setting 1: lr takes a number, got nan"),
        (listing({"nesterov": True}), "setting 1: nesterov exists only where optimizer is sgd; here optimizer is adam"),
        (
            recipe({"set": {"optimizer": "sgd"}}, {"name": "mine", "set": {"nesterov": True, "optimizer": "adam"}}),
            "setting 2 'mine': nesterov exists only where optimizer is sgd; here optimizer is adam",
        ),
        (listing({"lr": 0.1}, {}, {"lr": 0.1}), "setting 1 and setting 3 are the same"),
        # The second setting writes out the default.
        (recipe({"name": "a"}, {"name": "b", "set": {"lr": 1e-3}}), "setting 1 'a' and setting 2 'b' are the same"),
        (listing({}, {}), "setting 1 and setting 2 are the same"),
    ],
)
def test_a_list_that_cannot_be(given: Recipe, says: str) -> None:
    with pytest.raises(RequestError) as caught:
        Space.resolve(given, [])
    assert says in str(caught.value)


def test_settings_are_one_cohort_without_pruning_unless_the_recipe_says_otherwise() -> None:
    given = listing(*({"lr": 0.1 * n} for n in range(1, 21)))
    assert (given.sampler, given.ask_batch, given.pruner) == ("grid", 20, Pruner(name="none"))
    changed = given.but("test", ask_batch=3, pruner={"name": "median"}, sampler="grid", set={"epochs": 7})
    assert (changed.sampler, changed.ask_batch, changed.pruner.name) == ("grid", 3, "median")
    assert changed.settings == given.settings
    fewer = given.but("test", settings=[Setting(set={"lr": 0.1})])
    assert fewer.ask_batch == 1


def test_what_the_settings_give_is_neither_fixed_nor_searched() -> None:
    given = listing({"lr": 0.1}, {"lr": 0.2})
    with pytest.raises(RequestError, match="request: lr is given by the settings of this study: it cannot be fixed"):
        given.but("request", set={"lr": 0.3})
    with pytest.raises(RequestError, match="request: settings and a grid of epochs cannot be combined"):
        given.but("request", space={"epochs": {"low": 1, "high": 2}}, sampler="grid")
    with pytest.raises(RequestError, match=r"setting 1: lr is fixed at 0\.001 in all trials: search it, as in --space"):
        Space.resolve(given.but("request", sampler="random"), [])


def test_each_setting_is_a_trial_of_one_cohort(tmp_path: Path) -> None:
    settings: list[dict[str, Any]] = [{"lr": 0.1}, {"lr": 0.01}, {"optimizer": "sgd", "momentum": 0.9}]
    done = study(tmp_path, listing(*settings, replicates=2)).run(observers=[Quiet()])
    trials = done.optuna_study.trials
    assert [trial.params for trial in trials] == [
        {"optimizer": "adam", "lr": 0.1},
        {"optimizer": "adam", "lr": 0.01},
        {"optimizer": "sgd", "lr": 1e-3, "momentum": 0.9},
    ]
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert {trial.user_attrs["cohort"] for trial in trials} == {0}
    assert done.budget() == 3


def test_fewer_trials_are_the_first_settings_and_a_run_goes_on_with_the_others(tmp_path: Path) -> None:
    given = listing(*({"lr": rate} for rate in (0.3, 0.1, 0.2)), ask_batch=1)
    with pytest.raises(Crash):
        study(tmp_path, given).run(2, observers=[Quiet(fail_after_told=1)])
    for budget in (2, None):
        study(tmp_path, given).run(budget, observers=[Quiet()])
    trials = study(tmp_path, given).optuna_study.trials
    assert [trial.params["lr"] for trial in trials] == [0.3, 0.1, 0.2]


def test_another_list_is_another_study_and_another_label_is_not(tmp_path: Path) -> None:
    given = recipe({"set": {"lr": 0.1}}, {"set": {"lr": 0.2}})
    _ = study(tmp_path, given).optuna_study
    labelled = given.but("test", settings=[{"name": "a", "set": {"lr": 0.1}}, {"name": "b", "set": {"lr": 0.2}}])
    _ = study(tmp_path, labelled).optuna_study
    other = given.but("test", settings=[{"set": {"lr": 0.1}}, {"set": {"lr": 0.4}}])
    with pytest.raises(RequestError, match=r"differs in setting 2: lr=0.2 there, lr=0.4 here"):
        _ = study(tmp_path, other).optuna_study


def test_infinity_is_a_choice_like_any_other(tmp_path: Path) -> None:
    given = listing({"bound": 2.0}, {})
    study(tmp_path, given, [BOUND]).run(observers=[Quiet()])
    reopened = study(tmp_path, given, [BOUND])
    assert [trial.params for trial in reopened.optuna_study.trials] == [{"bound": 2.0}, {"bound": math.inf}]
    assert reopened.space.searched["bound"] == CategoricalDistribution((2.0, math.inf))


def test_a_list_may_be_one_setting_that_sets_nothing(tmp_path: Path) -> None:
    done = study(tmp_path, listing({})).run(observers=[Quiet()])
    (trial,) = done.optuna_study.trials
    assert (trial.params, trial.state) == ({}, TrialState.COMPLETE)


@pytest.mark.parametrize("name", sorted(name for name in packaged() if name.startswith("notebooks/")))
def test_the_notebooks_recipes_are_sound(name: str) -> None:
    given = Recipe.load(name)
    space = Space.resolve(given, select(given.techniques, []))
    assert space.cell_count() == len(given.settings) == given.ask_batch
    assert all(setting.name and setting.published for setting in given.settings)


def test_a_setting_does_not_give_what_follows_from_others() -> None:
    shape = Technique(
        name="shape",
        hyperparameters={"width": Structural(default=8)},
        derive={"hidden": lambda values: str(values["width"])},
    )
    with pytest.raises(RequestError, match=r"hidden follows from width \(technique 'shape'\): give those instead"):
        Space.resolve(listing({}, {"hidden": "16"}), [shape])
