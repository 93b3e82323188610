"""ShakeDrop disturbs residual blocks at random in training, more strongly the deeper they are.

With L hidden layers, the activations of layer l >= 2 are, before what entered the layer is added (technique `skip`,
which this one needs),

    forward    h_l <- h_l * (b + alpha - b alpha)
    backward   dL/dh_l <- dL/dh_l * (b + beta - b beta)
    b = 1 with probability 1 - p_l, else 0,   p_l = shake_drop * l / L

alpha is uniform in [-1, 1] and beta in [0, 1]. All three are drawn anew for each example, layer and step; all trials of
a replicate share the draws. In evaluation the factor is its mean, ``1 - p_l``.

Shapes: activations ``slots x batch x width`` to the same. Hyperparameters searched: the probability that the last layer
is disturbed, named `shake_drop`.

Source: Yamada et al., "ShakeDrop regularization for deep residual learning" (IEEE Access 7, 2019), with their linear
decay, drawn for each example; for tables Kadra et al., "Well-tuned simple nets excel on tabular datasets" (NeurIPS
2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from search.technique import Array, Loops, Numeric, Technique, Values


def _probability(number: int, values: Values) -> Tensor:
    """Return the probability that a layer is disturbed, ``(slots,)``."""
    return values["shake_drop"] * (number / (values.layout.layers - 1))


def _factors(number: int, batch: int, values: Values) -> tuple[Tensor, Tensor]:
    """Return the factors of a layer's activations and of their gradient, ``slots x batch`` each."""
    drawn = [values.per_slot(values.draws(f"layer {number} {name}", batch)) for name in ("b", "alpha", "beta")]
    kept = drawn[0] >= _probability(number, values)[:, None]
    return torch.where(kept, 1.0, 2 * drawn[1] - 1), torch.where(kept, 1.0, drawn[2])


class _Shake(torch.autograd.Function):
    """A factor on activations, and another one on their gradient."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, forwards: Tensor, backwards: Tensor) -> Tensor:
        ctx.save_for_backward(backwards)
        return h * forwards[..., None]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (backwards,) = ctx.saved_tensors
        return gradients[0] * backwards[..., None], None, None


def layer(h: Tensor, number: int, values: Values) -> Tensor:
    """Return activations ``slots x batch x width`` times a factor for each example; in evaluation, times its mean."""
    if number < 2:
        return h
    if not values.train:
        return h * (1 - _probability(number, values))[:, None, None]
    shaken: Tensor = _Shake.apply(h, *_factors(number, h.shape[1], values))  # type: ignore[no-untyped-call]
    return shaken


def affine(number: int, values: Values) -> tuple[Tensor, Tensor] | None:
    """Return the scale and shift of each unit in evaluation, ``slots x padded width`` each."""
    if number < 2:
        return None
    width = values.layout.weight(number - 1).stored[1]
    scale = (1 - _probability(number, values))[:, None].expand(-1, width)
    return scale, torch.zeros_like(scale)


def given(number: int, h: Tensor, values: Values) -> Sequence[Tensor] | None:
    """Return the factors that the loops take, ``slots x batch`` each."""
    return None if number < 2 else _factors(number, h.shape[1], values)


def shake(h: Array, forwards: Array, _backwards: Array) -> None:
    """Multiply activations ``slots x batch x padded width``, in place."""
    slots, rows, width = h.shape
    for slot in range(slots):
        for row in range(rows):
            for unit in range(width):
                h[slot, row, unit] *= forwards[slot, row]


def shake_back(gradient: Array, _forwards: Array, backwards: Array) -> None:
    """Multiply the gradient in activations, in place."""
    slots, rows, width = gradient.shape
    for slot in range(slots):
        for row in range(rows):
            for unit in range(width):
                gradient[slot, row, unit] *= backwards[slot, row]


technique = Technique(
    name="shake_drop",
    hyperparameters={
        "shake_drop": Numeric(
            low=0.0, high=0.8, minimum=0.0, maximum=1.0, neutral=0.0, stronger="up", when={"skip": (True,)}
        )
    },
    layer=layer,
    affine=affine,
    loops=Loops(given, shake, shake_back),
    monte_carlo=True,
)
