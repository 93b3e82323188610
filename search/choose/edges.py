"""Whether the best trial lies at the edge of a range, so that a better one may lie beyond, and how far to go then."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from search.errors import RequestError
from search.recipe.distributions import position
from search.technique import Hyperparameter, Numeric, Value

SHARE = 0.05
"""A value within this share of its range from an end lies at the edge."""
QUARTER = 0.25
"""The outermost trial within this share lies at the edge, if it is the best."""

End = Literal["lower", "upper"]
Interval = FloatDistribution | IntDistribution


@dataclass(frozen=True)
class Edge:
    """The best trial lies at an end of a range.

    Attributes:
        value: the best one's; bound: the end's.
        limit: whether nothing is allowed beyond it, or it is where the hyperparameter does nothing.
        wider: the range that reaches further on this side; None where there is none.
    """

    name: str
    value: float
    end: End
    bound: float
    limit: bool
    wider: Interval | None

    def told(self, *, extends: bool) -> str:
        """A sentence or two of it, with the remedy; `extends` says whether ``--extend`` goes on there."""
        where = f"The best {self.name}, {self.value:.3g}, lies at the {self.end} end of its range ({self.bound:.3g})"
        if self.limit:
            return f"{where}, which is a limit of what it can be, or where it does nothing."
        where += ": a better one may lie beyond. Search further"
        if self.wider is None:
            return f"{where}."
        moved = self.wider.low if self.end == "lower" else self.wider.high
        if extends:
            return f"{where}, to {moved:.4g}, with --extend."
        log = ":log" if self.wider.log else ""
        return f"{where}, as with --space {self.name}={self.wider.low:.4g}:{self.wider.high:.4g}{log}."


def edges(
    best: Mapping[str, Value],
    tried: Sequence[Mapping[str, Value]],
    searched: Mapping[str, BaseDistribution],
    declared: Mapping[str, Hyperparameter],
) -> list[Edge]:
    """The ranges at an end of which the best trial lies; choices have no ends.

    A minimum is bracketed where worse trials lie on both sides of it. So the best lies at the edge if

    - it is within a twentieth of the range from the end, where the few trials beyond it differ by their noise, and in
      other hyperparameters, as much as by this one; or
    - no trial lies beyond it, so that nothing says that it gets worse there, and it is within a quarter of the range
      from the end: further away, which happens where trials are few, it is the range itself that has not been searched.

    Args:
        best: the best trial's hyperparameters.
        tried: those of all finished trials, the pruned ones too: they are worse.
    """
    found = []
    for name, distribution in searched.items():
        value = best.get(name)
        if not isinstance(distribution, FloatDistribution | IntDistribution) or not isinstance(value, int | float):
            continue
        place = position(distribution, value)
        if place is None:
            continue
        places = [position(distribution, one[name]) or 0.0 for one in tried if name in one]
        if place <= SHARE or (place <= QUARTER and place <= min(places, default=0.0)):
            found.append(_edge(name, value, "lower", distribution, declared[name]))
        elif place >= 1 - SHARE or (place >= 1 - QUARTER and place >= max(places, default=1.0)):
            found.append(_edge(name, value, "upper", distribution, declared[name]))
    return found


def _edge(name: str, value: Value, end: End, distribution: Interval, declared: Hyperparameter) -> Edge:
    bound = distribution.low if end == "lower" else distribution.high
    limit = bound in _limits(declared, end) or (isinstance(declared, Numeric) and bound == declared.neutral)
    beyond = None if limit else wider(name, distribution, declared, end)
    return Edge(name, float(value), end, float(bound), limit, beyond)


def _limits(declared: Hyperparameter, end: End) -> tuple[float, float]:
    """What is allowed at most on a side: inclusive, exclusive."""
    if isinstance(declared, Numeric):
        return (declared.minimum, declared.above) if end == "lower" else (declared.maximum, declared.below)
    return (declared.minimum, -math.inf) if end == "lower" else (declared.maximum, math.inf)


def wider(name: str, distribution: Interval, declared: Hyperparameter, end: End) -> Interval | None:
    """The range, moved on one side by a decade on a log scale, by half its width on a linear one.

    It goes no further than the hyperparameter may, nor than where it does nothing, and half of the way to what it may
    come near to but not reach. None where that is nowhere.
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
        moved = float(f"{moved:.12g}")  # a decade on from 1e-06 is 1e-05
    low, high = (moved, distribution.high) if end == "lower" else (distribution.low, moved)
    if moved == bound or (distribution.log and low <= 0):
        return None
    try:
        declared.validate(name, moved)
    except RequestError:
        return None
    return ranging(distribution, low, high)


def ranging(like: Interval, low: float, high: float) -> Interval:
    """A range from `low` to `high`, of the same kind."""
    if isinstance(like, IntDistribution):
        return IntDistribution(int(low), int(high), log=like.log)
    return FloatDistribution(low, high, log=like.log)
