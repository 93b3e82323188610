"""Losses per example and the metrics that a person reads, for padded outputs.

Targets are ``rows x padded outputs`` for every task: class probabilities (one-hot) or standardised values, zero in
the padding.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from search.data import Data
from search.errors import RequestError

# Takes a padded class out of the softmax; finite, because 0 * infinity is not a number.
_NEVER = -1e30


def cross_entropy(logits: Tensor, targets: Tensor, outputs: int) -> Tensor:
    """``-sum_k t_k log softmax(z)_k`` per example: ``slots x batch x padded`` to ``slots x batch``.

    As `torch.nn.CrossEntropyLoss` with class probabilities and ``reduction="none"``.
    """
    absent = _absent(logits.shape[-1], outputs, logits.dtype, logits.device)
    return -(F.log_softmax(logits + absent, dim=-1) * targets).sum(-1)


@cache
def _absent(stored: int, outputs: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """What is added to the logits: zero, and `_NEVER` in the padding."""
    absent = torch.zeros(stored, dtype=dtype, device=device)
    absent[outputs:] = _NEVER
    return absent


def mse(predictions: Tensor, targets: Tensor, outputs: int) -> Tensor:
    """Mean over the outputs of (prediction - target)^2, per example (`torch.nn.MSELoss`)."""
    return (predictions - targets).square().sum(-1) / outputs


def l1(predictions: Tensor, targets: Tensor, outputs: int) -> Tensor:
    """Mean over the outputs of |prediction - target|, per example (`torch.nn.L1Loss`)."""
    return (predictions - targets).abs().sum(-1) / outputs


def huber(predictions: Tensor, targets: Tensor, outputs: int) -> Tensor:
    """Mean over the outputs of the Huber loss with delta 1, per example (`torch.nn.HuberLoss`)."""
    return F.huber_loss(predictions, targets.expand_as(predictions), reduction="none").sum(-1) / outputs


LossFunction = Callable[[Tensor, Tensor, int], Tensor]
CLASSIFICATION: dict[str, LossFunction] = {"cross_entropy": cross_entropy}
REGRESSION: dict[str, LossFunction] = {"mse": mse, "l1": l1, "huber": huber}


def named(name: str | None, data: Data) -> str:
    """A loss for these data: that of the name, by default the usual one.

    Raises:
        RequestError: it is not for data of this kind.
    """
    allowed = tuple(CLASSIFICATION if data.task == "classification" else REGRESSION)
    if name is not None and name not in allowed:
        raise RequestError(f"loss {name!r} is not for {data.task} ({data.name}); allowed: {', '.join(allowed)}")
    return name or allowed[0]


def correct(logits: Tensor, targets: Tensor, outputs: int) -> Tensor:
    """How many examples have their most probable class right: ``(slots,)``."""
    return (logits[..., :outputs].argmax(-1) == targets[..., :outputs].argmax(-1)).sum(-1)


def squared_error(predictions: Tensor, targets: Tensor, scale: Tensor) -> Tensor:
    """Sum over examples and outputs of the squared error in the user's units: ``(slots,)``; scale ``(padded,)``."""
    return ((predictions - targets) * scale).square().sum((-1, -2))
