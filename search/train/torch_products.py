"""A pack's products, activations and losses in torch: on a GPU, in bfloat16, and where kernels cannot be compiled.

Each slot has a product of its own, because torch's batched product takes another kernel on the CPU for one slot than
for several, and a slot's bits would depend on its neighbours. On a GPU all slots share one (`batched_products`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from search.technique.layout import ALIGNMENT, Layout
from search.train import losses
from search.train.activations import ACTIVATIONS
from search.train.batches import Targets
from search.train.losses import LossFunction


class TorchProducts:
    """The products, activations and losses of a pack; the arguments are those of `CompiledNetwork`.

    Args:
        compute: the type of activations and products: the type of the weights, or a smaller one.

    Attributes:
        slots: the number of slots.
        dtype: the type of activations.
        joins: that stretches of several layers add nothing to activations (`Technique.residual`).
    """

    joins = False

    def __init__(
        self,
        layout: Layout,
        activation: str,
        loss: LossFunction,
        outputs: int,
        theta: Tensor,
        gradient: Tensor,
        groups: Sequence[slice],
        compute: torch.dtype,
    ) -> None:
        self.slots, self.dtype = len(theta), compute
        self._theta, self._gradient, self._groups = theta, gradient, groups
        self._loss, self._outputs = loss, outputs
        # This is theta itself if its type is that of the products.
        self._computed, self._followed = theta.to(compute), False
        places = [(layout.weight(number), layout.bias(number)) for number in range(len(layout.linears))]
        self._weights = [layout.view(self._computed, weight) for weight, _ in places]
        self._biases = [layout.view(self._computed, bias).unsqueeze(1) for _, bias in places]
        self._weight_gradients = [layout.view(gradient, weight) for weight, _ in places]
        self._bias_gradients = [layout.view(gradient, bias) for _, bias in places]
        hidden = [layer < layout.layers - 1 for layer, _ in layout.linears]
        self._activations = [ACTIVATIONS[activation] if one else None for one in hidden]
        self._largest = max(weight.size for weight, _ in places)

    def begin(self) -> None:
        """Begin a step: use the present weights, and overwrite the old gradient in the first backward pass."""
        self._written = [False] * len(self._weights)
        if self._computed is not self._theta and not self._followed:
            self._computed.copy_(self._theta)

    def follow(self) -> Tensor | None:
        """Return the copy of the weights in the type of products, which from now on the caller keeps up to date.

        Return None where the products take the weights themselves.
        """
        if self._computed is self._theta:
            return None
        self._followed = True
        return self._computed

    def finish(self) -> None:
        """End the backward passes of a step: they have written the gradient."""

    def predict(self, first: int, last: int, x: Tensor) -> Tensor:
        """Return a stretch's activations ``slots x batch x outputs``."""
        return self.forward(first, last, x)[0]

    def forward(self, first: int, last: int, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return a stretch's activations, and what `backward` takes: each layer's z or h, and its h if that is other.

        Args:
            first, last: the stretch: the linear maps (`Layout`) from `first` to before `last`.
            x: the inputs, ``groups x batch x features`` (shared within a group) or ``slots x batch x features``.
        """
        kept = []
        for layer in range(first, last):
            z, activation = self._linear(layer, x), self._activations[layer]
            x = z if activation is None else activation.forward(z)
            kept += [z, x] if activation is not None and activation.of_input else [x, x]
        return x, kept

    def backward(
        self, first: int, last: int, x: Tensor, kept: Sequence[Tensor], gradient: Tensor, needs_input: bool
    ) -> Tensor | None:
        """Add up a stretch's gradients from that in its activations; return that in its inputs if it is needed."""
        return self._backward(first, last, x, kept, gradient, needs_input, writes=True)

    def back(self, first: int, last: int, x: Tensor, kept: Sequence[Tensor], gradient: Tensor) -> Tensor:
        """Return the gradient in a stretch's inputs from that in its activations; write none of the weights."""
        into = self._backward(first, last, x, kept, gradient, needs_input=True, writes=False)
        assert into is not None
        return into

    def _backward(
        self,
        first: int,
        last: int,
        x: Tensor,
        kept: Sequence[Tensor],
        gradient: Tensor,
        needs_input: bool,
        writes: bool,
    ) -> Tensor | None:
        # The gradient that is given must not be overwritten; those computed here may be.
        ours = False
        for layer in reversed(range(first, last)):
            if (activation := self._activations[layer]) is not None:
                into = gradient if ours else torch.empty_like(gradient)
                gradient, ours = activation.backward(gradient, kept[2 * (layer - first)], into), True
            source = x if layer == first else kept[2 * (layer - first) - 1]
            if writes:
                self._add_gradient(layer, source, gradient)
            if layer == first and not needs_input:
                return None
            into = gradient.new_empty(*gradient.shape[:2], self._weights[layer].shape[1])
            self._multiply(gradient, self._weights[layer].transpose(1, 2), into)
            gradient, ours = into, True
        return gradient

    def measure(self, predictions: Tensor, y: Targets, scale: Tensor | None, total: Tensor, read: Tensor) -> None:
        """Add the losses of predictions to `total`, and right guesses (or squared errors) to `read`, ``(slots,)``.

        Args:
            predictions: ``slots x examples x padded outputs``.
            y: the targets of the examples.
            scale: the factors to the user's units in regression; None in classification.
        """
        loss = self._loss(predictions, y.values[None], self._outputs)
        each = (
            losses.correct(predictions, y.values, self._outputs)
            if scale is None
            else losses.squared_error(predictions, y.values, scale)
        )
        if y.weights is not None:
            loss, each = loss * y.weights, each * y.weights
        total += loss.sum(1)
        read += each.sum(1)

    def sizes(self, least: float) -> tuple[Tensor, Tensor]:
        """Return each slot's number of weights below `least` in magnitude, and their norm; overwrite the gradient."""
        theta = self._theta
        norm = torch.linalg.vector_norm(theta, dim=1).double()
        small = torch.lt(torch.abs(theta, out=self._gradient), least, out=self._gradient)
        # A sum over sixteen is exact in any type; a sum of booleans would first copy them all into 64-bit integers.
        return small.view(len(theta), -1, ALIGNMENT).sum(2).double().sum(1), norm

    def _linear(self, layer: int, x: Tensor) -> Tensor:
        weight, bias = self._weights[layer], self._biases[layer]
        out = x.new_empty(self.slots, x.shape[1], weight.shape[2])
        for slot, inputs in enumerate(self._by_slot(x)):
            torch.addmm(bias[slot], inputs, weight[slot], out=out[slot])
        return out

    def _add_gradient(self, layer: int, x: Tensor, gradient: Tensor) -> None:
        """Overwrite the gradient in the first backward pass of a step, which saves clearing it; add in later ones."""
        self._add_weight_gradient(layer, x, gradient)
        bias = self._bias_gradients[layer]
        if self._written[layer]:
            bias.add_(gradient.sum(1, dtype=bias.dtype))
        else:
            torch.sum(gradient, 1, dtype=bias.dtype, out=bias)
        self._written[layer] = True

    def _add_weight_gradient(self, layer: int, x: Tensor, gradient: Tensor) -> None:
        weight = self._scratch[: self._weights[layer].numel()].view(self._weights[layer].shape)
        for slot, inputs in enumerate(self._by_slot(x)):
            torch.mm(inputs.T, gradient[slot], out=weight[slot])
        if self._written[layer]:
            self._weight_gradients[layer].add_(weight)
        else:
            self._weight_gradients[layer].copy_(weight)

    @cached_property
    def _scratch(self) -> Tensor:
        """Where products go before they are copied: they are fast only into memory that is contiguous.

        A view of the flat buffer is not.
        """
        return self._computed.new_empty(self.slots * self._largest)

    def _multiply(self, a: Tensor, b: Tensor, out: Tensor) -> None:
        for slot in range(self.slots):
            torch.mm(a[slot], b[slot], out=out[slot])

    def _by_slot(self, x: Tensor) -> list[Tensor]:
        if len(x) == self.slots:
            return list(x)
        return [x[g] for g, rows in enumerate(self._groups) for _ in range(rows.stop - rows.start)]
