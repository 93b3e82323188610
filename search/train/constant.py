"""The loss and the metrics of predictions that ignore the inputs, such as the least loss of a constant prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from search.train import evaluate
from search.train.batches import Batches
from search.train.losses import CLASSIFICATION, REGRESSION, LossFunction
from search.train.metrics.metric import Metric
from search.train.metrics.objective import Objective

_SEARCHES = 80  # each step keeps two thirds of an interval; 80 reach the rounding error of float64


def constant_loss(batches: Batches, loss: str) -> float:
    """Return the validation loss of the best constant predictor; in a cross-validation, the mean over folds."""
    function = (CLASSIFICATION | REGRESSION)[loss]
    losses = [
        least_loss(
            function,
            fold.y_val,
            fold.outputs,
            fold.task,
            torch.zeros(len(fold.y_val), dtype=torch.int64),
            fold.w_val,
        )
        for fold in batches.folds
    ]
    return math.fsum(losses) / len(losses)


def constant_value(batches: Batches, loss: str, objective: Objective, metrics: Sequence[Metric]) -> float | None:
    """Return the validation value of an objective for a constant predictor.

    For the validation loss that is the best one. For a metric it is the better of two: of classes, their shares and the
    most frequent one; of numbers, their mean and their median.

    Args:
        batches: the data on the device.
        loss: the name of the loss.
        objective: the objective.
        metrics: the metrics of the study, the objective among them.

    Returns:
        The value, in a cross-validation the mean over folds; None if it is not finite.
    """
    metric = next((one for one in metrics if one.name == objective.name), None)
    if metric is None:
        return constant_loss(batches, loss)
    values = [_constant_metric(fold, objective, metric) for fold in batches.folds]
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if len(known) == len(values) else None


def _constant_metric(batches: Batches, objective: Objective, metric: Metric) -> float | None:
    targets = evaluate.truth(batches, batches.y_val)
    weights = None if batches.w_val is None else batches.w_val.double()
    if batches.task == "classification":
        rows = F.one_hot(targets, batches.outputs).double()
        shares = rows.mean(0) if weights is None else (rows * weights[:, None]).sum(0) / weights.sum()
        constants = torch.stack([shares, F.one_hot(shares.argmax(), batches.outputs).double()])
    else:
        constants = torch.stack([_weighted_mean(targets, weights), _weighted_median(targets, weights)])
    values = metric(targets, constants[:, None].expand(-1, len(targets), -1), weights).tolist()
    return min(filter(math.isfinite, values), key=objective.loss, default=None)


def _weighted_mean(targets: Tensor, weights: Tensor | None) -> Tensor:
    return targets.mean(0) if weights is None else (targets * weights[:, None]).sum(0) / weights.sum()


def _weighted_median(targets: Tensor, weights: Tensor | None) -> Tensor:
    """Return the least target of each output at which half of all weight is reached."""
    if weights is None:
        return targets.median(0).values
    ordered, order = targets.sort(0)
    reached = weights[order].cumsum(0) >= weights.sum() / 2
    return ordered.gather(0, reached.int().argmax(0, keepdim=True))[0]


def least_loss(
    loss: LossFunction, targets: Tensor, outputs: int, task: str, groups: Tensor, weights: Tensor | None = None
) -> float:
    """Return the least mean loss of predictions that are equal within each group of rows.

    Args:
        loss: the loss function.
        targets: the targets, ``rows x padded outputs``.
        outputs: the number of outputs without padding.
        task: "classification" or "regression".
        groups: the group of each row, ``(rows,)``, from 0.
        weights: the weights of the rows, ``(rows,)``; None if all are 1.
    """
    y, groups = targets.double().cpu(), groups.cpu()
    mass = y.new_ones(len(y)) if weights is None else weights.double().cpu()
    count = int(groups.max()) + 1
    if task == "classification":
        in_group = y.new_zeros(count).index_add(0, groups, mass).clamp(min=1e-30)
        shares = y.new_zeros(count, y.shape[1]).index_add(0, groups, y * mass[:, None]) / in_group[:, None]
        return float(loss(shares.clamp(min=1e-30).log()[groups], y, outputs) @ mass / mass.sum())
    # The losses are convex in each output: a ternary search, in all groups and outputs at once.
    y = y[:, :outputs].T
    index = groups.expand_as(y)
    ends = y.new_zeros(len(y), count)
    low, high = (ends.scatter_reduce(1, index, y, end, include_self=False) for end in ("amin", "amax"))

    def totals(predictions: Tensor) -> Tensor:
        each = loss(predictions.gather(1, index)[..., None], y[..., None], 1)
        return ends.index_add(1, groups, each * mass)

    for _ in range(_SEARCHES):
        third = (high - low) / 3
        rising = totals(low + third) <= totals(high - third)
        low, high = torch.where(rising, low, low + third), torch.where(rising, high - third, high)
    return float(totals(low).sum() / (len(y) * mass.sum()))
