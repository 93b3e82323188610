"""The penalties of stated form (`Technique.powers`), as part of the optimiser's step on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from search.technique import Technique, Values
from search.train.penalties import Other, Power, parted

if TYPE_CHECKING:
    from search.train.fused.optimisers import FusedOptimiser


_NEEDING = ("gradient", "perturb_inputs", "perturb_weights")
"""The hooks that need the gradient of the penalties before the optimiser's step."""


class PenaltiesInStep:
    """Lets the optimiser add the gradients of penalties, which saves passes over the weights.

    Args:
        powers: the penalties of stated form.
        others: the other ones.
        optimiser: the optimiser.

    Attributes:
        others: the penalties that are left to autograd, as functions of the weights.
    """

    def __init__(self, powers: Sequence[Power], others: Sequence[Other], optimiser: FusedOptimiser) -> None:
        self._powers, self._optimiser = powers, optimiser
        self.others = [_bound(hook, own) for hook, own in others]

    def add(self, total: Tensor) -> None:
        """Let the optimiser's next step add the gradients, and the penalties' values to `total`, ``(slots,)``."""
        rows = [[own[name] for power, name, own in self._powers if power == row] for row in (1, 2)]
        none = torch.zeros_like(next(chain.from_iterable(rows)))
        self._optimiser.penalise(torch.stack([sum(row, none) for row in rows]), total)


def _bound(hook: Callable[[Tensor, Values], Tensor], own: Values) -> Callable[[Tensor], Tensor]:
    return lambda weights: hook(weights, own)


def in_step(
    techniques: Sequence[Technique], values: Sequence[Values], optimiser: FusedOptimiser | None
) -> PenaltiesInStep | None:
    """Return the penalties that the optimiser's step can contain; None if there are none.

    Args:
        techniques: the techniques of the program.
        values: the values of each.
        optimiser: the optimiser; None if it has no kernels.
    """
    powers, others = parted(techniques, values)
    if optimiser is None or not powers or any(getattr(one, hook) for one in techniques for hook in _NEEDING):
        return None
    return PenaltiesInStep(powers, others, optimiser)
