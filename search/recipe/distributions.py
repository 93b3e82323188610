"""Optuna's distribution for the range of a hyperparameter, and the values that it gives to trials and to grids."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from search.errors import RequestError, clip
from search.recipe import Recipe
from search.recipe.schema import Range
from search.technique import Hyperparameter, Numeric, Structural, Technique, Value


def default_range(name: str, declaration: Hyperparameter) -> Range | None:
    """Return the range over which a technique's hyperparameter is searched by default, or None if it is fixed."""
    if isinstance(declaration, Structural):
        choices = declaration.choices if declaration.searched is True else declaration.searched
        return Range(choices=choices) if choices else None
    if declaration.low is None or declaration.high is None:
        return None
    return Range.parse({"low": declaration.low, "high": declaration.high, "log": declaration.log}, f"range of {name}")


def ranges(recipe: Recipe, techniques: Sequence[Technique]) -> dict[str, Range]:
    """Return the range of each searched hyperparameter: the recipe's, or else a technique's if it is not fixed."""
    found: dict[str, Range] = {}
    for technique in techniques:
        for name, declaration in technique.hyperparameters.items():
            if (default := default_range(name, declaration)) is not None:
                found[name] = default
        found |= {name: Range.parse(one, f"technique {technique.name!r}") for name, one in technique.space.items()}
    return {name: searched for name, searched in found.items() if name not in recipe.set} | dict(recipe.space)


def distribution(name: str, declaration: Hyperparameter, searched: Range) -> BaseDistribution:
    """Return Optuna's distribution for the range or the choices of a hyperparameter.

    Raises:
        RequestError: a value in it is not allowed, a choice occurs twice, or the hyperparameter takes choices only.
    """
    if searched.choices:
        choices = tuple(declaration.validate(name, choice) for choice in searched.choices)
        if len(set(choices)) < len(choices):
            raise RequestError(f"{name} has a choice twice: {clip(', '.join(map(str, choices)))}")
        return CategoricalDistribution(choices)
    assert searched.low is not None
    assert searched.high is not None
    if isinstance(declaration, Numeric) and not declaration.whole:
        low, high = declaration.validate(name, searched.low), declaration.validate(name, searched.high)
        return FloatDistribution(low, high, log=searched.log)
    if isinstance(declaration, Structural) and (declaration.choices or declaration.parse is not None):
        raise RequestError(f"{name} takes choices, such as --space {name}=A,B; got a range")
    # From 2^53 on, a float no longer tells neighbouring whole numbers apart.
    if searched.low != int(searched.low) or searched.high != int(searched.high) or searched.high > 2**53:
        raise RequestError(f"{name} takes whole numbers up to 2^53, got the range {searched.low:g}:{searched.high:g}")
    low_int, high_int = declaration.validate(name, int(searched.low)), declaration.validate(name, int(searched.high))
    return IntDistribution(int(low_int), int(high_int), log=searched.log)


def suggested(trial: Trial, name: str, distribution: BaseDistribution) -> Value:
    """Return the value that a trial's sampler chooses."""
    if isinstance(distribution, FloatDistribution):
        return trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(name, distribution.low, distribution.high, log=distribution.log)
    assert isinstance(distribution, CategoricalDistribution)
    chosen = trial.suggest_categorical(name, distribution.choices)
    assert chosen is not None
    return chosen


def as_text(distribution: BaseDistribution) -> str:
    """Return a distribution as the command line takes it: ``1e-06:0.1:log`` or ``sgd,adam``."""
    if isinstance(distribution, CategoricalDistribution):
        return ",".join(map(str, distribution.choices))
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return f"{distribution.low}:{distribution.high}{':log' if distribution.log else ''}"


def contains(distribution: BaseDistribution, value: Value) -> bool:
    """Return whether a value is among the choices or within the range."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return isinstance(value, int | float) and distribution.low <= value <= distribution.high


def position(distribution: BaseDistribution, value: Value) -> float | None:
    """Return the position of a value in its range, from 0 to 1 on the scale of the search; for choices, its rank.

    It is None for choices that are not all numbers, and for a range of one value.
    """
    if isinstance(distribution, CategoricalDistribution):
        choices = [choice for choice in distribution.choices if isinstance(choice, int | float)]
        if len(choices) < max(2, len(distribution.choices)) or any(isinstance(choice, bool) for choice in choices):
            return None
        return sorted(choices).index(float(value)) / (len(choices) - 1)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high, at = float(distribution.low), float(distribution.high), float(value)
    if distribution.log:
        low, high, at = math.log(low), math.log(high), math.log(at)
    return (at - low) / (high - low) if high > low else None


def grid_values(distribution: BaseDistribution, points: int) -> list[Value]:
    """Return the values of one axis of a grid: all choices, or `points` values, evenly spaced (on a log scale too)."""
    if isinstance(distribution, CategoricalDistribution):
        return [choice for choice in distribution.choices if choice is not None]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = distribution.low, distribution.high
    spaced = np.geomspace(low, high, points) if distribution.log else np.linspace(low, high, points)
    if isinstance(distribution, IntDistribution):
        return sorted({round(value) for value in spaced.tolist()})
    # The ends are not rounded, which could carry them outside the distribution.
    return [low, *(float(f"{value:.12g}") for value in spaced[1:-1].tolist()), high]
