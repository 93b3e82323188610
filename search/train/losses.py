"""Losses per example, and the sums behind accuracy and root mean squared error, for padded outputs.

Targets are ``rows x padded outputs`` for every task: class probabilities (one-hot) or standardised values. They are
zero in the padding.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from search.data import Data
from search.errors import RequestError

# Added to the logit of a padded class, it takes the class out of the softmax. It is finite because 0 * infinity is NaN.
_NEVER = -1e30


def cross_entropy(logits: Tensor, targets: Tensor, outputs: int) -> Tensor:
    """Return ``-sum_k t_k log softmax(z)_k`` per example: ``slots x batch x padded`` to ``slots x batch``.

    This is `torch.nn.CrossEntropyLoss` with class probabilities and ``reduction="none"``.
    """
    absent = _absent(logits.shape[-1], outputs, logits.dtype, logits.device)
    return -(F.log_softmax(logits + absent, dim=-1) * targets).sum(-1)


@cache
def _absent(stored: int, outputs: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return what is added to the logits: zero, and `_NEVER` in the padding."""
    absent = torch.zeros(stored, dtype=dtype, device=device)
    absent[outputs:] = _NEVER
    return absent


def mse(predictions: Tensor, targets: Tensor, outputs: int) -> Tensor:
    """Return the mean over outputs of ``(prediction - target)^2``, per example (`torch.nn.MSELoss`)."""
    return (predictions - targets).square().sum(-1) / outputs


def l1(predictions: Tensor, targets: Tensor, outputs: int) -> Tensor:
    """Return the mean over outputs of ``|prediction - target|``, per example (`torch.nn.L1Loss`)."""
    return (predictions - targets).abs().sum(-1) / outputs


def huber(predictions: Tensor, targets: Tensor, outputs: int) -> Tensor:
    """Return the mean over outputs of the Huber loss with delta 1, per example (`torch.nn.HuberLoss`)."""
    return F.huber_loss(predictions, targets.expand_as(predictions), reduction="none").sum(-1) / outputs


LossFunction = Callable[[Tensor, Tensor, int], Tensor]
CLASSIFICATION: dict[str, LossFunction] = {"cross_entropy": cross_entropy}
REGRESSION: dict[str, LossFunction] = {"mse": mse, "l1": l1, "huber": huber}


def named(name: str | None, data: Data) -> str:
    """Return the name of the loss for these data: `name`, or the default of their task if it is None.

    Raises:
        RequestError: the loss is not for data of this task.
    """
    allowed = tuple(CLASSIFICATION if data.task == "classification" else REGRESSION)
    if name is not None and name not in allowed:
        raise RequestError(f"loss {name!r} is not for {data.task} ({data.name}); allowed: {', '.join(allowed)}")
    return name or allowed[0]


def correct(logits: Tensor, targets: Tensor, outputs: int) -> Tensor:
    """Return whether the most probable class of each example is the true one, ``slots x examples``."""
    return logits[..., :outputs].argmax(-1) == targets[..., :outputs].argmax(-1)


def squared_error(predictions: Tensor, targets: Tensor, scale: Tensor) -> Tensor:
    """Return the sum over outputs of each example's squared error in the user's units, ``slots x examples``.

    Args:
        predictions: the predictions, ``slots x examples x padded outputs``.
        targets: the targets, ``examples x padded outputs``.
        scale: the factors to the user's units, ``(padded outputs,)``.
    """
    return ((predictions - targets) * scale).square().sum(-1)
