"""Sums over rows whose bits do not depend on the number of slots (contract C3, docs/design.md).

A sum of torch's adds in an order that depends on the shape of the whole tensor. A cumulative sum adds one row after the
other, so its last element is a sum in the order of the rows, for one slot as for many.
"""

from __future__ import annotations

import torch
from torch import Tensor


def total(values: Tensor) -> Tensor:
    """Return the sum over the last dimension, ``... x rows`` to ``...``."""
    return values.cumsum(-1)[..., -1]


def mean(values: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the (weighted) mean over the last dimension, ``... x rows`` to ``...``.

    Args:
        values: the values.
        weights: the weights of the rows, ``(rows,)`` or any shape that broadcasts against `values`.
    """
    if weights is None:
        return total(values) / values.shape[-1]
    return total(values * weights) / total(weights)


def mean_of(values: Tensor, chosen: Tensor) -> Tensor:
    """Return the mean of the chosen values over the last dimension; NaN where none is chosen."""
    return total(torch.where(chosen, values, 0.0)) / chosen.sum(-1)
