"""The loss of predictions that ignore the inputs: the least loss where many rows share one prediction."""

from __future__ import annotations

import torch
from torch import Tensor

from search.train.batches import Batches
from search.train.losses import CLASSIFICATION, REGRESSION, LossFunction

_SEARCHES = 80  # each step keeps two thirds of an interval; 80 reach the rounding error of float64


def constant_loss(batches: Batches, loss: str) -> float:
    """Return the validation loss of the best constant predictor."""
    function, targets = (CLASSIFICATION | REGRESSION)[loss], batches.y_val
    one_group = torch.zeros(len(targets), dtype=torch.int64)
    return least_loss(function, targets, batches.outputs, batches.task, one_group)


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
