"""Optimisers for a whole pack: every slot its own rate, moments and step count, updated in place.

Each is init + update over explicit state (as in optax), and agrees with its namesake in `torch.optim`. The step count
lives in the state, one per slot, so that a slot that joins a pack later gets the bias correction of its own first step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from search.technique import Hyperparameter, Numeric, Structural, Value, Values

State = dict[str, Tensor]

_WEIGHT_DECAY = Numeric(default=0.0, low=1e-6, high=1e-1, log=True, minimum=0.0, neutral=0.0, stronger="up")


class Optimiser(Protocol):
    """What the pack asks of an optimiser."""

    hyperparameters: Mapping[str, Hyperparameter]

    def __init__(self, structure: Mapping[str, Value]) -> None: ...

    def init(self, theta: Tensor, values: Values) -> State:
        """The state before the first step; every tensor has leading dimension slots."""
        ...

    def update(self, theta: Tensor, gradient: Tensor, state: State, values: Values) -> None:
        """One step in place. theta, gradient: ``slots x size`` (gradient may be used as scratch); values: ``(slots,)``.

        `values` holds ``lr`` and, of the optimiser's own hyperparameters, those that the study uses: one that is fixed
        at its neutral value for the whole study is left out, and so is its work.
        """
        ...


class SGD:
    """Stochastic gradient descent with momentum.

    ``g <- g + weight_decay * w``,  ``b <- momentum * b + (1 - dampening) * g`` (``b = g`` at the first step),
    ``w <- w - lr * (g + momentum * b if nesterov else b)``.

    Source: `torch.optim.SGD`; Sutskever et al., "On the importance of initialization and momentum in deep learning"
    (ICML 2013).
    """

    hyperparameters: Mapping[str, Hyperparameter] = {
        "momentum": Numeric(default=0.0, low=0.5, high=0.999, minimum=0.0, below=1.0, neutral=0.0),
        "dampening": Numeric(default=0.0, low=0.0, high=0.9, minimum=0.0, maximum=1.0, neutral=0.0),
        "nesterov": Structural(default=False, choices=(False, True)),
        "weight_decay": _WEIGHT_DECAY,
    }

    def __init__(self, structure: Mapping[str, Value]) -> None:
        self._nesterov = bool(structure["nesterov"])

    def init(self, theta: Tensor, values: Values) -> State:
        if "momentum" not in values:
            return {}
        return {"velocity": torch.zeros_like(theta), "moving": theta.new_zeros(len(theta), 1)}

    def update(self, theta: Tensor, gradient: Tensor, state: State, values: Values) -> None:
        if "weight_decay" in values:
            gradient.addcmul_(theta, values["weight_decay"][:, None])
        step = gradient
        if "momentum" in values:
            momentum, velocity, moving = values["momentum"][:, None], state["velocity"], state["moving"]
            share = torch.ones_like(moving)
            if "dampening" in values:
                # torch dampens neither the first step nor where there is no momentum to dampen.
                share = share - moving * (momentum != 0) * values["dampening"][:, None]
            velocity.mul_(momentum).addcmul_(gradient, share)
            moving.fill_(1.0)
            step = gradient.addcmul_(velocity, momentum) if self._nesterov else velocity
        theta.addcmul_(step, -values["lr"][:, None])


class Adam:
    """Adam, with weight decay coupled (added to the gradient).

    ``m <- beta1 m + (1 - beta1) g``,  ``v <- beta2 v + (1 - beta2) g^2``,
    ``w <- w - lr * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)``.

    Source: `torch.optim.Adam`; Kingma and Ba, "Adam: a method for stochastic optimization" (ICLR 2015).
    """

    hyperparameters: Mapping[str, Hyperparameter] = {
        "beta1": Numeric(default=0.9, low=0.5, high=0.99, minimum=0.0, below=1.0),
        "beta2": Numeric(default=0.999, low=0.9, high=0.9999, minimum=0.0, below=1.0),
        "eps": Numeric(default=1e-8, low=1e-10, high=1e-4, log=True, above=0.0),
        "weight_decay": _WEIGHT_DECAY,
    }

    def __init__(self, structure: Mapping[str, Value]) -> None:
        """Adam has no structural hyperparameters: `structure` is not read."""

    def init(self, theta: Tensor, values: Values) -> State:
        # The powers beta^t are kept as running products in float64: `pow` rounds differently in its vectorised and
        # scalar paths, so that a slot's result would depend on its place.
        ones = torch.ones(len(theta), 1, dtype=torch.float64, device=theta.device)
        return {
            "m": torch.zeros_like(theta),
            "v": torch.zeros_like(theta),
            "power1": ones,
            "power2": ones.clone(),
            "gain1": 1 - values["beta1"][:, None],
            "gain2": 1 - values["beta2"][:, None],
        }

    def update(self, theta: Tensor, gradient: Tensor, state: State, values: Values) -> None:
        if "weight_decay" in values:
            gradient.addcmul_(theta, values["weight_decay"][:, None])
        power1 = state["power1"].mul_(values["beta1"][:, None])
        power2 = state["power2"].mul_(values["beta2"][:, None])
        rate = (values["lr"][:, None] / (power1 - 1)).to(theta.dtype)
        unbias = (1 / (1 - power2).sqrt()).to(theta.dtype)
        # In place throughout: on the CPU a temporary of this size costs more than the arithmetic.
        m, v = state["m"], state["v"]
        m.lerp_(gradient, state["gain1"])
        v.lerp_(gradient.square_(), state["gain2"])
        denominator = torch.sqrt(v, out=gradient).mul_(unbias).add_(values["eps"][:, None])
        theta.addcmul_(torch.div(m, denominator, out=denominator), rate)


OPTIMISERS: Mapping[str, type[Optimiser]] = {"sgd": SGD, "adam": Adam}
