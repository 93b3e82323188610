"""Intervals for metrics that are no means over rows, such as F1 or the area under a ROC curve.

Networks of R replicates are tested on the same n rows. Other replicates and other rows could have been drawn just as
well, so both are drawn with replacement, independently: the pigeonhole bootstrap. A draw's value is the mean, over the
replicates drawn, of their metric on the rows drawn. The interval is that of percentiles of the draws, and differences
of two trials are taken within draws, so that they stay paired.

A bootstrap over R replicates has ``(R - 1) / R`` of their variance, and its percentiles are those of a normal, not of a
t distribution. Both matter for few replicates, so the percentiles are moved outwards: an end that would be ``z``
standard errors away is moved to ``t_f sqrt(1 + A / R)``. A is the share of the replicates in the variance, that of
their mean divided by the variance of the draws; f has Satterthwaite's degrees of freedom,
``1 / (A^2 / (R - 1) + (1 - A)^2 / (n - 1))``. Where that is further out than the draws reach, the interval is
``t_f sqrt(1 + A / R)`` standard deviations of the draws on each side.

Sources: Owen, "The pigeonhole bootstrap" (Annals of Applied Statistics 1, 2007); Hesterberg, "What teachers should know
about the bootstrap" (The American Statistician 69, 2015), section 5.3, for the expanded percentile interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit
from torch import Tensor

from search.train.metrics.built_in import METRICS
from search.train.metrics.metric import Metric

Floats = NDArray[np.float64]

DRAWS = 2000
CONFIDENCE = 0.95
# Numbers in the largest temporary: draws x replicates x rows x classes.
_AT_ONCE = 2**22


@dataclass(frozen=True)
class Draws:
    """A metric of networks under draws of rows and replicates.

    Attributes:
        values: the metric of each replicate on all rows, ``(replicates,)``.
        drawn: the metric of each replicate on the rows of each draw, ``draws x replicates``; NaN where it has none.
        counts: how often each draw has each replicate, ``draws x replicates``.
        rows: the number of rows.
    """

    values: Floats
    drawn: Floats
    counts: NDArray[np.int64]
    rows: int

    @staticmethod
    def combined(trials: Sequence[Draws], weights: Sequence[float]) -> Draws:
        """Return the weighted sum of some trials' draws, which are of the same rows and replicates."""
        first, pairs = trials[0], list(zip(weights, trials, strict=True))
        values = np.sum([weight * one.values for weight, one in pairs], axis=0)
        drawn = np.sum([weight * one.drawn for weight, one in pairs], axis=0)
        return Draws(values, drawn, first.counts, first.rows)


@dataclass(frozen=True)
class Bootstrapped:
    """A metric, or a difference of two, with its uncertainty.

    Attributes:
        value: the mean over replicates of the metric on all rows.
        ordered: the values of the draws, ascending.
        spread: the standard deviation of the replicates' values; 0 for one replicate.
        share: the share of the replicates in the variance of the draws, from 0 to 1.
        freedom: the degrees of freedom.
        replicates: the number of replicates.
    """

    value: float
    ordered: Floats
    spread: float
    share: float
    freedom: float
    replicates: int

    @property
    def method(self) -> str:
        """How the interval is computed, in words."""
        what = "test rows and replicates" if self.replicates > 1 else "test rows"
        return f"bootstrap over {what}, {len(self.ordered):,} draws"

    @property
    def _stretch(self) -> float:
        """The factor on a standard error of the draws."""
        return float(np.sqrt(1 + self.share / self.replicates))

    @property
    def _error(self) -> float:
        return float(self.ordered.std()) * self._stretch

    def _beyond(self, family: int) -> int:
        """Return how many draws lie beyond each end of an interval of a family; -1 if they do not reach so far."""
        t = stdtrit(self.freedom, 1 - (1 - CONFIDENCE) / (2 * family))
        return int(np.ceil(ndtr(-t * self._stretch) * (len(self.ordered) + 1))) - 2

    def interval(self, family: int = 1) -> tuple[float, float]:
        """Return the low and high ends; all intervals of a family of so many hold together with 95% (Bonferroni)."""
        if (beyond := self._beyond(family)) >= 0:
            return float(self.ordered[beyond]), float(self.ordered[-1 - beyond])
        half = float(stdtrit(self.freedom, 1 - (1 - CONFIDENCE) / (2 * family))) * self._error
        return self.value - half, self.value + half

    def p(self, family: int = 1) -> float:
        """Return the two-sided p value times the family's size, below 5% exactly where the interval excludes 0."""
        if self._beyond(family) >= 0:
            crossing = min(int((self.ordered <= 0).sum()), int((self.ordered >= 0).sum()))
            t = max(0.0, -float(ndtri((crossing + 1) / (len(self.ordered) + 1)))) / self._stretch
        else:
            t = 0.0 if self.value == 0 else float(np.divide(abs(self.value), self._error))
        return float(min(1.0, 2 * family * stdtr(self.freedom, -t)))


def draw(
    metric: Metric,
    targets: Tensor,
    predictions: Tensor,
    weights: Tensor | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Draws:
    """Compute a metric of networks under draws of rows and replicates; the same draws for the same numbers and seed.

    Args:
        metric: the metric.
        targets: the targets of the rows, as `Metric` takes them.
        predictions: the predictions of each replicate's network, ``replicates x rows x outputs``.
        weights: the weights of the rows, ``(rows,)``.
        draws: the number of draws.
        seed: the seed of the draws.
    """
    rng = np.random.default_rng(seed)
    replicates, rows = len(predictions), len(targets)
    counts = rng.multinomial(replicates, np.full(replicates, 1 / replicates), draws)
    together = max(1, _AT_ONCE // predictions.numel())
    parts = [
        rng.multinomial(rows, np.full(rows, 1 / rows), min(together, draws - at)) for at in range(0, draws, together)
    ]
    drawn = np.concatenate(list(_of_draws(metric, targets, predictions, weights, parts)))
    return Draws(metric(targets, predictions, weights).numpy(), drawn, counts, rows)


def _of_draws(
    metric: Metric, targets: Tensor, predictions: Tensor, weights: Tensor | None, parts: list[NDArray[np.int64]]
) -> Iterator[Floats]:
    """Yield the metric for some draws of rows after the other, ``draws x replicates``."""
    for counts in parts:
        if METRICS.get(metric.name) is metric:
            times = torch.from_numpy(counts).double()
            together = times if weights is None else times * weights
            yield metric.function(targets, predictions, together[:, None]).numpy()
        else:
            # A function of the user's takes rows; those that are drawn twice are in it twice.
            every = torch.arange(len(targets))
            rows = [every.repeat_interleave(torch.from_numpy(one)) for one in counts]
            own = [None if weights is None else weights[one] for one in rows]
            found = [metric(targets[one], predictions[:, one], w) for one, w in zip(rows, own, strict=True)]
            yield torch.stack(found).numpy()


def bootstrap(drawn: Draws) -> Bootstrapped:
    """Return the value and its uncertainty; draws without a value, such as those of one class only, are left out."""
    replicates = len(drawn.values)
    values = (drawn.drawn * drawn.counts).sum(1) / replicates
    ordered = np.sort(values[np.isfinite(values)])
    spread = float(drawn.values.std(ddof=1)) if replicates > 1 else 0.0
    variance = float(ordered.var())
    share = min(1.0, spread**2 / replicates / variance) if variance > 0 else 0.0
    parts = (share**2 / (replicates - 1) if replicates > 1 else 0.0) + (1 - share) ** 2 / max(1, drawn.rows - 1)
    return Bootstrapped(float(drawn.values.mean()), ordered, spread, share, 1 / parts, replicates)
