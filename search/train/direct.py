"""The gradient of a step without autograd: what compiled kernels can do for a program.

They serve programs without `loss` hooks or waves, whose `layer` and `mix` hooks all have another form: gates, which
are part of the kernels that train a slot in one go, or loops, for which a pack trains layer by layer. All other hooks
run in torch around them. Other programs train through autograd, with the same products.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from search.technique import Technique
from search.train.batches import Targets
from search.train.changes import Change, InPlace, has_form

if TYPE_CHECKING:
    from search.train.compiled.network import CompiledNetwork
    from search.train.compiled.plan import Gates
    from search.train.mixing import Mixing

Back = Callable[[Tensor, bool], Tensor | None]
"""A function of the gradient in a layer's activations; it returns that in its inputs, if that is needed."""


def serves(techniques: Sequence[Technique]) -> bool:
    """Return whether the gradient of a program with these techniques needs no autograd, but for its penalties."""
    return all(
        one.loss is None
        and one.waves is None
        and (one.layer is None or has_form(one))
        and (one.branches is None or one.mix_loops is not None)
        for one in techniques
    )


class DirectGradient:
    """Writes the gradient of every slot's loss, without penalties.

    Args:
        network: the network.
        layers: the number of its layers.
        changes: the changes of activations, in the order of the techniques.
        joined: the numbers of the hidden layers to whose activations what entered them is added.
        mixings: what becomes of the branches of hidden layers, by the layer's number.

    Attributes:
        gates_only: whether all changes are gates, and no layer has branches.
        draws: whether there are any changes.
    """

    def __init__(
        self,
        network: CompiledNetwork,
        layers: int,
        changes: Sequence[Change],
        joined: Collection[int] = (),
        mixings: Mapping[int, Mixing] = MappingProxyType({}),
    ) -> None:
        self._network, self._layers, self._changes, self._joined = network, layers, changes, frozenset(joined)
        self._mixings = mixings
        self.draws = bool(changes)
        self.gates_only = not mixings and all(change.technique.loops is None for change in changes)
        self._trains_inputs = any(change.technique.input_parameters is not None for change in changes)
        self._rooms: dict[str, Tensor] = {}

    def __call__(self, x: Tensor, y: Targets, total: Tensor, needs_input: bool = False) -> Tensor | None:
        """Write the gradient for a minibatch, and add the sum of each slot's losses to `total`, float64 ``(slots,)``.

        Args:
            x, y: inputs and targets, ``groups or slots x batch``.
            needs_input: whether to return the gradient in the inputs, ``slots x batch x padded features``.
        """
        if (
            not needs_input
            and self.gates_only
            and (gates := self.gates([x.shape[1]], x, lambda _step: None)) is not None
        ):
            self._network.learn(x, y, total, gates)
            return None
        network = self._network
        passed: list[tuple[Tensor, Back, list[InPlace]]] = []
        network.begin()
        for layer in range(self._layers):
            h, undo = self._changed(x, layer)
            x = h.add_(passed[-1][0]) if layer in self._joined else h
            out, back_through = self._forward(layer, x)
            passed.append((x, back_through, undo))
            x = out
        gradient: Tensor | None = network.loss_gradient(out, y, total)
        added: Tensor | None = None
        for layer in reversed(range(self._layers)):
            _, back_through, undo = passed[layer]
            assert gradient is not None
            gradient = back_through(gradient, needs_input or layer > 0 or self._trains_inputs)
            if gradient is not None:
                if added is not None:
                    gradient.add_(added)
                # What was added to these activations has the same gradient; what they were before, only a part of it.
                added = gradient.clone() if layer in self._joined else None
                for back in reversed(undo):
                    back(gradient)
        return gradient

    def gates(self, rows: Sequence[int], x: Tensor, begin: Callable[[int], None]) -> Gates | None:
        """Return the gates of some steps; None if two techniques have a gate at the same place.

        Args:
            rows: the number of rows of each step.
            x: inputs of any of them, ``groups or slots x ... x padded features``.
            begin: a function that is called with each step's number before its gates are drawn.
        """
        if not self._changes:
            return self._network.no_gates(len(rows))
        slots, dtype = self._network.slots, x.numpy().dtype
        at = np.full((len(rows), slots, self._layers), -1)
        least, scale = (np.zeros(at.shape, dtype) for _ in range(2))
        group_of = self._changes[0].values.group_of.numpy()
        draws: list[Tensor] = []
        used = 0
        for step, count in enumerate(rows):
            begin(step)
            for number in range(self._layers):
                h = x[:1, :1, :1].expand(slots, count, self._network.width(number))
                for change in self._changes:
                    gate = change.technique.gate
                    if gate is None or (one := gate(number, h, change.values)) is None:
                        continue
                    if at[step, 0, number] >= 0:
                        return None
                    at[step, :, number] = used + group_of * one.draws[0].numel()
                    least[step, :, number], scale[step, :, number] = one.least.numpy(), one.scale.numpy()
                    used += one.draws.numel()
                    draws.append(one.draws.reshape(-1))
        if not draws:
            return self._network.no_gates(len(rows))
        return self._network.gates(torch.cat(draws), at, least, scale)

    def _forward(self, layer: int, x: Tensor) -> tuple[Tensor, Back]:
        """Return a layer's activations, and what takes their gradient back through it."""
        network, mixing = self._network, self._mixings.get(layer + 1)
        linears = [layer] if mixing is None else mixing.linears
        outs = self._room(f"{layer} out", x, layer + 1, len(linears))
        kept = [network.forward(at, at + 1, x, out)[1] for at, out in zip(linears, outs, strict=True)]
        mix, part = (None, None) if mixing is None else mixing.compiled(outs)
        if mix is not None:
            mix(outs)

        def back(gradient: Tensor, needed: bool) -> Tensor | None:
            gradients = gradient[None]
            if part is not None:
                gradients = self._room(f"{layer} branches", x, layer + 1, len(linears))
                gradients[0] = gradient
                part(gradients)
            found: Tensor | None = None
            for number, (at, one) in enumerate(zip(linears, gradients, strict=True)):
                # The gradient in the network's inputs is kept by the caller.
                into = self._room(f"{layer} in {number}", x, layer)[0] if layer else None
                in_input = network.backward(at, at + 1, x, kept[number], one, needed, into)
                found = in_input if found is None or in_input is None else found.add_(in_input)
            return found

        return outs[0], back

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

    def _room(self, name: str, x: Tensor, layers: int, branches: int = 1) -> Tensor:
        """Return room for activations after so many layers, ``branches x slots x batch x width``.

        It is the same in every step.
        """
        size = branches * self._network.slots * x.shape[1] * self._network.width(layers)
        if name not in self._rooms or len(self._rooms[name]) < size:
            self._rooms[name] = x.new_empty(size)
        return self._rooms[name][:size].view(branches, self._network.slots, x.shape[1], -1)
