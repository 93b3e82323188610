"""What can be predicted without a look at the inputs: the least loss of predictions that many rows share."""

from __future__ import annotations

import torch
from torch import Tensor

from search.train.batches import Batches
from search.train.losses import CLASSIFICATION, REGRESSION, LossFunction

_SEARCHES = 80  # each leaves two thirds of an interval: down to the rounding of float64


def constant_loss(batches: Batches, loss: str) -> float:
    """The validation loss of the best constant predictor."""
    function, targets = (CLASSIFICATION | REGRESSION)[loss], batches.y_val
    one_group = torch.zeros(len(targets), dtype=torch.int64)
    return least_loss(function, targets, batches.outputs, batches.task, one_group)


def least_loss(loss: LossFunction, targets: Tensor, outputs: int, task: str, groups: Tensor) -> float:
    """The least mean loss of predictions that are equal within each group of rows.

    Args:
        targets: ``rows x padded outputs``. groups: ``(rows,)``, from 0.
        task: "classification" or "regression".
    """
    y, groups = targets.double().cpu(), groups.cpu()
    count = int(groups.max()) + 1
    if task == "classification":
        shares = y.new_zeros(count, y.shape[1]).index_add(0, groups, y) / groups.bincount()[:, None]
        return float(loss(shares.clamp(min=1e-30).log()[groups], y, outputs).mean())
    # The losses are convex in each output: an interval search, in all groups and outputs at once.
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
