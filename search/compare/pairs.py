"""Chosen trials with their test results, and the differences between two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from search.show.interval import Interval
from search.statistics.crossed import Floats, crossed, unseen
from search.train.metrics.bootstrap import Draws


@dataclass(frozen=True)
class Arm:
    """A study's chosen trial, trained on fresh replicates and tested: one arm of the comparison.

    Attributes:
        study: the name of the study.
        trial: the number of the trial.
        params: its hyperparameters.
        label: what sentences call it.
        searched: the number of trials that the study has finished.
        value: the trial's value in its study, of its first objective.
        losses: the losses of the test examples, ``replicates x examples``; in a cross-validation, of the folds,
            ``(folds,)``.
        scores: 1 where the class is right and 0 elsewhere, or the squared error in the user's units,
            ``replicates x examples``; in a cross-validation, the metric of the folds, ``(folds,)``.
        readings: how many times the study's test split has been read, this time included.
        objective: the study's first objective.
        measured: what the intervals of another metric need: `Scoring.measure`.
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
    objective: str = "val_loss"
    measured: Floats | Draws | None = None


@dataclass(frozen=True)
class Difference:
    """The first of two trials minus the second.

    Attributes:
        interval: the difference, with an interval that holds together with all others of its family.
        p: the p value, adjusted for the family; it is below 0.05 exactly where the interval excludes 0.
        effect: the difference divided by the standard deviation of the replicates' paired differences; None where
            that is 0.
        example_share: the share of the variance of the difference that is due to the test examples.
    """

    interval: Interval
    p: float
    effect: float | None
    example_share: float


@dataclass(frozen=True)
class Shared:
    """The parts of training that paired replicates of two trials have in common.

    Attributes:
        parts: what they share, such as "batch order".
        unshared: what they don't share, and why; empty where they share everything.
    """

    parts: Sequence[str]
    unshared: str = ""


@dataclass(frozen=True)
class Pair:
    """Two trials, in the order in which their studies were named, and their differences.

    Attributes:
        first: the first trial.
        second: the second trial.
        score: the difference in what verdicts are on, such as accuracy or RMSE.
        loss: the difference in loss; None if the studies measure it differently.
        shared: what their paired replicates have in common.
    """

    first: Arm
    second: Arm
    score: Difference
    loss: Difference | None
    shared: Shared

    @property
    def names(self) -> str:
        """The names of the two studies, ``l2-digits and l1-digits``."""
        return f"{self.first.study} and {self.second.study}"


def mean_interval(cells: Floats, family: int = 1) -> Interval:
    """Return the mean of cells ``replicates x examples`` with its interval, one of a family of so many."""
    estimate = crossed(cells)
    low, high = estimate.interval(family)
    return Interval(float(estimate.value), float(low), float(high))


def weighted(tables: Sequence[Floats], weights: Sequence[float]) -> Floats:
    """Return the weighted sum of tables of one shape, for which pairs of cells stay paired."""
    return np.tensordot(np.asarray(weights), np.stack(tables), 1)


def mean_difference(cells: Floats, family: int) -> Difference:
    """Return the difference of two trials, from the differences of their cells ``replicates x examples``."""
    estimate = crossed(cells)
    effect = float(estimate.value / estimate.spread) if estimate.spread > 0 else None
    return Difference(mean_interval(cells, family), float(estimate.p(family)), effect, float(estimate.example_share))


def accuracy_interval(scores: Floats) -> Interval:
    """Return an accuracy in percent with its interval, from scores ``replicates x examples`` that are 1 or 0.

    Where all predictions are right, or all are wrong, nothing varies; the interval is then the exact one for an event
    that was not seen in so many examples.
    """
    interval = mean_interval(100 * scores)
    if (scores == scores.flat[0]).all():
        most = 100 * unseen(scores.shape[1])
        return replace(interval, low=100 - most) if scores.flat[0] else replace(interval, high=most)
    # A t interval may reach beyond the accuracies that are possible.
    return replace(interval, low=max(0.0, interval.low), high=min(100.0, interval.high))


def accuracy_difference(first: Floats, second: Floats, family: int) -> Difference:
    """Return the difference of two accuracies in percent, from scores ``replicates x examples`` that are 1 or 0.

    Where both trials are right on the same examples, the interval allows for examples on which they would differ but
    that the test split does not have.
    """
    difference = mean_difference(100 * (first - second), family)
    if not (first == second).all():
        return difference
    most = 100 * unseen(first.shape[1], family)
    return replace(difference, interval=Interval(0.0, -most, most))
