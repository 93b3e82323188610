"""Tests of techniques that fix, search or derive hyperparameters of the model and the optimisers."""

from __future__ import annotations

from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from search import Study
from search.errors import RequestError
from search.recipe import Recipe
from search.recipe.discovery import discover
from search.recipe.space import Space
from search.technique import Numeric, Structural, Technique

KNOWN = discover()


def space(*techniques: str | Technique, **fields: Any) -> Space:
    """Return the space of a recipe of these techniques with these fields and no others."""
    chosen = [KNOWN[one] if isinstance(one, str) else one for one in techniques]
    return Space.resolve(Recipe.parse({"name": "x"} | fields, "request"), chosen)


def test_a_technique_searches_what_is_not_its_own() -> None:
    found = space("momentum")
    assert found.searched == {
        "momentum": FloatDistribution(0.0, 0.99),
        "nesterov": CategoricalDistribution((False, True)),
    }
    assert found.fixed["optimizer"] == "sgd"
    assert found.fixed["lr"] == 0.01
    assert found.fixed["dampening"] == 0.0
    assert set(space("momentum", "l2", "dropout").searched) == {"momentum", "nesterov", "l2", "dropout"}


def test_the_recipe_has_the_last_word() -> None:
    found = space("momentum", set={"lr": 0.3, "nesterov": True}, space={"momentum": {"low": 0.5, "high": 0.6}})
    assert found.fixed["lr"] == 0.3
    assert found.fixed["nesterov"] is True
    assert found.searched == {"momentum": FloatDistribution(0.5, 0.6)}
    # A study may search a hyperparameter that a technique fixes.
    assert "lr" in space("momentum", space={"lr": {"low": 1e-3, "high": 1.0, "log": True}}).searched
    assert "lr" not in space("momentum", space={"lr": {"low": 1e-3, "high": 1.0, "log": True}}).fixed


def test_a_study_cannot_take_away_what_a_technique_searches() -> None:
    with pytest.raises(RequestError, match=r"momentum exists only where optimizer is sgd or rmsprop; here .* is adam"):
        space("momentum", set={"optimizer": "adam"})


@pytest.mark.parametrize(
    ("techniques", "says"),
    [
        (("momentum", "optimizer"), "'momentum' and 'optimizer' both own hyperparameter 'momentum'"),
        (
            (Technique(name="a", set={"lr": 0.1}), Technique(name="b", set={"lr": 0.2})),
            "'a' needs lr 0.1, but technique 'b' needs lr 0.2",
        ),
        (
            (Technique(name="a", set={"lr": 0.1}), Technique(name="b", space={"lr": {"low": 0.1, "high": 1.0}})),
            "'a' fixes 'lr', which 'b' searches",
        ),
        (
            ("architecture", Technique(name="b", space={"hidden": {"choices": ["8", "16"]}})),
            "'architecture' and 'b' both own hyperparameter 'hidden'",
        ),
        ((Technique(name="a", set={"lrr": 0.1}),), "unknown hyperparameter of technique 'a' 'lrr': did you mean 'lr'?"),
        ((Technique(name="a", set={"lr": -1}),), "lr must be > 0, got -1"),
        ((Technique(name="a", space={"lr": {"low": 1, "high": 0}}),), "needs low < high, got 1:0"),
    ],
)
def test_techniques_that_cannot_agree(techniques: tuple[str | Technique, ...], says: str) -> None:
    with pytest.raises(RequestError) as caught:
        space(*techniques)
    assert says in str(caught.value)


def test_two_techniques_may_want_the_same() -> None:
    same = (Technique(name="a", set={"lr": 0.1}), Technique(name="b", set={"lr": 0.1}))
    assert space(*same).fixed["lr"] == 0.1


def test_every_branch_of_the_optimisers_has_its_own_and_nothing_else() -> None:
    found = space("optimizer", "weight_decay", grid_points=2)
    assert found.conditional
    own = {
        "sgd": {"momentum", "nesterov"},
        "rmsprop": {"momentum", "alpha", "centered"},
        "adagrad": {"initial_accumulator_value"},
        "adam": {"beta1", "beta2"},
        "adamw": {"beta1", "beta2"},
    }
    seen = {}
    for cell in found.cells():
        seen[cell["optimizer"]] = set(cell) - {"optimizer", "lr", "weight_decay"}
        assert {"lr", "weight_decay"} < set(cell)
    assert seen == own


def test_one_optimiser_of_those_that_a_technique_searches() -> None:
    found = space("optimizer", set={"optimizer": "adam"}, grid_points=2)
    assert not found.conditional
    assert {frozenset(cell) for cell in found.cells()} == {frozenset({"lr", "beta1", "beta2"})}
    with pytest.raises(RequestError, match=r"momentum exists only where optimizer is sgd or rmsprop; here .* is adam"):
        space("optimizer", set={"optimizer": "adam"}, space={"momentum": {"low": 0.5, "high": 0.9}})


def test_hidden_follows_from_depth_and_width() -> None:
    ranges = {"depth": {"choices": [0, 2]}, "width": {"choices": [8, 16]}}
    found = space("architecture", space=ranges, set={"activation": "relu"})
    shapes = [found.complete(cell) for cell in found.cells()]
    assert [values["hidden"] for values in shapes if values is not None] == ["0", "8x8", "16x16"]
    assert set(found.possible("hidden")) == {"0", "8x8", "16x16"}
    assert space("architecture", set={"depth": 1, "width": 100}).possible("hidden") == ["100"]
    assert "128x128x128" in space("architecture").possible("hidden")


@pytest.mark.parametrize("given", [{"set": {"hidden": "64"}}, {"space": {"hidden": {"choices": ["64", "128"]}}}])
def test_what_is_derived_cannot_be_given(given: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=r"hidden follows from depth and width \(technique 'architecture'\)"):
        space("architecture", **given)


def test_a_derived_value_is_checked() -> None:
    wrong = Technique(
        name="a", hyperparameters={"a": Structural(default=0, minimum=0)}, derive={"hidden": lambda values: values["a"]}
    )
    assert space(wrong).complete({})["hidden"] == "0"  # type: ignore[index]
    with pytest.raises(RequestError, match="hidden: takes widths"):
        space(wrong, set={"a": 10**6}).complete({})


@pytest.mark.parametrize(
    ("name", "value"), [("depth", -1), ("depth", 65), ("depth", 2.0), ("width", 0), ("width", True), ("width", 65537)]
)
def test_shapes_that_cannot_be(name: str, value: float) -> None:
    with pytest.raises(RequestError, match=f"{name}: takes a whole number from . to [0-9]+, got {value}"):
        space("architecture", set={name: value})


def test_dampening_is_a_studys_to_search_but_not_with_nesterovs() -> None:
    ranges = {"dampening": {"low": 0.0, "high": 0.5}}
    with pytest.raises(RequestError, match=r"'momentum': nesterov takes dampening 0, got 0.5"):
        Study("momentum", tracking_uri=None, space=ranges)
    study = Study("momentum", tracking_uri=None, space=ranges, set={"nesterov": False})
    assert set(study.space.searched) == {"momentum", "dampening"}


def test_recipes_joined_by_plus_are_one_study() -> None:
    study = Study("l2+dropout+momentum", tracking_uri=None)
    assert set(study.space.searched) == {"l2", "dropout", "momentum", "nesterov"}
    assert (study.space.fixed["optimizer"], study.space.fixed["lr"]) == ("sgd", 0.01)


def test_own_ranges_stay_as_declared_beside_others() -> None:
    own = Technique(
        name="a",
        hyperparameters={"a": Numeric(low=0.0, high=1.0)},
        set={"batch_size": 8},
        space={"lr": {"low": 1e-3, "high": 1e-2, "log": True}},
    )
    found = space(own)
    assert found.searched == {"lr": FloatDistribution(1e-3, 1e-2, log=True), "a": FloatDistribution(0.0, 1.0)}
    assert found.fixed["batch_size"] == 8
