"""Tests of `off` in ranges and of groups of techniques: which hyperparameters a trial has, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FixedTrial

from search.choose import samplers
from search.choose.edges import edges
from search.cli.values import parse_range
from search.errors import RequestError
from search.recipe import Recipe
from search.recipe.discovery import select
from search.recipe.space import Space
from search.show.text import merged, trial_name
from search.technique import Numeric, Structural, Technique

LOG = {"low": 1e-6, "high": 1e-1, "log": True}
# The hyperparameter that switches it off is declared last, and another one has no neutral value.
LATE = Technique(
    name="late",
    hyperparameters={
        "way": Structural(default="a", choices=("a", "b"), searched=True),
        "late_size": Numeric(low=1.0, high=2.0),
        "late": Numeric(low=0.1, high=1.0, neutral=0.0),
    },
)


def space(*techniques: str, own: tuple[Technique, ...] = (), **fields: Any) -> Space:
    names = [*techniques, *(one.name for one in own)]
    return Space.resolve(Recipe.parse({"name": "x", "techniques": names} | fields, "x"), select(names, own))


def test_a_range_with_off_is_a_switch_and_the_range() -> None:
    found = space("l2", space={"l2": {"off": True, **LOG}})
    assert found.searched == {
        "use l2": CategoricalDistribution((False, True)),
        "l2": FloatDistribution(1e-6, 1e-1, log=True),
    }
    assert found.dimensions == ["l2"]
    assert found.text("l2") == "off,1e-06:0.1:log"
    off, on = found.complete({"use l2": False}), found.complete({"use l2": True, "l2": 0.01})
    assert off is not None
    assert on is not None
    assert (off["l2"], on["l2"]) == (0.0, 0.01)
    assert "use l2" not in off | on
    # A technique that is off is left out of the trial's program.
    assert "l2" not in found.numeric(off)
    assert found.numeric(on)["l2"] == 0.01
    assert found.complete({"use l2": True}) is None
    # A trial that has the range's value and not the switch lacks a parameter.
    assert found.complete({"l2": 0.01}) is None


def test_the_other_hyperparameters_of_a_technique_that_is_off_are_not_asked() -> None:
    found = space("cutout", space={"cutout": {"off": True, "low": 0.1, "high": 0.9}})
    trial = FixedTrial({"use cutout": False, "cutout": 0.5, "cutout_patch": 0.5})
    assert "cutout_patch" not in found.suggest(trial)  # type: ignore[arg-type]
    assert list(trial.params) == ["use cutout"]
    trial = FixedTrial({"use cutout": True, "cutout": 0.5, "cutout_patch": 0.5})
    assert found.suggest(trial)["cutout_patch"] == 0.5  # type: ignore[arg-type]
    assert list(trial.params) == ["use cutout", "cutout", "cutout_patch"]


def test_whatever_the_order_of_their_declaration() -> None:
    for off in ({"off": True, "low": 0.1, "high": 1.0}, {"choices": ["off", 0.5]}):
        found = space(own=(LATE,), space={"late": off})
        assert list(found.searched)[-2:] == ["way", "late_size"]
        values = found.complete({"use late": False, "late": 0.0})
        assert values is not None
        assert values["late"] == 0.0
        assert not {"way", "late_size"} & values.keys()
        assert found.conditional


def test_choices_with_off_have_the_neutral_value() -> None:
    found = space("dropout", space={"dropout": {"choices": ["off", 0.1, 0.2]}})
    assert found.searched == {"dropout": CategoricalDistribution((0.0, 0.1, 0.2))}
    assert found.text("dropout") == "off,0.1,0.2"
    assert not found.conditional
    written = space("dropout", space={"dropout": {"off": True, "choices": [0.1, 0.2]}})
    assert written.searched == found.searched


def test_off_may_be_infinite_and_a_word() -> None:
    found = space("max_norm", "lr_schedule", space={"max_norm": {"off": True, "low": 1, "high": 2}})
    values = found.complete({"use max_norm": False, "lr_schedule": "constant"})
    assert values is not None
    assert values["max_norm"] == math.inf
    scheduled = space("lr_schedule", space={"lr_schedule": {"choices": ["off", "step"]}})
    assert scheduled.searched["lr_schedule"] == CategoricalDistribution(("constant", "step"))
    mine = Technique(name="m", hyperparameters={"m": Structural(default="on", choices=("off", "on"), neutral="on")})
    assert space(own=(mine,), space={"m": {"choices": ["off", "on"]}}).searched["m"] == CategoricalDistribution(
        ("off", "on")
    )


def test_set_takes_off_too() -> None:
    assert space("l2", "dropout", set={"l2": "off"}).fixed["l2"] == 0.0
    with pytest.raises(RequestError, match="lr takes a number, got 'off'"):
        space(set={"lr": "off"})


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"space": {"lr": {"off": True, **LOG}}}, "lr cannot be off: it has no neutral value"),
        ({"space": {"optimizer": {"choices": ["off", "sgd"]}}}, "optimizer cannot be off: it has no neutral value"),
        ({"space": {"l2": {"choices": ["off", 0, 1]}}}, "l2 has a choice twice: off is 0.0"),
        ({"space": {"l2": {"choices": ["off"]}}}, "l2 has no choice but off: give it a range too"),
        ({"space": {"l2": {"off": True}}}, "space.l2 needs low and high, or choices"),
        ({"one_of": {"g": ["l2", "l3"]}}, "unknown technique in one_of.g 'l3': did you mean 'l2'?"),
        ({"one_of": {"g": ["l2"]}}, "one_of g needs two choices, such as a technique and none, got l2"),
        ({"one_of": {"g": ["l2", "l2"]}}, "one_of g names a technique twice, got l2, l2"),
        (
            {"one_of": {"g": ["l2", "none"], "h": ["l2", "cutout"]}},
            "'l2' is in two groups of one_of, h and g",
        ),
        ({"one_of": {"lr": ["l2", "none"]}}, "one_of.lr: 'lr' is the name of a hyperparameter"),
        ({"one_of": {"a b": ["l2", "none"]}}, "one_of.a b: 'a b' is not a name like 'augment'"),
        ({"one_of": {"g": ["momentum", "none"]}}, "'momentum' cannot be off: there is no neutral value of nesterov"),
        ({"one_of": {"g": ["architecture", "l2"]}}, "'architecture' cannot be off: there is no neutral value of depth"),
        ({"one_of": {"g": ["l2", "none"]}, "set": {"l2": 0.1}}, "l2 is fixed at 0.1 by set, but one_of.g switches it"),
        ({"one_of": {"g": ["l2", "none"]}, "set": {"g": "l2"}}, "g is a group of one_of, from which each trial draws"),
        ({"one_of": {"g": ["l2", "none"]}, "space": {"l2": {"off": True, **LOG}}}, "l2 has off in its range, but"),
        ({"one_of": {"g": "l2"}}, "one_of.g takes a list, got 'l2'"),
    ],
)
def test_what_cannot_be_off(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(RequestError) as caught:
        space("l2", "cutout", "momentum", "architecture", **fields)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_technique_that_would_do_nothing_where_it_is_chosen_is_refused() -> None:
    mine = Technique(name="m", hyperparameters={"m": Numeric(neutral=0.0)})
    with pytest.raises(RequestError, match="technique 'm' does nothing where it is chosen: give one"):
        space("l2", own=(mine,), one_of={"g": ["m", "l2"]})
    assert "m" in space("l2", own=(mine,), one_of={"g": ["m", "l2"]}, space={"m": {"choices": [1.0]}}).searched


def test_a_group_uses_one_technique_and_asks_for_its_hyperparameters_alone() -> None:
    found = space("cutmix", "cutout", "batch_norm", one_of={"augment": ["cutmix", "cutout", "batch_norm", "none"]})
    assert list(found.searched) == ["augment", "cutmix", "cutout", "cutout_patch", "bn_alpha"]
    drawn = {"cutmix": 0.3, "cutout": 0.4, "cutout_patch": 0.5, "bn_alpha": 0.1}
    asked, used = {}, {}
    for choice in ("cutmix", "cutout", "batch_norm", "none"):
        trial = FixedTrial({"augment": choice} | drawn)
        values = found.suggest(trial)  # type: ignore[arg-type]
        asked[choice] = [name for name in trial.params if name != "augment"]
        used[choice] = found.numeric(values).keys() - {"lr", "beta1", "beta2", "eps"}
        assert (values["batch_norm"] is True) == (choice == "batch_norm")
        assert "augment" not in values
    own = {"cutmix": ["cutmix"], "cutout": ["cutout", "cutout_patch"], "batch_norm": ["bn_alpha"], "none": []}
    assert asked == own
    assert used == {choice: set(names) for choice, names in own.items()}


def test_weight_decay_can_be_one_of_a_group() -> None:
    found = space("weight_decay", "l2", one_of={"penalty": ["weight_decay", "l2"]})
    values = found.complete({"penalty": "l2", "l2": 0.1})
    assert values is not None
    assert values["weight_decay"] == 0.0
    assert "weight_decay" not in found.numeric(values)


def test_a_grid_has_one_cell_for_off_and_the_points_of_the_range() -> None:
    found = space(
        "cutout",
        "l2",
        sampler="grid",
        space={
            "cutout": {"off": True, "low": 0.2, "high": 0.4, "points": 2},
            "cutout_patch": {"choices": [0.5, 0.6]},
            "l2": {"choices": ["off", 0.1]},
        },
    )
    cutouts = [
        {"use cutout": False},
        *({"use cutout": True, "cutout": at, "cutout_patch": patch} for at in (0.2, 0.4) for patch in (0.5, 0.6)),
    ]
    assert list(found.cells()) == [cutout | {"l2": l2} for cutout in cutouts for l2 in (0.0, 0.1)]
    grouped = space("cutmix", "cutout", sampler="grid", grid_points=2, one_of={"g": ["cutmix", "cutout", "none"]})
    assert grouped.cell_count() == 2 + 4 + 1
    assert {"g": "none"} in list(grouped.cells())


@pytest.mark.parametrize("sampler", ["gp", "cmaes", "qmc"])
def test_samplers_that_cannot_leave_anything_out_say_so(sampler: str) -> None:
    found = space("l2", "cutout", space={"l2": {"off": True, **LOG}}, one_of={"g": ["cutout", "none"]})
    with pytest.raises(RequestError, match=r"\(l2 with off, cutout, cutout_patch\); tpe, random, grid and nsgaii can"):
        samplers.validate_sampler(sampler, found)
    # Choices with off have a value in every trial.
    samplers.validate_sampler(sampler, space("l2", space={"l2": {"choices": ["off", 0.1]}}))


def test_nsgaii_says_what_it_draws_at_random() -> None:
    recipe = Recipe.parse(
        {"name": "x", "techniques": ["l2"], "sampler": "nsgaii", "space": {"l2": {"off": True, **LOG}}}, "x"
    )
    notes = samplers.notes(recipe, Space.resolve(recipe, select(["l2"], ())))
    assert "draws those at random that exist in some (l2 with off)" in notes[0]


def test_what_is_possible_and_most_demanding() -> None:
    found = space(
        "cutmix", "cutout", "l2", one_of={"augment": ["cutmix", "cutout"]}, space={"l2": {"off": True, **LOG}}
    )
    assert found.possible("l2") == [0.0, 1e-6, 1e-1]
    assert found.possible("cutmix") == [0.0, 1.0]
    most = [{name: values[name] for name in ("cutmix", "cutout", "l2")} for values in found.demanding()]
    assert most == [{"cutmix": 1.0, "cutout": 0.0, "l2": 0.1}, {"cutmix": 0.0, "cutout": 1.0, "l2": 0.1}]


def test_the_command_line_and_recipes_say_the_same() -> None:
    assert parse_range("l2", "off,1e-6:1e-1:log") == {"off": True, **LOG}
    assert parse_range("l2", "1:2,off") == {"off": True, "low": 1, "high": 2, "log": False}
    assert parse_range("l2", "off, 0.1") == {"choices": ["off", 0.1]}
    for wrong in ("off,off,1:2", "on,1:2", "off,1:2,3:4"):
        with pytest.raises(RequestError, match="each also with off, as in off,0:1"):
            parse_range("l2", wrong)


def test_changes_to_a_recipe_are_merged_into_its_groups() -> None:
    recipe = Recipe.load("cutmix+cutout").but("x", one_of={"g": ["cutmix", "none"]})
    more = recipe.but("x", one_of={"h": ["cutout", "none"]})
    assert more.one_of == {"g": ("cutmix", "none"), "h": ("cutout", "none")}
    assert more.but("x", one_of={"g": ["cutmix", "cutout"]}).one_of["g"] == ("cutmix", "cutout")


def test_users_see_one_dimension() -> None:
    assert merged({"lr": 0.1, "use l2": False}) == {"lr": 0.1, "l2": "off"}
    assert trial_name(3, {"use l2": True, "l2": 0.01, "use dropout": False}) == "trial-3 l2=0.01 dropout=off"
    shown = space("l2", "cutout", space={"l2": {"off": True, **LOG}}, one_of={"g": ["cutout", "none"]})._repr_html_()
    assert "off,1e-06:0.1:log" in shown
    assert "one of cutout, none" in shown
    assert "g=cutout" in shown
    assert "use l2" not in shown


def test_the_remedy_at_an_edge_keeps_off() -> None:
    found = space("l2", space={"l2": {"off": True, **LOG}})
    (edge,) = edges({"use l2": True, "l2": 0.1}, [{"use l2": False}], found.searched, found.declared)
    assert "as with --space l2=off,1e-06:1:log" in edge.warning(extends=False)
