"""Lookahead moves slow weights a part of the way that the optimiser goes in some steps, and starts from there again.

    after every k steps:  slow <- slow + alpha (w - slow),  w <- slow

The slow weights begin as the initial weights, and the network is evaluated with them. The optimiser's moments stay as
they are.

Shapes: the share of the weights in the slow weights is ``(slots,)``. Hyperparameters searched: alpha, named
`lookahead`, and k, named `lookahead_steps`.

Source: Zhang et al., "Lookahead optimizer: k steps forward, 1 step back" (NeurIPS 2019), algorithm 1; their code
evaluates the slow weights too.
"""

from __future__ import annotations

import torch
from torch import Tensor

from search.technique import Numeric, Technique, Values


def average(step: int, _steps: int, values: Values) -> Tensor:
    """Return the share of the weights in the slow weights, ``(slots,)``; it is 0 between the k-th steps."""
    alpha, every = values["lookahead"], values["lookahead_steps"]
    # With alpha = 1 there is but one kind of weights, which are evaluated between the k-th steps too.
    meets = ((step + 1) % every == 0) | (alpha == 1)
    return torch.where(meets, alpha, 0.0)


technique = Technique(
    name="lookahead",
    hyperparameters={
        "lookahead": Numeric(default=0.5, low=0.2, high=0.8, above=0.0, maximum=1.0, neutral=1.0, stronger="down"),
        "lookahead_steps": Numeric(default=5, low=5, high=10, minimum=1, whole=True),
    },
    average=average,
    returns=True,
)
