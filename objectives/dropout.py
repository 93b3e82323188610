"""Dropout sets hidden units to zero at random in training.

``h_i <- h_i * m_i / (1 - p)``,  ``m_i = 1`` with probability ``1 - p``, else 0,

after the activation of each hidden layer, drawn anew for each example, unit and forward pass. All slots of a replicate
see the same uniform draws, so the units that a small p drops are among those that a large p drops.

Shapes: activations ``slots x batch x width`` to the same. Hyperparameters searched: p, named `dropout`.

Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting" (JMLR 2014);
`torch.nn.Dropout`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from search.technique import Gate, Numeric, StudyContext, Technique, Values


def check(context: StudyContext) -> None:
    """Refuse linear models, which have no hidden units to drop."""
    if context.possible("hidden") == ["0"]:
        raise ValueError("it needs a hidden layer, got hidden 0")


def layer(h: Tensor, number: int, values: Values) -> Tensor:
    """Return activations ``slots x batch x width``, some set to zero and the others divided by ``1 - p``."""
    if number == 0 or not values.train:
        return h
    draws = values.uniform(f"layer {number}", *h.shape[1:])
    p = values["dropout"][:, None, None]
    # The comparison is written as floats: a boolean mask, or `torch.where`, takes three times as long.
    kept = torch.ge(draws, p, out=torch.empty_like(h))
    return h * kept.mul_(1 / (1 - p))


def gate(number: int, h: Tensor, values: Values) -> Gate | None:
    """Return the gate of a hidden layer's activations, ``slots x batch x width``."""
    if number == 0:
        return None
    p = values["dropout"]
    return Gate(values.draws(f"layer {number}", *h.shape[1:]), p, 1 / (1 - p))


technique = Technique(
    name="dropout",
    hyperparameters={"dropout": Numeric(low=0.0, high=0.8, minimum=0.0, below=1.0, neutral=0.0, stronger="up")},
    check=check,
    layer=layer,
    gate=gate,
    monte_carlo=True,
)
