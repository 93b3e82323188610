"""The Adagrad optimiser."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from search.technique import Hyperparameter, Numeric, Value
from search.train.optimisers.contract import WEIGHT_DECAY, State, column, couple_weight_decay


class Adagrad:
    """Adagrad: the learning rate of each parameter falls with the sum of its squared gradients.

    ``g <- g + weight_decay * w``,  ``s <- s + g^2`` (``s = initial_accumulator_value`` before the first step),
    ``w <- w - lr / (1 + (t - 1) lr_decay) * g / (sqrt(s) + adagrad_eps)``.

    torch calls `adagrad_eps` ``eps``; its default, 1e-10, differs from that of the other optimisers' ``eps``.

    Source: `torch.optim.Adagrad`; Duchi et al., "Adaptive subgradient methods for online learning and stochastic
    optimization" (JMLR 2011).
    """

    hyperparameters: Mapping[str, Hyperparameter] = {
        "lr_decay": Numeric(default=0.0, low=1e-6, high=1e-2, log=True, minimum=0.0, neutral=0.0),
        "initial_accumulator_value": Numeric(default=0.0, low=1e-4, high=1.0, log=True, minimum=0.0, neutral=0.0),
        "adagrad_eps": Numeric(default=1e-10, low=1e-12, high=1e-4, log=True, above=0.0),
        "weight_decay": WEIGHT_DECAY,
    }

    def __init__(self, structure: Mapping[str, Value]) -> None:
        """Adagrad has no structural hyperparameters: `structure` is not read."""

    def init(self, theta: Tensor, values: Mapping[str, Tensor]) -> State:
        """Return sum of squares and a scratch buffer, ``slots x size``; with lr_decay the step count, ``slots x 1``."""
        state = {"sum": torch.zeros_like(theta), "quotient": torch.zeros_like(theta)}
        if "initial_accumulator_value" in values:
            state["sum"].add_(column(values["initial_accumulator_value"]))
        if "lr_decay" in values:
            state["steps"] = torch.zeros(len(theta), 1, dtype=torch.float64, device=theta.device)
        return state

    def update(self, theta: Tensor, gradient: Tensor, state: State, values: Mapping[str, Tensor]) -> None:
        """Take one step in place; shapes as in `Optimiser.update`."""
        couple_weight_decay(gradient, theta, values)
        rate = column(values["lr"])
        if "lr_decay" in values:
            rate = rate / (1 + state["steps"] * column(values["lr_decay"])).to(theta.dtype)
            state["steps"].add_(1)
        total = state["sum"].addcmul_(gradient, gradient)
        # The buffer is kept from step to step: allocating it anew doubles the step's time once it exceeds 32 MB.
        quotient = torch.sqrt(total, out=state["quotient"]).add_(column(values["adagrad_eps"]))
        theta.addcmul_(torch.div(gradient, quotient, out=quotient), rate, value=-1)
