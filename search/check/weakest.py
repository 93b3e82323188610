"""The settings of a study that regularise least: if any settings can memorise a batch, these can."""

from __future__ import annotations

import math

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search.recipe.space import Space
from search.recipe.switches import NONE
from search.technique import Numeric, Value

_RATES = 9


def least_regularised(space: Space) -> dict[str, Value]:
    """Return the values of a trial: fixed ones as they are, searched ones where they regularise least.

    A searched hyperparameter that does not regularise takes its default, if the search allows that, or else the middle
    of its range.
    """
    values = space.complete({name: _least_regularised(space, name) for name in space.searched})
    assert values is not None
    return values


def _least_regularised(space: Space, name: str) -> Value:
    if name not in space.declared:  # a switch or a group: to be off comes first, or else the first technique
        return NONE if NONE in space.possible(name) else space.possible(name)[0]
    declared, possible = space.declared[name], space.possible(name)
    searched = space.searched[name]
    choices = isinstance(searched, CategoricalDistribution)

    def allowed(value: Value | None) -> bool:
        if choices:
            return value in possible
        return isinstance(value, int | float) and possible[0] <= value <= possible[-1]  # type: ignore[operator]

    if isinstance(declared, Numeric):
        for value in (declared.neutral, None if declared.stronger else declared.default):
            if value is not None and allowed(value):
                return value
        if declared.stronger is not None:
            return (min if declared.stronger == "up" else max)(map(float, possible))
    elif allowed(declared.default):
        return declared.default
    if choices:
        return possible[0]
    low, high = map(float, possible)
    assert isinstance(searched, FloatDistribution | IntDistribution)
    middle = math.sqrt(low * high) if searched.log else (low + high) / 2
    return round(middle) if isinstance(searched, IntDistribution) else middle


def learning_rates(space: Space, lr: float) -> tuple[float, ...]:
    """Return the learning rates to try: the range that is searched, or a decade on either side of the fixed rate.

    They are evenly spaced in the logarithm.
    """
    searched = space.searched.get("lr")
    if isinstance(searched, CategoricalDistribution):
        choices = sorted(float(choice) for choice in searched.choices if choice is not None)
        return tuple(choices[:: -(-len(choices) // _RATES)])
    shares = [place / (_RATES - 1) for place in range(_RATES)]
    if searched is None:
        return tuple(lr * 10.0 ** (2 * share - 1) for share in shares)  # lr itself in the middle
    low, high = map(float, space.possible("lr"))
    return tuple(min(low * (high / low) ** share, high) for share in shares)
