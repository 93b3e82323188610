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
    """Return the validation loss of the best constant predictor."""
    function, targets = (CLASSIFICATION | REGRESSION)[loss], batches.y_val
    one_group = torch.zeros(len(targets), dtype=torch.int64)
    return least_loss(function, targets, batches.outputs, batches.task, one_group)


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
        The value; None if it is not finite.
    """
    metric = next((one for one in metrics if one.name == objective.name), None)
    if metric is None:
        return constant_loss(batches, loss)
    targets = evaluate.truth(batches, batches.y_val)
    weights = None if batches.w_val is None else batches.w_val.double()
    if batches.task == "classification":
        rows = F.one_hot(targets, batches.outputs).double()
        shares = rows.mean(0) if weights is None else (rows * weights[:, None]).sum(0) / weights.sum()
        constants = torch.stack([shares, F.one_hot(shares.argmax(), batches.outputs).double()])
    else:
        constants = torch.stack([targets.mean(0), targets.median(0).values])
    values = metric(targets, constants[:, None].expand(-1, len(targets), -1), weights).tolist()
    return min(filter(math.isfinite, values), key=objective.loss, default=None)


def least_loss(loss: LossFunction, targets: Tensor, outputs: int, task: str, groups: Tensor) -> float:
    """Return the least mean loss of predictions that are equal within each group of rows.

    Args:
        loss: the loss function.
        targets: the targets, ``rows x padded outputs``.
        outputs: the number of outputs without padding.
        task: "classification" or "regression".
        groups: the group of each row, ``(rows,)``, from 0.
    """
    y, groups = targets.double().cpu(), groups.cpu()
    count = int(groups.max()) + 1
    if task == "classification":
        shares = y.new_zeros(count, y.shape[1]).index_add(0, groups, y) / groups.bincount()[:, None]
        return float(loss(shares.clamp(min=1e-30).log()[groups], y, outputs).mean())
    # The losses are convex in each output: a ternary search, in all groups and outputs at once.
    y = y[:, :outputs].T
    index = groups.expand_as(y)
    ends = y.new_zeros(len(y), count)
    low, high = (ends.scatter_reduce(1, index, y, end, include_self=False) for end in ("amin", "amax"))

    def totals(predictions: Tensor) -> Tensor:
        each = loss(predictions.gather(1, index)[..., None], y[..., None], 1)
        return ends.index_add(1, groups, each)

    for _ in range(_SEARCHES):
        third = (high - low) / 3
        rising = totals(low + third) <= totals(high - third)
        low, high = torch.where(rising, low, low + third), torch.where(rising, high - third, high)
    return float(totals(low).sum() / y.numel())
