"""The `project` hook that bounds the norm of each neuron's incoming weights, in a form that kernels know."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from search.technique.values import Values


def norms(weight: Tensor) -> Tensor:
    """Return the norms of columns: ``slots x inputs x outputs`` to ``slots x 1 x outputs``."""
    return weight.square().sum(1, keepdim=True).sqrt()


@dataclass(frozen=True)
class LargestNorm:
    """A `project` hook: ``w_j <- w_j * min(1, c / |w_j|)`` for the incoming weights w_j of each neuron, without biases.

    A vector within the bound is unchanged, to the bit. On a GPU a kernel takes the place of the call.

    Args:
        name: the hyperparameter c, ``(slots,)``.
    """

    name: str

    def __call__(self, weights: Tensor, values: Values) -> None:
        """Scale vectors beyond the bound, in place; a padded neuron is 0, which is within every bound.

        Args:
            weights: the weights, ``slots x size``, of which each layer's is ``slots x inputs x outputs``.
            values: the values of the technique.
        """
        bound = values[self.name][:, None, None]
        for number in range(len(values.layout.linears)):
            weight = values.layout.view(weights, values.layout.weight(number))
            norm = norms(weight)
            weight.mul_(torch.where(norm > bound, bound / norm, 1.0))
