"""What verdicts are on: accuracy, RMSE or another metric of test rows, and how its intervals are computed.

A mean over test rows has the t interval of a crossed table (`search.statistics.crossed`), and so has RMSE by the delta
method. Metrics that are no means, such as F1, have intervals by a bootstrap (`search.train.metrics.bootstrap`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from search.compare.pairs import (
    Arm,
    Difference,
    Pair,
    accuracy_difference,
    accuracy_interval,
    mean_difference,
    mean_interval,
    weighted,
)
from search.errors import RequestError, unknown
from search.show.interval import Interval
from search.statistics.crossed import Floats, root
from search.study.study import BaseStudy
from search.train.metrics.bootstrap import Draws, bootstrap, draw
from search.train.metrics.built_in import METRICS
from search.train.metrics.metric import Metric
from search.train.metrics.objective import VAL_LOSS, for_task

_MEANS = ("val_brier", "val_mae", "val_mape")
"""The metrics that are means over rows."""


class Scoring(ABC):
    """A metric of the test rows.

    Attributes:
        name: its name in tables of data.
        higher: whether a higher value is better.
        label: what tables call it, with its unit.
        unit: what follows a difference in sentences.
        axis: what the axis of the figure calls a difference.
        metric: the metric to compute of predictions; None where the correctness or errors of rows are enough.
        loss_label: what tables and sentences call the loss.
        reads_test: whether it reads the test split.
    """

    name: str
    higher: bool
    label: str
    unit: str
    axis: str
    metric: Metric | None = None
    loss_label: str = "test loss"
    reads_test: bool = True

    @abstractmethod
    def interval(self, arm: Arm) -> Interval:
        """Return a trial's value with its own interval."""

    @abstractmethod
    def contrast(self, arms: Sequence[Arm], weights: Sequence[float], family: int = 1) -> Difference:
        """Return the weighted sum of some trials' values, with an interval that is one of a family of so many.

        Args:
            arms: the trials.
            weights: the weight of each; their sum is 0, so that the result is a difference.
            family: the number of intervals that hold together.
        """

    @abstractmethod
    def remarks(self, arms: Sequence[Arm], pairs: Sequence[Pair]) -> list[str]:
        """Return what a reader should know about the intervals, a line each."""

    def difference(self, first: Arm, second: Arm, family: int = 1) -> Difference:
        """Return the first trial's value minus the second's, like `contrast`."""
        return self.contrast((first, second), (1.0, -1.0), family)

    def loss_interval(self, arm: Arm) -> Interval:
        """Return a trial's loss with its own interval."""
        return mean_interval(arm.losses)

    def loss_difference(self, first: Arm, second: Arm, family: int) -> Difference:
        """Return the difference in loss, like `difference`."""
        return mean_difference(first.losses - second.losses, family)

    def counts(self, arm: Arm) -> str:
        """Return what a trial's value is a mean over."""
        replicates, examples = arm.scores.shape
        return f"{replicates} replicates, {examples:,} test examples"

    def measure(self, targets: Tensor, predictions: Tensor, weights: Tensor | None) -> Floats | Draws | None:
        """Return what the intervals need of a trial's predictions; None where its scores are enough.

        Args:
            targets: the targets of the test rows, as `Metric` takes them.
            predictions: the predictions of every replicate, ``replicates x rows x outputs``.
            weights: the weights of the rows.
        """
        del targets, predictions, weights
        return None


class Accuracy(Scoring):
    """Accuracy in percent."""

    name, higher, label = "accuracy", True, "test accuracy, %"
    unit = axis = "points of test accuracy"

    def interval(self, arm: Arm) -> Interval:
        return accuracy_interval(arm.scores)

    def contrast(self, arms: Sequence[Arm], weights: Sequence[float], family: int = 1) -> Difference:
        return mean_difference(weighted([100 * arm.scores for arm in arms], weights), family)

    def difference(self, first: Arm, second: Arm, family: int = 1) -> Difference:
        return accuracy_difference(first.scores, second.scores, family)

    def remarks(self, arms: Sequence[Arm], pairs: Sequence[Pair]) -> list[str]:
        """Name the accuracies whose interval is the exact one, because nothing varies."""
        rule = "test examples: this interval is the exact one for an event that was not seen (Clopper and Pearson)"
        lines = []
        for arm in arms:
            examples = f"{arm.scores.shape[1]:,}"
            if arm.scores.all():
                lines.append(f"{arm.study} makes no error on {examples} {rule}")
            elif not arm.scores.any():
                lines.append(f"{arm.study} is right on none of {examples} {rule}")
        for pair in pairs:
            if not lines and (pair.first.scores == pair.second.scores).all():
                lines.append(f"{pair.names} are right on the same ones of {pair.first.scores.shape[1]:,} {rule}")
        return lines


class RootMeanSquare(Scoring):
    """The root mean squared error in the units of the data."""

    name, higher, label = "rmse", False, "test RMSE"
    unit, axis = "of test RMSE", "test RMSE, units of the data"

    def interval(self, arm: Arm) -> Interval:
        return mean_interval(root(arm.scores))

    def contrast(self, arms: Sequence[Arm], weights: Sequence[float], family: int = 1) -> Difference:
        return mean_difference(weighted([root(arm.scores) for arm in arms], weights), family)

    def remarks(self, arms: Sequence[Arm], pairs: Sequence[Pair]) -> list[str]:
        del arms, pairs
        return ["RMSE is in the units of the data; its intervals use the delta method"]


@dataclass(frozen=True)
class _OfMetric(Scoring):
    """A metric of predictions."""

    metric: Metric
    method: ClassVar[str]

    def __post_init__(self) -> None:
        shown = self.metric.objective.shown.replace("validation", "test")
        shown = shown if shown.startswith("test") else f"test {shown.removeprefix('val_')}"
        for name, value in (
            ("name", self.metric.name.removeprefix("val_")),
            ("higher", self.metric.direction == "maximize"),
            ("label", shown),
            ("unit", f"of {shown}"),
            ("axis", shown),
        ):
            object.__setattr__(self, name, value)

    def remarks(self, arms: Sequence[Arm], pairs: Sequence[Pair]) -> list[str]:
        del arms, pairs
        return [f"the intervals of {self.name} are by {self.method}"]


class MeanOverRows(_OfMetric):
    """A metric that is a mean over rows."""

    method = "a t test on the crossed table of replicates and test examples"

    def measure(self, targets: Tensor, predictions: Tensor, weights: Tensor | None) -> Floats:
        del weights
        rows = range(len(targets))
        each = [self.metric.function(targets[row : row + 1], predictions[:, row : row + 1]) for row in rows]
        cells: Floats = torch.stack(each, 1).numpy()
        return cells

    def interval(self, arm: Arm) -> Interval:
        return mean_interval(_cells(arm))

    def contrast(self, arms: Sequence[Arm], weights: Sequence[float], family: int = 1) -> Difference:
        return mean_difference(weighted([_cells(arm) for arm in arms], weights), family)


class Resampled(_OfMetric):
    """A metric that is no mean over rows."""

    method = "a bootstrap over replicates and test examples, by percentiles"

    def measure(self, targets: Tensor, predictions: Tensor, weights: Tensor | None) -> Draws:
        return draw(self.metric, targets, predictions, weights)

    def interval(self, arm: Arm) -> Interval:
        found = bootstrap(_draws(arm))
        return Interval(found.value, *found.interval())

    def contrast(self, arms: Sequence[Arm], weights: Sequence[float], family: int = 1) -> Difference:
        found = bootstrap(Draws.combined([_draws(arm) for arm in arms], weights))
        effect = found.value / found.spread if found.spread > 0 else None
        interval = Interval(found.value, *found.interval(family))
        return Difference(interval, found.p(family), effect, 1 - found.share)

    def remarks(self, arms: Sequence[Arm], pairs: Sequence[Pair]) -> list[str]:
        lines = super().remarks(arms, pairs)
        (count,) = {len(_draws(arm).drawn) for arm in arms}
        lines[0] += f" of {count:,} draws, moved outwards for few replicates"
        for pair in pairs:
            if pair.score.interval.low == pair.score.interval.high:
                lines.append(
                    f"no draw tells {pair.names} apart: that the interval has no width says nothing of other test rows"
                )
        return lines


def _cells(arm: Arm) -> Floats:
    assert arm.measured is not None
    assert not isinstance(arm.measured, Draws)
    return arm.measured


def _draws(arm: Arm) -> Draws:
    assert isinstance(arm.measured, Draws)
    return arm.measured


def choose(studies: Sequence[BaseStudy], score: str | None = None) -> Scoring:
    """Return what verdicts are on.

    Args:
        studies: the studies, all on the same data.
        score: the name of a metric, with or without ``val_``. By default it is the first objective of the studies, if
            they share one and it is not the loss, or else accuracy or RMSE.

    Raises:
        RequestError: there is no such metric for these data.
    """
    task = studies[0].data.task
    usual = Accuracy() if task == "classification" else RootMeanSquare()
    if score is None:
        (name, *others) = {study.objectives.first.name for study in studies}
        if others or name == VAL_LOSS.name:
            return usual
    else:
        name = score if score.startswith("val_") else f"val_{score}"
    if name == f"val_{usual.name}":
        return usual
    own = {metric.name: metric for study in studies for metric in study.metrics if metric.name not in METRICS}
    allowed = [one for one in (*for_task(task), *own) if one != VAL_LOSS.name]
    if name not in allowed:
        if name in METRICS:
            raise RequestError(f"score {name} is not for {task}: {', '.join(allowed)} would work")
        raise unknown("score", name, allowed)
    metric = {**METRICS, **own}[name]
    weighted = studies[0].data.w_test is not None
    return MeanOverRows(metric) if name in _MEANS and not weighted else Resampled(metric)
