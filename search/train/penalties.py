"""The penalties of a pack's weights, in kernels where their form is stated (`Technique.powers`), else by autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.technique import Technique, Values

if TYPE_CHECKING:
    from search.train.compiled.network import CompiledNetwork


Power = tuple[int, str, Values]
"""A penalty of stated form: the power p of ``c_p * sum_i |w_i|^p``, and where c_p is found by name."""
Other = tuple[Callable[[Tensor, Values], Tensor], Values]
"""Another penalty, with the values of its technique."""


def parted(techniques: Sequence[Technique], values: Sequence[Values]) -> tuple[list[Power], list[Other]]:
    """Return the penalties of stated form (`Technique.powers`), and the other ones."""
    powers: list[Power] = []
    others: list[Other] = []
    for technique, own in zip(techniques, values, strict=True):
        if technique.powers:
            powers += [(power, name, own) for power, name in technique.powers.items()]
        elif technique.penalty is not None:
            others.append((technique.penalty, own))
    return powers, others


class Penalties:
    """Adds the gradients of penalties to that of the losses.

    Args:
        techniques: the techniques of the program.
        values: the values of each.
        network: the network.
        theta, gradient: its weights, and the gradient that is added to, ``slots x size``.

    Attributes:
        stated: whether kernels compute all penalties.
    """

    def __init__(
        self,
        techniques: Sequence[Technique],
        values: Sequence[Values],
        network: CompiledNetwork,
        theta: Tensor,
        gradient: Tensor,
    ) -> None:
        self._network, self._gradient = network, gradient
        # Autograd follows this leaf, which shares the weights' memory.
        self._leaf = theta.detach().requires_grad_()
        self._powers, self._others = parted(techniques, values)
        self.stated = not self._others

    @property
    def strengths(self) -> NDArray[np.floating]:
        """The present factors of the sums of absolute values and of squares, ``2 x slots``; no columns if none."""
        leaf = self._leaf.detach().numpy()
        strengths = np.zeros((2, len(leaf) if self._powers else 0), leaf.dtype)
        for power, name, own in self._powers:
            strengths[power - 1] += own[name].numpy()
        return strengths

    def add(self, total: Tensor) -> None:
        """Add the gradients of all penalties to the gradient, and their values to `total`, float64 ``(slots,)``."""
        if self._powers:
            self._network.penalise(self.strengths, total)
        for penalty, values in self._others:
            term = penalty(self._leaf, values)
            self._gradient.add_(torch.autograd.grad(term.sum(), self._leaf)[0])
            total += term.detach()
