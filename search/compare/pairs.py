"""Chosen trials as they were tested, and the differences of two: what a comparison is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from search.compare.crossed import Floats, crossed, root, unseen

Metric = Literal["accuracy", "rmse"]


@dataclass(frozen=True)
class Interval:
    """A value, and low and high of its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        value, low, high = figures(self.value, self.low, self.high, digits=2)
        return f"{value} ({low} to {high})"


@dataclass(frozen=True)
class Arm:
    """A study's chosen trial, trained on fresh replicates and tested.

    Attributes:
        searched: how many trials the study has finished.
        value: the trial's in its study.
        losses: of the test examples, ``replicates x examples``.
        scores: 1 where the class is right, or the squared error in the user's units, likewise.
        readings: how often the study's test split has been read by now, this time included.
    """

    study: str
    trial: int
    params: Mapping[str, Any]
    label: str
    searched: int
    value: float
    losses: Floats
    scores: Floats
    readings: int

    def cells(self, metric: Metric) -> Floats:
        """What each replicate and example adds to the metric as a person reads it: percent, or units of the data."""
        return 100 * self.scores if metric == "accuracy" else root(self.scores)


@dataclass(frozen=True)
class Difference:
    """Of two trials, the first less the second, with an interval that holds with all others of its family.

    Attributes:
        p: adjusted for the family, below 0.05 exactly where the interval leaves out 0.
        effect: the difference over the standard deviation of the replicates' paired differences; None where that is 0.
        of_examples: the share of its variance that is due to the test examples.
    """

    interval: Interval
    p: float
    effect: float | None
    of_examples: float


@dataclass(frozen=True)
class Pair:
    """Two trials, in the order in which their studies were named; what of training was common to both."""

    first: Arm
    second: Arm
    score: Difference
    loss: Difference | None
    shared: Sequence[str]


def interval(cells: Floats, family: int = 1) -> Interval:
    """Of the mean of cells ``replicates x examples``."""
    found = crossed(cells)
    low, high = found.interval(family)
    return Interval(float(found.value), float(low), float(high))


def difference(cells: Floats, family: int) -> Difference:
    """Of two trials, from the differences of their cells ``replicates x examples``."""
    found = crossed(cells)
    effect = float(found.value / found.spread) if found.spread > 0 else None
    return Difference(interval(cells, family), float(found.p(family)), effect, float(found.of_examples))


def of_correct(scores: Floats) -> Interval:
    """Of an accuracy in percent, of ``replicates x examples`` that are 1 or 0.

    Where all are right, or all wrong, nothing varies, and the interval is that of a share that is not seen.
    """
    found = interval(100 * scores)
    if (scores == scores.flat[0]).all():
        rest = 100 * unseen(scores.shape[1])
        return replace(found, low=100 - rest) if scores.flat[0] else replace(found, high=rest)
    # No accuracy lies beyond these, whatever a t interval says.
    return replace(found, low=max(0.0, found.low), high=min(100.0, found.high))


def of_answers(first: Floats, second: Floats, family: int) -> Difference:
    """Of two accuracies in percent; where both are right on the same examples, they may differ on some not seen."""
    found = difference(100 * (first - second), family)
    if not (first == second).all():
        return found
    rest = 100 * unseen(first.shape[1], family)
    return replace(found, interval=Interval(0.0, -rest, rest))


def figures(*values: float, digits: int = 1) -> list[str]:
    """Numbers with as many decimals as the smallest of them takes: none is rounded to 0, and so to another verdict."""
    sizes = [abs(value) for value in values if value != 0 and math.isfinite(value)]
    places = max(1, digits - 1 - math.floor(math.log10(min(sizes)))) if sizes else 1
    return [f"{value:.{places}f}" if places <= 6 else f"{value:.{digits}g}" for value in values]
