"""The RMSprop optimiser."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from search.technique import Hyperparameter, Numeric, Structural, Value
from search.train.optimisers.contract import EPS, MOMENTUM, WEIGHT_DECAY, State, column, couple_weight_decay


class RMSprop:
    """RMSprop, optionally centred and with momentum.

    ``g <- g + weight_decay * w``,  ``v <- alpha v + (1 - alpha) g^2``,  ``m <- alpha m + (1 - alpha) g``,
    ``b <- momentum * b + g / (sqrt(v - m^2 if centered else v) + eps)``,  ``w <- w - lr * b``.

    Source: `torch.optim.RMSprop`; Tieleman and Hinton, "Lecture 6.5: RMSProp" (Coursera, 2012); centred as in Graves,
    "Generating sequences with recurrent neural networks" (2013), but with eps outside the root.
    """

    hyperparameters: Mapping[str, Hyperparameter] = {
        "alpha": Numeric(default=0.99, low=0.9, high=0.999, minimum=0.0, below=1.0),
        "eps": EPS,
        "momentum": MOMENTUM,
        "centered": Structural(default=False, choices=(False, True)),
        "weight_decay": WEIGHT_DECAY,
    }

    def __init__(self, structure: Mapping[str, Value]) -> None:
        self._centered = bool(structure["centered"])

    def init(self, theta: Tensor, values: Mapping[str, Tensor]) -> State:
        """Return moments, velocity and a scratch buffer, ``slots x size``, and the weight 1 - alpha, ``slots x 1``."""
        state = {
            "v": torch.zeros_like(theta),
            "quotient": torch.zeros_like(theta),
            "gain": 1 - column(values["alpha"]),
        }
        if self._centered:
            state["m"] = torch.zeros_like(theta)
        if "momentum" in values:
            state["velocity"] = torch.zeros_like(theta)
        return state

    def update(self, theta: Tensor, gradient: Tensor, state: State, values: Mapping[str, Tensor]) -> None:
        """Take one step in place; shapes as in `Optimiser.update`."""
        couple_weight_decay(gradient, theta, values)
        # The buffer is kept from step to step: allocating it anew doubles the step's time once it exceeds 32 MB.
        v, gain, quotient = state["v"], state["gain"], state["quotient"]
        v.lerp_(torch.mul(gradient, gradient, out=quotient), gain)
        if self._centered:
            m = state["m"].lerp_(gradient, gain)
            v = torch.addcmul(v, m, m, value=-1, out=quotient)
        torch.sqrt(v, out=quotient).add_(column(values["eps"]))
        step = torch.div(gradient, quotient, out=quotient)
        if "momentum" in values:
            step = state["velocity"].mul_(column(values["momentum"])).add_(step)
        theta.addcmul_(step, column(values["lr"]), value=-1)
