"""The compiled forms of `layer` hooks: gates and loops (`search.technique`), in place, forwards and backwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from search.technique import Technique
from search.train.compiled import toolchain
from search.train.values import TechniqueValues

if TYPE_CHECKING:
    from search.train.compiled.network import CompiledNetwork

InPlace = Callable[[Tensor], None]
"""A function that changes activations, or a gradient, ``slots x batch x width``, in place."""

_compiled = cache(toolchain.kernel)


class Change:
    """What a technique does to activations in training, if it has a compiled form.

    Args:
        technique: a technique with a gate or loops.
        values: its values.
        network: the network, which has the kernel of gates.
    """

    def __init__(self, technique: Technique, values: TechniqueValues, network: CompiledNetwork) -> None:
        self.technique, self.values, self._network = technique, values, network

    def at(self, number: int, h: Tensor) -> tuple[InPlace, InPlace] | None:
        """Return the change of some activations, and what takes a gradient back through it; None if there is none."""
        gate, loops = self.technique.gate, self.technique.loops
        if gate is not None:
            if (one := gate(number, h, self.values)) is None:
                return None
            through = self._network.through_gate(one.draws, self.values.group_of, one.least, one.scale)
            return through, through
        assert loops is not None
        # Inputs that slots share are expanded first: loops write to each slot's, and to room that they got for them.
        h = self.values.per_slot(h)
        if (given := loops.given(number, h, self.values)) is None:
            return None
        return looped(loops.forward, given), looped(loops.backward, given)

    def own(self, h: Tensor) -> Tensor:
        """Return activations ``groups or slots x ...`` as ``slots x ...`` that may be changed in place."""
        return self.values.per_slot(h).clone(memory_format=torch.contiguous_format)

    def gate_for_autograd(self, h: Tensor, number: int) -> Tensor:
        """Do what the `layer` hook of a technique with a gate does; in training with the compiled gate."""
        assert self.technique.layer is not None
        if not torch.is_grad_enabled():
            return self.technique.layer(h, number, self.values)
        if (pair := self.at(number, h)) is None:
            return h
        changed: Tensor = _Gated.apply(h, self, pair[0])  # type: ignore[no-untyped-call]
        return changed


class _Gated(torch.autograd.Function):
    """A gate for autograd."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, change: Change, through: InPlace) -> Tensor:
        ctx.through = through
        h = change.own(h)
        through(h)
        return h

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        gradient = gradients[0].clone(memory_format=torch.contiguous_format)
        ctx.through(gradient)
        return gradient, None, None


def has_form(technique: Technique) -> bool:
    """Return whether a technique's `layer` hook has a compiled form."""
    return technique.gate is not None or technique.loops is not None


def looped(loop: Callable[..., None], given: Sequence[Tensor]) -> InPlace:
    """Return a compiled loop as a function of activations, or of their gradient, with what it is given besides."""
    arrays = [tensor.detach().numpy() for tensor in given]
    return lambda h: _compiled(loop)(h.numpy(), *arrays)
