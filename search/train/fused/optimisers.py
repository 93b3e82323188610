"""Adam and AdamW as kernels for a GPU take them. State and values are those of `search.train.optimisers`.

So both forms continue from each other's states, and a checkpoint of one device goes on on another.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import triton
from torch import Tensor

from search.train.fused import kernels
from search.train.optimisers import Optimiser, State
from search.train.optimisers.adam import Adam, AdamW

_NUMBERS = ("beta1", "beta2", "eps", "weight_decay")


class FusedOptimiser:
    """The steps of an optimiser, each of them one pass over the weights of all slots.

    Args:
        optimiser: an optimiser that has this form (`has_form`).
        theta, gradient: ``slots x size``.
        state: the optimiser's state.
        values: the numeric hyperparameters in use, ``(slots,)`` each, as in `read`.
        low: a copy of the weights in a smaller type, which each step writes, too; None if there is none.
    """

    def __init__(
        self,
        optimiser: Optimiser,
        theta: Tensor,
        gradient: Tensor,
        state: State,
        values: Mapping[str, Tensor],
        low: Tensor | None = None,
    ) -> None:
        self._theta, self._gradient, self._state, self._low = theta, gradient, state, low
        self._decays, self._decoupled = "weight_decay" in values, isinstance(optimiser, AdamW)
        slots, size = theta.shape
        self._blocks = triton.cdiv(size, kernels.BLOCK)
        self._numbers = {name: theta.new_zeros(slots) for name in _NUMBERS}
        self._factor, self._floor = theta.new_zeros(slots), theta.new_zeros(slots)
        # These stay where they are: a CUDA graph knows its memory by address.
        self._strengths = theta.new_zeros(2, slots)
        self._sums = theta.new_zeros(2, slots, self._blocks)
        self._total: Tensor | None = None
        self.read(values)

    def read(self, values: Mapping[str, Tensor]) -> None:
        """Take over the numeric hyperparameters in use, ``(slots,)`` each, for the next steps; `lr` is not read."""
        for name, number in self._numbers.items():
            if name in values:
                number.copy_(values[name])

    def penalise(self, strengths: Tensor, total: Tensor) -> None:
        """Let the next step add the gradients of penalties, and their values at the weights before it to `total`.

        Args:
            strengths: the factors of the sums of absolute values and of squares, ``2 x slots``.
            total: float64 ``(slots,)``.
        """
        self._strengths.copy_(strengths)
        self._total = total

    def step(self, lr: Tensor) -> None:
        """Take a step of every slot; `lr` is ``(slots,)``, ``slots x 1`` or ``slots x size``."""
        state, numbers, (slots, size) = self._state, self._numbers, self._theta.shape
        kernels.advance[(triton.cdiv(slots, kernels.SLOTS),)](
            *(state["power1"], state["power2"], numbers["beta1"], numbers["beta2"], numbers["eps"]),
            *(self._factor, self._floor, slots),
            BLOCK=kernels.SLOTS,
        )
        kernels.adam[(self._blocks, slots)](
            *(self._theta, self._gradient, state["m"], state["v"], lr.contiguous(), self._factor, self._floor),
            *(state["gain1"], state["gain2"], numbers["weight_decay"], self._strengths, self._sums),
            *(self._theta if self._low is None else self._low, slots, size),
            DECAY=self._decays,
            DECOUPLED=self._decoupled,
            PENALISED=self._total is not None,
            APART=lr.numel() > slots,
            LOW=self._low is not None,
            BLOCK=kernels.BLOCK,
        )
        if self._total is not None:
            self._total += (self._strengths * self._sums.sum(2, dtype=torch.float64)).sum(0)
            self._total = None


def has_form(optimiser: Optimiser) -> bool:
    """Return whether an optimiser has a form in kernels for a GPU."""
    return type(optimiser) in (Adam, AdamW)
