"""The protocol of an optimiser, and the hyperparameters and functions that several optimisers share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from search.technique import Hyperparameter, Numeric, Value

State = dict[str, Tensor]

# One object for each name that several optimisers have: a study declares a name once, whichever optimiser it uses.
WEIGHT_DECAY = Numeric(default=0.0, low=1e-6, high=1e-1, log=True, minimum=0.0, neutral=0.0, stronger="up")
MOMENTUM = Numeric(default=0.0, low=0.5, high=0.999, minimum=0.0, below=1.0, neutral=0.0)
EPS = Numeric(default=1e-8, low=1e-10, high=1e-4, log=True, above=0.0)


class Optimiser(Protocol):
    """An optimiser: `init` and `update` over explicit state.

    Attributes:
        hyperparameters: its hyperparameters by name, besides `lr`.
    """

    hyperparameters: Mapping[str, Hyperparameter]

    def __init__(self, structure: Mapping[str, Value]) -> None: ...

    def init(self, theta: Tensor, values: Mapping[str, Tensor]) -> State:
        """Return the state before the first step; every tensor has leading dimension slots."""
        ...

    def update(self, theta: Tensor, gradient: Tensor, state: State, values: Mapping[str, Tensor]) -> None:
        """Take one step in place.

        Args:
            theta: the weights, ``slots x size``.
            gradient: their gradient, ``slots x size``; it may be used as scratch.
            state: the state, changed in place.
            values: ``lr``, which is ``(slots,)``, ``slots x 1``, or ``slots x size`` if parameters have rates of their
                own; and the optimiser's numeric hyperparameters in use, ``(slots,)`` each. One at its neutral value is
                left out, and so is its work.
        """
        ...


def column(value: Tensor) -> Tensor:
    """Return ``(slots,)`` as ``slots x 1``, to broadcast over parameters; a tensor of two dimensions is unchanged."""
    return value if value.dim() == 2 else value[:, None]


def couple_weight_decay(gradient: Tensor, theta: Tensor, values: Mapping[str, Tensor]) -> None:
    """Add the gradient of ``weight_decay / 2 * |w|^2`` in place: ``g <- g + weight_decay * w``, ``slots x size``."""
    if "weight_decay" in values:
        gradient.addcmul_(theta, column(values["weight_decay"]))
