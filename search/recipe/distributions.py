"""From the range of a hyperparameter to Optuna's distribution, a trial's value, the values of a grid's axis."""

from __future__ import annotations

import math

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from search.errors import RequestError, clip
from search.recipe.schema import Range
from search.technique import Hyperparameter, Numeric, Structural, Value


def default_range(name: str, declaration: Hyperparameter) -> Range | None:
    """What a technique's hyperparameter is searched over if the recipe does not say."""
    if isinstance(declaration, Structural):
        return Range(choices=declaration.choices) if declaration.searched else None
    if declaration.low is None or declaration.high is None:
        return None
    return Range.parse({"low": declaration.low, "high": declaration.high, "log": declaration.log}, f"range of {name}")


def distribution(name: str, declaration: Hyperparameter, wanted: Range) -> BaseDistribution:
    """Optuna's distribution for a range or choices of a hyperparameter.

    Raises:
        RequestError: a value of it is not allowed, a choice is there twice, or it takes no range.
    """
    if wanted.choices:
        choices = tuple(declaration.check(name, choice) for choice in wanted.choices)
        if len(set(choices)) < len(choices):
            raise RequestError(f"{name} has a choice twice: {clip(', '.join(map(str, choices)))}")
        return CategoricalDistribution(choices)
    assert wanted.low is not None
    assert wanted.high is not None
    if isinstance(declaration, Numeric) and not declaration.whole:
        low, high = declaration.check(name, wanted.low), declaration.check(name, wanted.high)
        return FloatDistribution(low, high, log=wanted.log)
    if isinstance(declaration, Structural) and (declaration.choices or declaration.parse is not None):
        raise RequestError(f"{name} takes choices, such as --space {name}=A,B; got a range")
    # From 2^53 on a float is no longer exact to the unit.
    if wanted.low != int(wanted.low) or wanted.high != int(wanted.high) or wanted.high > 2**53:
        raise RequestError(f"{name} takes whole numbers up to 2^53, got the range {wanted.low:g}:{wanted.high:g}")
    low_int, high_int = declaration.check(name, int(wanted.low)), declaration.check(name, int(wanted.high))
    return IntDistribution(int(low_int), int(high_int), log=wanted.log)


def suggested(trial: Trial, name: str, distribution: BaseDistribution) -> Value:
    """The value that a trial's sampler chooses."""
    if isinstance(distribution, FloatDistribution):
        return trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(name, distribution.low, distribution.high, log=distribution.log)
    assert isinstance(distribution, CategoricalDistribution)
    chosen = trial.suggest_categorical(name, distribution.choices)
    assert chosen is not None
    return chosen


def as_text(distribution: BaseDistribution) -> str:
    """As the command line takes it: ``1e-06:0.1:log`` or ``sgd,adam``."""
    if isinstance(distribution, CategoricalDistribution):
        return ",".join(map(str, distribution.choices))
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return f"{distribution.low}:{distribution.high}{':log' if distribution.log else ''}"


def position(distribution: BaseDistribution, value: Value) -> float | None:
    """Where a value lies in its range, from 0 to 1 on the scale it is searched on; of choices, its rank.

    None for choices without an order, or a range of one value.
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
    """The values of one axis: every choice, or `points` evenly spaced ones (geometrically on a log scale)."""
    if isinstance(distribution, CategoricalDistribution):
        return [choice for choice in distribution.choices if choice is not None]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = distribution.low, distribution.high
    spaced = np.geomspace(low, high, points) if distribution.log else np.linspace(low, high, points)
    if isinstance(distribution, IntDistribution):
        return sorted({round(value) for value in spaced.tolist()})
    # The end points exactly: rounding may carry them over the edge of the distribution.
    return [low, *(float(f"{value:.12g}") for value in spaced[1:-1].tolist()), high]
