"""Tell whether the best trial lies at the edge of a range, beyond which a better one may lie, and how far to widen
it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from search.errors import RequestError
from search.recipe.distributions import position
from search.show.text import OFF, SWITCH
from search.technique import Hyperparameter, Numeric, Value

SHARE = 0.05
"""A value this close to an end, as a share of the range, lies at the edge."""
QUARTER = 0.25
"""The best trial this close to an end lies at the edge if no other trial is closer."""

End = Literal["lower", "upper"]
Interval = FloatDistribution | IntDistribution


@dataclass(frozen=True)
class Edge:
    """An end of a range at which the best trial lies.

    Attributes:
        name: the hyperparameter.
        value: its value in the best trial.
        end: the end of the range.
        bound: the value at that end.
        limit: whether no value is allowed beyond that end, or the hyperparameter does nothing there.
        wider: the range that reaches further at this end; None if there is none.
        off: whether the hyperparameter may also be off.
    """

    name: str
    value: float
    end: End
    bound: float
    limit: bool
    wider: Interval | None
    off: bool = False

    def warning(self, *, extends: bool) -> str:
        """Return a warning with its remedy; `extends` says whether ``--extend`` would move this end."""
        where = f"The best {self.name}, {self.value:.3g}, lies at the {self.end} end of its range ({self.bound:.3g})"
        if self.limit:
            return f"{where}, where it reaches its limit or does nothing."
        where += ": a better one may lie beyond."
        if self.wider is None:
            return where
        moved = self.wider.low if self.end == "lower" else self.wider.high
        if extends:
            return f"{where} Search further, to {moved:.4g}, with --extend."
        log = ":log" if self.wider.log else ""
        range_ = f"{self.wider.low:.4g}:{self.wider.high:.4g}{log}"
        return f"{where} Search further, as with --space {self.name}={f'{OFF},' * self.off}{range_}."


def edges(
    best: Mapping[str, Value],
    tried: Sequence[Mapping[str, Value]],
    searched: Mapping[str, BaseDistribution],
    declared: Mapping[str, Hyperparameter],
) -> list[Edge]:
    """Return the ends of ranges at which the best trial lies; choices have no ends.

    A minimum is bracketed if worse trials lie on both sides of it. So the best trial lies at the edge if

    - it is within a twentieth of the range from the end, where there are few trials beyond it, and these may be worse
      by noise or by other hyperparameters; or
    - it is within a quarter of the range from the end, and no trial lies beyond it, so that nothing shows that the
      objective gets worse there. If it lies further inside, trials are too few to have searched the range itself.

    Args:
        best: the hyperparameters of the best trial.
        tried: the hyperparameters of all finished trials, pruned ones included: they are worse.
        searched: the distributions of the searched hyperparameters.
        declared: the declarations of the hyperparameters.
    """
    at_edges = []
    for name, distribution in searched.items():
        value = best.get(name)
        if not isinstance(distribution, FloatDistribution | IntDistribution) or not isinstance(value, int | float):
            continue
        place = position(distribution, value)
        if place is None:
            continue
        off = SWITCH + name in searched
        places = [position(distribution, params[name]) or 0.0 for params in tried if name in params]
        if place <= SHARE or (place <= QUARTER and place <= min(places, default=0.0)):
            at_edges.append(_edge(name, value, "lower", distribution, declared[name], off))
        elif place >= 1 - SHARE or (place >= 1 - QUARTER and place >= max(places, default=1.0)):
            at_edges.append(_edge(name, value, "upper", distribution, declared[name], off))
    return at_edges


def _edge(name: str, value: Value, end: End, distribution: Interval, declared: Hyperparameter, off: bool) -> Edge:
    bound = distribution.low if end == "lower" else distribution.high
    limit = bound in _limits(declared, end) or (isinstance(declared, Numeric) and bound == declared.neutral)
    beyond = None if limit else wider(name, distribution, declared, end)
    return Edge(name, float(value), end, float(bound), limit, beyond, off)


def _limits(declared: Hyperparameter, end: End) -> tuple[float, float]:
    """Return the inclusive and the exclusive limit of the allowed values on a side."""
    if isinstance(declared, Numeric):
        return (declared.minimum, declared.above) if end == "lower" else (declared.maximum, declared.below)
    return (declared.minimum, -math.inf) if end == "lower" else (declared.maximum, math.inf)


def wider(name: str, distribution: Interval, declared: Hyperparameter, end: End) -> Interval | None:
    """Return the range with one end moved: by a decade on a log scale, by half the range's width on a linear one.

    The end is not moved beyond the hyperparameter's limit, nor beyond the value where it does nothing; it is moved half
    of the way to a limit that is itself not allowed. Returns None if it cannot be moved.
    """
    sign = -1 if end == "lower" else 1
    bound = distribution.low if end == "lower" else distribution.high
    moved = bound * 10.0**sign if distribution.log else bound + sign * (distribution.high - distribution.low) / 2
    inclusive, exclusive = _limits(declared, end)
    stops = [inclusive, *([declared.neutral] if isinstance(declared, Numeric) and declared.neutral is not None else [])]
    for stop in stops:
        if bound * sign < stop * sign < moved * sign:
            moved = stop
    if moved * sign >= exclusive * sign:
        moved = (bound + exclusive) / 2
    if isinstance(distribution, IntDistribution):
        moved = math.floor(moved) if end == "upper" else math.ceil(moved)
    elif distribution.log:
        moved = float(f"{moved:.12g}")  # without rounding, a decade from 1e-06 is 9.999999999999999e-06
    low, high = (moved, distribution.high) if end == "lower" else (distribution.low, moved)
    if moved == bound or (distribution.log and low <= 0):
        return None
    try:
        declared.validate(name, moved)
    except RequestError:
        return None
    return ranging(distribution, low, high)


def ranging(like: Interval, low: float, high: float) -> Interval:
    """Return a range from `low` to `high` of the same type and scale."""
    if isinstance(like, IntDistribution):
        return IntDistribution(int(low), int(high), log=like.log)
    return FloatDistribution(low, high, log=like.log)
