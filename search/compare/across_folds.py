"""Verdicts on the validation rows of a cross-validation, where the trials share most of their training rows.

Every fold k = 1 ... K gives a value of a trial, the metric of its networks on the fold's validation rows, which they
have not trained on. The difference of two trials is the mean of the K paired differences d_k. These are not
independent: any two folds share training rows. `search.statistics.sampled` has the variance of their mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from search.compare.pairs import Arm, Difference, Pair, weighted
from search.compare.scoring import Scoring
from search.data import Data
from search.data.folds import overlap
from search.show.interval import Interval
from search.statistics.crossed import Floats
from search.statistics.sampled import sampled
from search.train import evaluate
from search.train.metrics.built_in import METRICS
from search.train.metrics.metric import Metric
from search.train.pack import Pack
from search.train.precision import products


class AcrossFolds(Scoring):
    """A metric of the validation rows of every fold.

    Args:
        of: the scoring of test rows whose metric is wanted.
        data: the data, with their folds.
    """

    reads_test = False

    def __init__(self, of: Scoring, data: Data) -> None:
        self.name, self.higher = of.name, of.higher
        self.label, self.unit, self.axis = (
            text.replace("test", "cross-validated") for text in (of.label, of.unit, of.axis)
        )
        self.loss_label = "cross-validated loss"
        self.metric: Metric = of.metric or METRICS[f"val_{of.name}"]
        self._factor = 100.0 if of.name == "accuracy" else 1.0
        folds = data.folds
        self._folds = len(folds)
        self._overlap = overlap(data)

    def of_folds(self, networks: Sequence[Pack]) -> tuple[Floats, Floats]:
        """Return the metric and the loss of each fold, ``(folds,)``, means over the fold's networks."""
        found: dict[int, list[tuple[float, float]]] = {}
        for pack in networks:
            fold = pack.slots[0].replicate % self._folds
            found.setdefault(fold, []).append(self._value(pack))
        means = np.array([np.mean(found[fold], axis=0) for fold in sorted(found)])
        return means[:, 0], means[:, 1]

    def _value(self, pack: Pack) -> tuple[float, float]:
        batches = pack.batches
        targets, weights = evaluate.truth(batches, batches.y_val).cpu(), _double(batches.w_val)
        with products(pack.program.precision, batches.device):
            predictions = evaluate.readable(batches, pack.predict(batches.x_val)).cpu()
            loss = float(pack.score(batches.x_val, batches.validation)[0][0])
        return self._factor * float(self.metric(targets, predictions, weights)[0]), loss

    def interval(self, arm: Arm) -> Interval:
        return self._interval(arm.scores, 1)

    def contrast(self, arms: Sequence[Arm], weights: Sequence[float], family: int = 1) -> Difference:
        return self.of_values(weighted([arm.scores for arm in arms], weights), family)

    def loss_interval(self, arm: Arm) -> Interval:
        return self._interval(arm.losses, 1)

    def loss_difference(self, first: Arm, second: Arm, family: int) -> Difference:
        return self.of_values(first.losses - second.losses, family)

    def counts(self, arm: Arm) -> str:
        return f"{len(arm.scores)} folds"

    def remarks(self, arms: Sequence[Arm], pairs: Sequence[Pair]) -> list[str]:
        del arms, pairs
        return [
            "the intervals allow for the training rows that the folds share (Nadeau and Bengio 2003); the effect size"
            " is the difference divided by the SD of the folds' differences",
            "the validation rows of the folds also chose the trials, so each trial's own value is optimistic; the test"
            " split is not read",
        ]

    def of_values(self, values: Floats, family: int = 1) -> Difference:
        """Return the mean of the folds' paired differences, ``(folds,)``, with its interval."""
        estimate, interval = sampled(values, self._overlap), self._interval(values, family)
        effect = interval.value / float(estimate.spread) if estimate.spread > 0 else None
        return Difference(interval, float(estimate.p(family)), effect, 0.0)

    def _interval(self, values: Floats, family: int) -> Interval:
        estimate = sampled(values, self._overlap)
        low, high = estimate.interval(family)
        return Interval(float(estimate.value), float(low), float(high))


def _double(weights: Tensor | None) -> Tensor | None:
    return None if weights is None else weights.to(torch.float64).cpu()
