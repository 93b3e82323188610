"""The gradient of a step without autograd: what compiled kernels can do for a program.

They serve programs without `loss` hooks, whose `layer` hooks all have loops (`search.technique.Loops`). All other hooks
run in torch around them. Other programs train through autograd, with the same products.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from search.technique import Array, Loops, Technique
from search.train.compiled import toolchain
from search.train.values import TechniqueValues

if TYPE_CHECKING:
    from search.train.compiled.network import CompiledNetwork

_compiled = cache(toolchain.kernel)
_Changed = list[tuple[Loops, list[Array]]]
"""The loops that have changed a layer's activations, with what they were given."""


def serves(techniques: Sequence[Technique]) -> bool:
    """Return whether the gradient of a program with these techniques needs no autograd, but for its penalties."""
    return all(one.loss is None and (one.layer is None or one.loops is not None) for one in techniques)


class DirectGradient:
    """Writes the gradient of every slot's loss, without penalties.

    Args:
        network: the network.
        layers: the number of its layers.
        techniques: the techniques and their values.
        expand: the function that expands ``groups x ...`` to ``slots x ...``.
    """

    def __init__(
        self,
        network: CompiledNetwork,
        layers: int,
        techniques: Sequence[tuple[Technique, TechniqueValues]],
        expand: Callable[[Tensor], Tensor],
    ) -> None:
        self._network, self._layers, self._expand = network, layers, expand
        self._loops = [(one.loops, values) for one, values in techniques if one.loops is not None]

    def __call__(self, x: Tensor, y: Tensor, total: Tensor) -> None:
        """Write the gradient for a minibatch, and add the sum of each slot's losses to `total`, float64 ``(slots,)``.

        Args:
            x, y: inputs and targets, ``groups or slots x batch x padded ...``.
        """
        if not self._loops:
            self._network.learn(x, y, total)
            return
        network = self._network
        passed: list[tuple[Tensor, Sequence[Tensor], _Changed]] = []
        network.begin()
        x, _ = self._changed(x, 0)
        for layer in range(self._layers):
            out, kept = network.forward(layer, layer + 1, x)
            changed: _Changed = []
            source = x
            if layer < self._layers - 1:
                x, changed = self._changed(out, layer + 1)
            passed.append((source, kept, changed))
        gradient: Tensor | None = network.loss_gradient(out, y, total)
        for layer in reversed(range(self._layers)):
            source, saved, changed = passed[layer]
            assert gradient is not None
            for loops, given in reversed(changed):
                _compiled(loops.backward)(gradient.numpy(), *given)
            gradient = network.backward(layer, layer + 1, source, saved, gradient, layer > 0)

    def _changed(self, h: Tensor, number: int) -> tuple[Tensor, _Changed]:
        """Return activations after every technique's loop, and the loops with what they were given."""
        changed: _Changed = []
        for loops, values in self._loops:
            if (given := loops.given(number, h, values)) is None:
                continue
            if number == 0 and not changed:
                # The data must stay as they are.
                h = self._expand(h).clone(memory_format=torch.contiguous_format)
            arrays = [tensor.detach().numpy() for tensor in given]
            _compiled(loops.forward)(h.numpy(), *arrays)
            changed.append((loops, arrays))
        return h, changed
