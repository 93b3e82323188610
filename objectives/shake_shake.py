"""Shake-shake gives each residual block two branches, and mixes them at random in training.

The branches of hidden layer l >= 2 are ``a_i = a(h_{l-1} W_i + b_i)``, with weights of their own. Before what entered
the layer is added (technique `skip`, which this one needs), its activations are

    forward     h_l = alpha a_1 + (1 - alpha) a_2
    backward    dL/da_1 = beta dL/dh_l,   dL/da_2 = (1 - beta) dL/dh_l

alpha and beta are uniform in [0, 1), independent, and drawn anew for each example, layer and step; all trials of a
replicate share the draws. In evaluation ``h_l = (a_1 + a_2) / 2``. The layer has twice the weights of one without
branches. Other techniques change the mixed activations, so that `shake_drop` and `stochastic_depth` disturb them once
more.

Shapes: activations ``2 x slots x batch x width`` to ``slots x batch x width``. Hyperparameters searched: `shake_shake`,
on or off.

Source: Gastaldi, "Shake-shake regularization" (2017): "shake-shake" drawn for each image, with blocks of one layer; for
tables Kadra et al., "Well-tuned simple nets excel on tabular datasets" (NeurIPS 2021).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from search.technique import Array, Loops, Structural, Technique, Value, Values


def branches(number: int, structure: Mapping[str, Value]) -> int:
    """Return the number of branches of a hidden layer: two of every layer but the first, which is no residual block."""
    return 2 if structure.get("shake_shake") and number > 1 else 1


def _shares(number: int, batch: int, values: Values) -> list[Tensor]:
    """Return the shares of the first branch forwards and backwards, alpha and beta, ``slots x batch`` each."""
    names = ("alpha", "beta")
    return [values.per_slot(values.draws(f"layer {number} {name}", batch)).contiguous() for name in names]


class _Mix(torch.autograd.Function):
    """A mixture of two branches, whose gradient is shared by other shares."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        ctx.save_for_backward(beta)
        share = alpha[..., None]
        return share * h[0] + (1 - share) * h[1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (beta,) = ctx.saved_tensors
        share = beta[..., None]
        return torch.stack([share * gradients[0], (1 - share) * gradients[0]]), None, None


def mix(h: Tensor, number: int, values: Values) -> Tensor:
    """Return the mixture of a layer's branches ``2 x slots x batch x padded width`` in training."""
    mixed: Tensor = _Mix.apply(h, *_shares(number, h.shape[2], values))  # type: ignore[no-untyped-call]
    return mixed


def given(number: int, h: Tensor, values: Values) -> Sequence[Tensor]:
    """Return the shares that the loops take, ``slots x batch`` each."""
    return _shares(number, h.shape[2], values)


def mix_in_place(h: Array, alpha: Array, _beta: Array) -> None:
    """Leave the mixture of the branches ``2 x slots x batch x padded width`` in the place of the first one."""
    _, slots, rows, width = h.shape
    one = alpha.dtype.type(1)
    for slot in range(slots):
        for row in range(rows):
            share = alpha[slot, row]
            rest = one - share
            for unit in range(width):
                h[0, slot, row, unit] = share * h[0, slot, row, unit] + rest * h[1, slot, row, unit]


def share_out(gradient: Array, _alpha: Array, beta: Array) -> None:
    """Share the gradient in the mixture, in the place of the first branch, between both branches."""
    _, slots, rows, width = gradient.shape
    one = beta.dtype.type(1)
    for slot in range(slots):
        for row in range(rows):
            share = beta[slot, row]
            rest = one - share
            for unit in range(width):
                gradient[1, slot, row, unit] = rest * gradient[0, slot, row, unit]
                gradient[0, slot, row, unit] *= share


technique = Technique(
    name="shake_shake",
    hyperparameters={
        "shake_shake": Structural(
            default=True, choices=(False, True), neutral=False, searched=True, when={"skip": (True,)}
        )
    },
    branches=branches,
    mix=mix,
    mix_loops=Loops(given, mix_in_place, share_out),
    monte_carlo=True,
)
