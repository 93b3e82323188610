"""Where the overfit check trains: the least regularised values of a space, and the learning rates around its own."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest

from search import Numeric, Structural, Technique
from search.check.weakest import learning_rates, least_regularised
from search.recipe import Recipe
from search.recipe.space import Space

SPACE = Technique(
    name="many",
    hyperparameters={
        "up": Numeric(low=0.1, high=1.0, minimum=0.0, neutral=0.0, stronger="up"),
        "up_from_neutral": Numeric(low=-1.0, high=1.0, neutral=0.0, stronger="up"),
        "down": Numeric(low=0.1, high=4.0, neutral=math.inf, stronger="down"),
        "neither": Numeric(low=1.0, high=100.0, log=True),
        "usual": Numeric(low=0.0, high=1.0, default=0.9),
        "choice": Numeric(stronger="up", default=1.0),
        "kind": Structural(default="c", choices=("a", "b", "c")),
        "known": Structural(default="c", choices=("a", "b", "c")),
        "count": Structural(default=100),
    },
)


def test_the_weakest_settings() -> None:
    changes = {
        "choice": {"choices": [3.0, 2.0, 4.0]},
        "kind": {"choices": ["b", "a"]},
        "known": {"choices": ["b", "c"]},
        "count": {"low": 1, "high": 31},
    }
    recipe = Recipe.parse({"name": "many", "space": changes}, "test")
    space = Space.resolve(recipe, [SPACE])
    assert {name: least_regularised(space)[name] for name in SPACE.hyperparameters} == {
        "up": 0.1,
        "up_from_neutral": 0.0,
        "down": 4.0,
        "neither": pytest.approx(10.0),
        "usual": 0.9,
        "choice": 2.0,
        "kind": "b",
        "known": "c",
        "count": 16,
    }


def test_the_learning_rates_tried() -> None:
    def rates(**changes: Any) -> tuple[float, ...]:
        space = Space.resolve(Recipe.parse({"name": "any", **changes}, "test"), [])
        return learning_rates(space, float(least_regularised(space)["lr"]))

    around = rates(set={"lr": 3e-3})
    assert (min(around), max(around)) == (pytest.approx(3e-4), pytest.approx(3e-2))
    assert 3e-3 in around
    over = rates(space={"lr": {"low": 1e-4, "high": 1.0}})
    assert (over[0], over[-1]) == (1e-4, 1.0)
    assert [b / a for a, b in pairwise(over)] == pytest.approx([10**0.5] * 8)
    assert rates(space={"lr": {"choices": [0.1, 0.01]}}) == (0.01, 0.1)
