"""The gradient of a step without autograd: what compiled kernels can do for a program.

They serve programs without `loss` hooks, whose `layer` hooks all have another form: gates, which are part of the
kernels that train a slot in one go, or loops, for which a pack trains layer by layer. All other hooks run in torch
around them. Other programs train through autograd, with the same products.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from search.technique import Gate, Technique
from search.train.changes import Change, InPlace, has_form

if TYPE_CHECKING:
    from search.train.compiled.network import CompiledNetwork, Gates


def serves(techniques: Sequence[Technique]) -> bool:
    """Return whether the gradient of a program with these techniques needs no autograd, but for its penalties."""
    return all(one.loss is None and (one.layer is None or has_form(one)) for one in techniques)


class DirectGradient:
    """Writes the gradient of every slot's loss, without penalties.

    Args:
        network: the network.
        layers: the number of its layers.
        changes: the changes of activations, in the order of the techniques.
    """

    def __init__(
        self,
        network: CompiledNetwork,
        layers: int,
        changes: Sequence[Change],
    ) -> None:
        self._network, self._layers, self._changes = network, layers, changes
        self._gates_only = all(change.technique.loops is None for change in changes)
        self._rooms: dict[str, Tensor] = {}

    def __call__(self, x: Tensor, y: Tensor, total: Tensor) -> None:
        """Write the gradient for a minibatch, and add the sum of each slot's losses to `total`, float64 ``(slots,)``.

        Args:
            x, y: inputs and targets, ``groups or slots x batch x padded ...``.
        """
        if self._gates_only and (gates := self._gates(x)) is not None:
            self._network.learn(x, y, total, gates)
            return
        network, passed = self._network, []
        network.begin()
        for layer in range(self._layers):
            x, undo = self._changed(x, layer)
            out, kept = network.forward(layer, layer + 1, x, self._room(f"{layer} out", x, layer + 1))
            passed.append((x, kept, undo))
            x = out
        gradient: Tensor | None = network.loss_gradient(out, y, total)
        for layer in reversed(range(self._layers)):
            x, kept, undo = passed[layer]
            assert gradient is not None
            into = self._room(f"{layer} in", x, layer)
            gradient = network.backward(layer, layer + 1, x, kept, gradient, into is not None, into)
            if gradient is not None:
                for back in reversed(undo):
                    back(gradient)

    def _gates(self, x: Tensor) -> Gates | None:
        """Return the gates of a pass over inputs `x`; None if two techniques have a gate at the same place."""
        slots = self._network.slots
        found: dict[int, Gate] = {}
        for number in range(self._layers) if self._changes else ():
            h = x[:1, :, :1].expand(slots, -1, self._network.width(number))
            for change in self._changes:
                gate = change.technique.gate
                if gate is not None and (one := gate(number, h, change.values)) is not None:
                    if number in found:
                        return None
                    found[number] = one
        if not found:
            return self._network.no_gates
        at = np.full((slots, self._layers), -1)
        least, scale = (np.zeros((slots, self._layers), x.numpy().dtype) for _ in range(2))
        begin, group_of = 0, self._changes[0].values.group_of.numpy()
        for number, one in found.items():
            at[:, number] = begin + group_of * one.draws[0].numel()
            least[:, number], scale[:, number] = one.least.numpy(), one.scale.numpy()
            begin += one.draws.numel()
        return self._network.gates(torch.cat([one.draws.reshape(-1) for one in found.values()]), at, least, scale)

    def _changed(self, h: Tensor, number: int) -> tuple[Tensor, list[InPlace]]:
        """Return activations as the techniques change them, and what takes the gradient back through each change."""
        undo: list[InPlace] = []
        for change in self._changes:
            if (pair := change.at(number, h)) is not None:
                if number == 0 and not undo:
                    h = change.own(h)  # the data must stay as they are
                pair[0](h)
                undo.append(pair[1])
        return h, undo

    def _room(self, name: str, x: Tensor, layers: int) -> Tensor | None:
        """Return room for activations after so many layers, ``slots x batch x width``; it is the same in every step."""
        if layers == 0:
            return None
        size = self._network.slots * x.shape[1] * self._network.width(layers)
        if name not in self._rooms or len(self._rooms[name]) < size:
            self._rooms[name] = x.new_empty(size)
        return self._rooms[name][:size].view(self._network.slots, x.shape[1], -1)
