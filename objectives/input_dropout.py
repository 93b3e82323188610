"""Input dropout sets inputs of the network to zero at random in training.

``x_i <- x_i * m_i / (1 - p)``,  ``m_i = 1`` with probability ``1 - p``, else 0,

for the scaled inputs (zero is the mean of a standardised one), drawn anew for each example, feature and forward pass.
Each slot has its own p, and all slots of a replicate see the same uniform draws.

Shapes: inputs ``groups or slots x batch x features`` become ``slots x batch x features``. Hyperparameters searched: p,
named `input_dropout`.

Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting" (JMLR 2014), who keep
inputs with probability 0.8; `torch.nn.Dropout` before the first layer.
"""

from __future__ import annotations

import torch
from torch import Tensor

from search.technique import Gate, Numeric, Technique, Values


def layer(x: Tensor, number: int, values: Values) -> Tensor:
    """Return inputs ``slots x batch x features``, some set to zero and the others divided by ``1 - p``."""
    if number != 0 or not values.train:
        return x
    draws = values.uniform("inputs", *x.shape[1:])
    p = values["input_dropout"][:, None, None]
    kept = torch.ge(draws, p, out=x.new_empty(values.slots, *x.shape[1:]))
    return values.per_slot(x) * kept.mul_(1 / (1 - p))


def gate(number: int, x: Tensor, values: Values) -> Gate | None:
    """Return the gate of the inputs, ``groups or slots x batch x features``."""
    if number != 0:
        return None
    p = values["input_dropout"]
    return Gate(values.draws("inputs", *x.shape[1:]), p, 1 / (1 - p))


technique = Technique(
    name="input_dropout",
    hyperparameters={"input_dropout": Numeric(low=0.0, high=0.5, minimum=0.0, below=1.0, neutral=0.0, stronger="up")},
    layer=layer,
    gate=gate,
    monte_carlo=True,
)
