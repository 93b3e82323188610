"""The Adam and AdamW optimisers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from search.technique import Hyperparameter, Numeric, Value
from search.train.optimisers.contract import EPS, WEIGHT_DECAY, State, column, couple_weight_decay


class Adam:
    """Adam, with weight decay coupled (added to the gradient).

    ``g <- g + weight_decay * w``,  ``m <- beta1 m + (1 - beta1) g``,  ``v <- beta2 v + (1 - beta2) g^2``,
    ``w <- w - lr * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)``.

    Source: `torch.optim.Adam`; Kingma and Ba, "Adam: a method for stochastic optimization" (ICLR 2015).
    """

    hyperparameters: Mapping[str, Hyperparameter] = {
        "beta1": Numeric(default=0.9, low=0.5, high=0.99, minimum=0.0, below=1.0),
        "beta2": Numeric(default=0.999, low=0.9, high=0.9999, minimum=0.0, below=1.0),
        "eps": EPS,
        "weight_decay": WEIGHT_DECAY,
    }

    def __init__(self, structure: Mapping[str, Value]) -> None:
        """Adam has no structural hyperparameters: `structure` is not read."""

    def init(self, theta: Tensor, values: Mapping[str, Tensor]) -> State:
        """Return both moments, ``slots x size``, and the powers beta^t and the weights 1 - beta, ``slots x 1``."""
        # The powers beta^t are running products in float64, because `pow` rounds differently in its vectorised and
        # scalar paths, and a slot's result would depend on its place.
        ones = torch.ones(len(theta), 1, dtype=torch.float64, device=theta.device)
        return {
            "m": torch.zeros_like(theta),
            "v": torch.zeros_like(theta),
            "power1": ones,
            "power2": ones.clone(),
            "gain1": 1 - column(values["beta1"]),
            "gain2": 1 - column(values["beta2"]),
        }

    def update(self, theta: Tensor, gradient: Tensor, state: State, values: Mapping[str, Tensor]) -> None:
        """Take one step in place; shapes as in `Optimiser.update`."""
        self._decay(theta, gradient, values)
        power1 = state["power1"].mul_(column(values["beta1"]))
        power2 = state["power2"].mul_(column(values["beta2"]))
        # Both bias corrections are applied to one number per slot, which saves a pass over the weights.
        unbias = (1 - power2).sqrt_()
        eps = (unbias * column(values["eps"])).to(theta.dtype)
        rate = column(values["lr"]) * (unbias / (1 - power1)).to(theta.dtype)
        m, v = state["m"], state["v"]
        m.lerp_(gradient, state["gain1"])
        v.lerp_(gradient.square_(), state["gain2"])
        denominator = torch.sqrt(v, out=gradient).add_(eps)
        theta.addcmul_(torch.div(m, denominator, out=denominator), rate, value=-1)

    def _decay(self, theta: Tensor, gradient: Tensor, values: Mapping[str, Tensor]) -> None:
        couple_weight_decay(gradient, theta, values)


class AdamW(Adam):
    """Adam with weight decay decoupled from the gradient, and so from the moments.

    ``w <- w (1 - lr * weight_decay)``, then Adam's step without decay. The default of `weight_decay` is 0, as for
    every optimiser here; in torch's AdamW it is 0.01.

    Source: `torch.optim.AdamW`; Loshchilov and Hutter, "Decoupled weight decay regularization" (ICLR 2019).
    """

    def _decay(self, theta: Tensor, gradient: Tensor, values: Mapping[str, Tensor]) -> None:  # noqa: ARG002
        if "weight_decay" in values:
            # The decay is subtracted, not applied as a factor: in float32, 1 - 1e-6 is off by 1.3% of the decay, with
            # the same sign at every step.
            theta.addcmul_(theta, column(values["lr"]) * column(values["weight_decay"]), value=-1)
