"""What the pack asks of an optimiser, and what several optimisers have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from search.technique import Hyperparameter, Numeric, Value

State = dict[str, Tensor]

# One object for each name that several optimisers have: a study declares a name once, whichever of them it chooses.
WEIGHT_DECAY = Numeric(default=0.0, low=1e-6, high=1e-1, log=True, minimum=0.0, neutral=0.0, stronger="up")
MOMENTUM = Numeric(default=0.0, low=0.5, high=0.999, minimum=0.0, below=1.0, neutral=0.0)
EPS = Numeric(default=1e-8, low=1e-10, high=1e-4, log=True, above=0.0)


class Optimiser(Protocol):
    """Init and update over explicit state."""

    hyperparameters: Mapping[str, Hyperparameter]

    def __init__(self, structure: Mapping[str, Value]) -> None: ...

    def init(self, theta: Tensor, values: Mapping[str, Tensor]) -> State:
        """The state before the first step; every tensor has leading dimension slots."""
        ...

    def update(self, theta: Tensor, gradient: Tensor, state: State, values: Mapping[str, Tensor]) -> None:
        """One step in place. theta, gradient: ``slots x size`` (gradient may be used as scratch).

        `values` holds ``lr``, ``(slots,)``, or ``slots x 1``, or ``slots x size`` where parameters have their own, and,
        each ``(slots,)``, those of the optimiser's own hyperparameters that the study uses: one that is fixed at its
        neutral value for the whole study is left out, and so is its work.
        """
        ...


def column(value: Tensor) -> Tensor:
    """``(slots,)`` as ``slots x 1``, to broadcast over parameters; what has two dimensions already stays as it is."""
    return value if value.dim() == 2 else value[:, None]


def couple_weight_decay(gradient: Tensor, theta: Tensor, values: Mapping[str, Tensor]) -> None:
    """``g <- g + weight_decay * w`` in place: the gradient of ``weight_decay / 2 * |w|^2``. ``slots x size`` both."""
    if "weight_decay" in values:
        gradient.addcmul_(theta, column(values["weight_decay"]))
