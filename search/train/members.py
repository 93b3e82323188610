"""Networks that share the weights of a slot, as in a batch ensemble (`Technique.members`).

Network m of a slot has, in each linear map, a bias b_m of its own and factors r_m and s_m on what enters and leaves it:

    h' = a(((h * r_m) W) * s_m + b_m) = a(h W_m + b_m)    with W_m = diag(r_m) W diag(s_m)

So it is a plain network of the weights W_m. A pack computes its layers for ``slots x members`` such networks, and the
gradients of W, r and s from those of all W_m:

    dW = sum_m diag(r_m) dW_m diag(s_m)    dr_m = rows' sums of dW_m * W diag(s_m)    ds_m = columns' sums ...

The loss of a slot is the mean of its networks' losses. What techniques see of activations is ``slots x (members x
batch) x width``: the rows of one network after those of the other. Inputs are the same for all networks.

Source: Wen, Tran and Ba, "BatchEnsemble: an alternative approach to efficient ensemble and lifelong learning" (ICLR
2020).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from search.technique.layout import Field, Layout
from search.train.batches import Targets
from search.train.member_buffers import Buffers
from search.train.torch_products import TorchProducts

if TYPE_CHECKING:
    from search.train.compiled.members import CompiledWeights
    from search.train.compiled.network import CompiledNetwork

Make = Callable[[Layout, Tensor, Tensor, Sequence[slice]], "TorchProducts | CompiledNetwork"]
"""A function that returns what computes the layers of networks: of layout, weights, gradient and groups."""


def member_weights(layout: Layout, theta: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Return a linear map's weights and biases in each network, of the weights ``slots x size``.

    Returns:
        ``slots x members x padded inputs x padded outputs`` and ``slots x members x padded outputs``.
    """
    weight, bias = (layout.view(theta, field) for field in (layout.weight(number), layout.bias(number)))
    if layout.members == 1:
        return weight[:, None], bias[:, None]
    r, s = (layout.view(theta, field) for field in layout.scales(number))
    return weight[:, None] * r[..., None] * s[:, :, None], bias


def repeated(y: Targets, members: int, expand: Callable[[Tensor], Tensor]) -> Targets:
    """Return the targets of a minibatch, ``groups or slots x batch``, for the rows of all networks of each slot.

    Args:
        y: the targets.
        members: the number of networks that share the weights of a slot.
        expand: the function that expands ``groups x ...`` to ``slots x ...``.
    """
    values = expand(y.values).repeat(1, members, 1)
    return Targets(values, None if y.weights is None else expand(y.weights).repeat(1, members))


class TorchWeights:
    """The weights of the networks of a pack, and their gradients, in torch."""

    def __init__(self, buffers: Buffers) -> None:
        layout, plain, self._theta, self._gradient, weights, slopes = buffers
        self._layout, slots = layout, len(weights) // layout.members

        def views(buffer: Tensor, field: Field) -> Tensor:
            return plain.view(buffer, field).view(slots, layout.members, *field.stored)

        fields = [(plain.weight(number), plain.bias(number)) for number in range(len(layout.linears))]
        self._weights = [(views(weights, weight), views(weights, bias)) for weight, bias in fields]
        self._slopes = [(views(slopes, weight), views(slopes, bias)) for weight, bias in fields]

    def spread(self) -> None:
        """Write the weights of each network."""
        for number, (weights, biases) in enumerate(self._weights):
            weight, bias = member_weights(self._layout, self._theta, number)
            weights.copy_(weight)
            biases.copy_(bias)

    def fold(self) -> None:
        """Write the gradient of what the networks share and of what is their own."""
        layout, theta, gradient = self._layout, self._theta, self._gradient
        for number, (slopes, of_bias) in enumerate(self._slopes):
            weight = layout.view(theta, layout.weight(number))
            r, s = (layout.view(theta, field) for field in layout.scales(number))
            of_weight = layout.view(gradient, layout.weight(number)).zero_()
            of_r, of_s = (layout.view(gradient, field) for field in layout.scales(number))
            layout.view(gradient, layout.bias(number)).copy_(of_bias)
            # One network after the other, because all at once would take a few times the memory of all networks.
            for member in range(layout.members):
                slope, factor = slopes[:, member], r[:, member, :, None]
                left = slope * s[:, member, None]
                of_weight.addcmul_(left, factor)
                torch.sum(left * weight, 2, out=of_r[:, member])
                torch.sum(slope * weight * factor, 1, out=of_s[:, member])


class MemberProducts:
    """The products, activations and losses of a pack in whose slots several networks share weights.

    The methods are those of `search.train.network.Products`, with ``members x batch`` rows after the first layer.

    Args:
        make: what creates the products of plain networks.
        layout: the place of each parameter.
        theta, gradient: the weights and a buffer for their gradient, ``slots x size``.
        groups: the consecutive slots that share a minibatch.

    Attributes:
        slots: the number of slots.
        dtype: the type of activations.
        joins: whether stretches of several layers add what `Technique.residual` says.
        whole: what measures the slots; its layers are not used.
    """

    def __init__(self, make: Make, layout: Layout, theta: Tensor, gradient: Tensor, groups: Sequence[slice]) -> None:
        self._members, self._groups, self.slots = layout.members, len(groups), len(theta)
        self._takes_inputs = [layer == 0 for layer, _ in layout.linears]
        plain = replace(layout, vectors=(), members=1)
        weights = theta.new_zeros(self.slots * self._members, plain.size)
        slopes = torch.zeros_like(weights)
        each = [slice(group.start * self._members, group.stop * self._members) for group in groups]
        self._each, self.whole = make(plain, weights, slopes, each), make(layout, theta, gradient, groups)
        buffers = Buffers(layout, plain, theta, gradient, weights, slopes)
        self._weights: TorchWeights | CompiledWeights
        if isinstance(self._each, TorchProducts):
            self._weights = TorchWeights(buffers)
        else:
            from search.train.compiled.members import CompiledWeights  # it takes numba

            self._weights = CompiledWeights(buffers)
        self.dtype, self.joins = self._each.dtype, self._each.joins

    def begin(self) -> None:
        """Begin a step: use the present weights, and overwrite the old gradient in the first backward pass."""
        self._weights.spread()
        self._each.begin()

    def finish(self) -> None:
        """Write the gradient of the shared weights, of the factors and of the biases, after all backward passes."""
        self._weights.fold()

    def predict(self, first: int, last: int, x: Tensor) -> Tensor:
        """Return a stretch's activations, and keep nothing."""
        return self._rows_together(self._each.predict(first, last, self._entering(first, x)))

    def forward(self, first: int, last: int, x: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """Return a stretch's activations, and what `backward` takes.

        Args:
            first, last: the stretch: the linear maps (`Layout`) from `first` to before `last`.
            x: the inputs of the network, ``groups or slots x batch x features``, or activations, ``slots x (members x
                batch) x width``.
        """
        out, kept = self._each.forward(first, last, self._entering(first, x))
        return self._rows_together(out), kept

    def backward(
        self, first: int, last: int, x: Tensor, kept: Sequence[Tensor], gradient: Tensor, needs_input: bool
    ) -> Tensor | None:
        """Add up a stretch's gradients from that in its activations; return that in its inputs if it is needed."""
        inner = self._entering(first, x), kept, self._by_network(gradient)
        into = self._each.backward(first, last, *inner, needs_input)
        return None if into is None else self._leaving(first, into)

    def back(self, first: int, last: int, x: Tensor, kept: Sequence[Tensor], gradient: Tensor) -> Tensor:
        """Return the gradient in a stretch's inputs from that in its activations; write none of the weights."""
        inner = self._entering(first, x), kept, self._by_network(gradient)
        return self._leaving(first, self._each.back(first, last, *inner))

    def loss_gradient(self, predictions: Tensor, y: Targets, total: Tensor) -> Tensor:
        """Return the gradient of every slot's mean loss in its predictions; add the sums of losses to `total`."""
        assert not isinstance(self._each, TorchProducts)
        weights = None if y.weights is None else y.weights.view(self.slots * self._members, -1)
        sums = total.new_zeros(self.slots * self._members)
        slope = self._each.loss_gradient(
            self._by_network(predictions), Targets(self._by_network(y.values), weights), sums
        )
        total += sums.view(self.slots, self._members).mean(1)
        return self._rows_together(slope.div_(self._members))

    def measure(self, predictions: Tensor, y: Targets, scale: Tensor | None, total: Tensor, read: Tensor) -> None:
        """Add losses and scores of what the networks of each slot predict together, ``slots x examples x outputs``."""
        self.whole.measure(predictions, y, scale, total, read)

    def sizes(self, least: float) -> tuple[Tensor, Tensor]:
        """Return each slot's number of weights below `least` in magnitude, and their norm."""
        return self.whole.sizes(least)

    def _entering(self, first: int, x: Tensor) -> Tensor:
        """Return what enters a stretch as each network's: ``groups or (slots x members) x batch x width``."""
        if not self._takes_inputs[first]:
            return self._by_network(x)
        return x if len(x) == self._groups else x.repeat_interleave(self._members, 0)

    def _leaving(self, first: int, gradient: Tensor) -> Tensor:
        """Return the gradient in what entered a stretch, of that in each network's."""
        if not self._takes_inputs[first]:
            return self._rows_together(gradient)
        return gradient.view(self.slots, self._members, *gradient.shape[1:]).sum(1)

    def _by_network(self, rows: Tensor) -> Tensor:
        return rows.reshape(self.slots * self._members, -1, rows.shape[2])

    def _rows_together(self, rows: Tensor) -> Tensor:
        return rows.view(self.slots, -1, rows.shape[2])
