"""The SGD optimiser."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from search.technique import Hyperparameter, Numeric, Structural, Value
from search.train.optimisers.contract import MOMENTUM, WEIGHT_DECAY, State, column, couple_weight_decay


class SGD:
    """Stochastic gradient descent with momentum.

    ``g <- g + weight_decay * w``,  ``b <- momentum * b + (1 - dampening) * g`` (``b = g`` at the first step),
    ``w <- w - lr * (g + momentum * b if nesterov else b)``.

    Source: `torch.optim.SGD`; Sutskever et al., "On the importance of initialization and momentum in deep learning"
    (ICML 2013).
    """

    hyperparameters: Mapping[str, Hyperparameter] = {
        "momentum": MOMENTUM,
        "dampening": Numeric(default=0.0, low=0.0, high=0.9, minimum=0.0, maximum=1.0, neutral=0.0),
        "nesterov": Structural(default=False, choices=(False, True)),
        "weight_decay": WEIGHT_DECAY,
    }

    def __init__(self, structure: Mapping[str, Value]) -> None:
        self.nesterov = bool(structure["nesterov"])

    def init(self, theta: Tensor, values: Mapping[str, Tensor]) -> State:
        """Return the velocity, ``slots x size``, and whether it has begun, ``slots x 1``; nothing without momentum."""
        if "momentum" not in values:
            return {}
        return {"velocity": torch.zeros_like(theta), "moving": theta.new_zeros(len(theta), 1)}

    def update(self, theta: Tensor, gradient: Tensor, state: State, values: Mapping[str, Tensor]) -> None:
        """Take one step in place; shapes as in `Optimiser.update`."""
        couple_weight_decay(gradient, theta, values)
        step = gradient
        if "momentum" in values:
            momentum, velocity, moving = column(values["momentum"]), state["velocity"], state["moving"]
            share = torch.ones_like(moving)
            if "dampening" in values:
                # torch dampens neither the first step nor a step without momentum.
                share = share - moving * (momentum != 0) * column(values["dampening"])
            velocity.mul_(momentum).addcmul_(gradient, share)
            moving.fill_(1.0)
            step = gradient.addcmul_(velocity, momentum) if self.nesterov else velocity
        theta.addcmul_(step, column(values["lr"]), value=-1)
