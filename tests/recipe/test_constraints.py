"""Tests of constraints: how they are written, and how far a value is beyond one."""

from __future__ import annotations

import math
from typing import Any

import pytest

from search.errors import RequestError
from search.recipe import Recipe
from search.recipe.cautions import cautions
from search.recipe.constraints import Constraint
from search.study.arguments import as_fields


def recipe(*constraints: Any, **fields: Any) -> Recipe:
    return Recipe.parse({"name": "x", "constraints": constraints} | fields, "x")


def test_a_condition_is_read_however_it_is_spaced() -> None:
    assert recipe("sparsity>0.5", " parameters  <= 1e5").constraints == ("sparsity > 0.5", "parameters <= 100000")
    assert Recipe.parse({"name": "x", "constraints": "val_f1 >= .5"}, "x").constraints == ("val_f1 >= 0.5",)
    assert as_fields({"constraints": ["sparsity>0.5"]}) == {"constraints": ["sparsity>0.5"]}


@pytest.mark.parametrize(
    ("constraint", "says"),
    [
        ("sparsity", "x: a constraint is METRIC > NUMBER, or with <, <= or >=, got 'sparsity'"),
        ("sparsity = 0.5", "a constraint is METRIC > NUMBER, or with <, <= or >=, got 'sparsity = 0.5'"),
        ("0.5 < sparsity", "a constraint is METRIC > NUMBER"),
        ("sparsity > much", "a constraint is METRIC > NUMBER"),
        ("sparsity > nan", "a constraint is METRIC > NUMBER"),
        ("sparsity > 1e999", "a constraint is METRIC > NUMBER"),
        ("sparsty > 0.5", "unknown metric in a constraint 'sparsty': did you mean 'sparsity'?"),
        ("seconds < 3", "seconds cannot be in a constraint, got 'seconds < 3': they differ from run to run"),
        ("test_accuracy > 0.5", "a constraint cannot be on the test rows, got 'test_accuracy > 0.5'"),
        (3, "constraints: input should be a valid string, got 3"),
    ],
)
def test_what_is_no_condition(constraint: Any, says: str) -> None:
    with pytest.raises(RequestError) as caught:
        recipe(constraint)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_same_condition_twice_is_refused() -> None:
    with pytest.raises(RequestError, match=r"the constraint sparsity > 0\.5 is given twice"):
        recipe("sparsity>0.5", "sparsity > 0.50")


@pytest.mark.parametrize(
    ("constraint", "value", "violation"),
    [
        ("sparsity > 0.5", 0.4, 0.2),
        ("sparsity > 0.5", 0.75, -0.5),
        ("parameters < 200", 300, 0.5),
        ("parameters <= 200", 200, 0.0),
        ("train_loss >= 0", -2.0, 2.0),
        ("train_loss <= -4", -2.0, 0.5),
        ("train_loss < 1", math.nan, 1.0),
        ("train_loss > 1", math.inf, 1.0),
    ],
)
def test_a_violation_is_a_share_of_the_bound(constraint: str, value: float, violation: float) -> None:
    assert Constraint.parse(constraint).violation(value) == pytest.approx(violation)


def test_a_strict_bound_is_violated_at_the_bound() -> None:
    assert Constraint.parse("parameters < 200").violation(200) > 0
    assert Constraint.parse("parameters >= 200").violation(200) <= 0


def test_nothing_is_pruned_unless_a_pruner_is_given() -> None:
    assert recipe("sparsity > 0.5").pruner.name == "none"
    assert "no trial is pruned" in cautions(recipe("sparsity > 0.5"))[0]
    given = recipe("sparsity > 0.5", pruner={"name": "halving"})
    assert given.pruner.name == "halving"
    assert "pruner halving judges by the objective alone" in cautions(given)[0]
    assert recipe("sparsity > 0.5", objective=["val_loss", "sparsity"]).pruner.name == "none"
    assert recipe().pruner.name == "halving"
