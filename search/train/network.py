"""The batched multilayer perceptron: every slot its own weights, all slots in one product.

For slot s, layer l:  h_l = a(h_{l-1} W_l + b_l),  W_l: ``slots x inputs x outputs``,  b_l: ``slots x 1 x outputs``.

The weights are views of the pack's flat buffer, and the backward pass writes each layer's gradient straight into the
flat gradient buffer. Autograd carries only the activations, so that a technique's own terms (a penalty, a second
forward pass, a layer) are ordinary differentiable code around it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from search.technique.layout import Layout
from search.train.activations import ACTIVATIONS, Activation


class _Layer:
    """One layer's views into the flat buffers, and whether this step has already written its gradient.

    Its activation is None in the last layer. `scratch` is room for its weights, shared by all layers.
    """

    def __init__(
        self,
        layout: Layout,
        index: int,
        theta: Tensor,
        gradient: Tensor,
        activation: Activation | None,
        scratch: Tensor,
    ) -> None:
        weight, bias = layout.weight(index), layout.bias(index)
        self.weight = layout.view(theta, weight)
        self.weight_transposed = self.weight.transpose(1, 2)
        self.bias = layout.view(theta, bias).unsqueeze(1)
        self.weight_grad = layout.view(gradient, weight)
        self.bias_grad = layout.view(gradient, bias)
        self.activation = activation
        self.written = False
        self.scratch = scratch[: self.weight.numel()].view(self.weight.shape)

    def linear(self, x: Tensor, groups: Sequence[slice] | None) -> Tensor:
        """``x W + b``; `x` has every slot's own inputs where `groups` is None, else one minibatch for each group."""
        if groups is None:
            return torch.baddbmm(self.bias, x, self.weight)
        out = x.new_empty(len(self.weight), x.shape[1], self.weight.shape[2])
        for g, rows in enumerate(groups):
            torch.baddbmm(self.bias[rows], _expanded(x, g, rows), self.weight[rows], out=out[rows])
        return out

    def add_gradient(self, x: Tensor, gradient: Tensor, groups: Sequence[slice] | None) -> None:
        """The first backward pass of a step overwrites (which spares clearing the buffer), later ones add."""
        # A product of its own and then a copy: batched products are fast only into contiguous memory, which a view of
        # the flat buffer is not.
        weight = self.scratch
        if groups is None:
            torch.bmm(x.transpose(1, 2), gradient, out=weight)
        else:
            for g, rows in enumerate(groups):
                torch.bmm(_expanded(x, g, rows).transpose(1, 2), gradient[rows], out=weight[rows])
        if self.written:
            self.weight_grad.add_(weight)
            self.bias_grad.add_(gradient.sum(1, dtype=self.bias_grad.dtype))
        else:
            self.weight_grad.copy_(weight)
            torch.sum(gradient, 1, dtype=self.bias_grad.dtype, out=self.bias_grad)
        self.written = True


class _Stretch(torch.autograd.Function):
    """Layers with nothing between them; the backward pass writes their weights' gradient into the flat buffer.

    One function for all of them: autograd would take as long for its bookkeeping as a small layer takes to compute.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, _anchor: Tensor, layers: Sequence[_Layer], groups: Sequence[slice] | None, train: bool
    ) -> Tensor:
        kept = []
        for number, layer in enumerate(layers):
            kept.append(x)
            x = layer.linear(x, None if number else groups)
            if layer.activation is not None:
                z, x = x, layer.activation.forward(x)
                kept.append(z if layer.activation.of_input else x)
            if not train:
                kept.clear()
        ctx.layers, ctx.groups = layers, groups
        ctx.save_for_backward(*kept)
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, None, None, None]:
        kept = list(ctx.saved_tensors)
        # What autograd hands over is not ours to write to; what is computed here is.
        (gradient,), ours = gradients, False
        for number, layer in reversed(list(enumerate(ctx.layers))):
            if layer.activation is not None:
                gradient = layer.activation.backward(
                    gradient, kept.pop(), gradient if ours else torch.empty_like(gradient)
                )
            layer.add_gradient(kept.pop(), gradient, None if number else ctx.groups)
            if number or ctx.needs_input_grad[0]:
                gradient, ours = torch.bmm(gradient, layer.weight_transposed), True
        return gradient if ctx.needs_input_grad[0] else None, None, None, None, None


def _expanded(x: Tensor, group: int, rows: slice) -> Tensor:
    """A group's minibatch for each of its slots, without a copy."""
    return x[group].expand(rows.stop - rows.start, -1, -1)


class Network:
    """The forward pass of a pack.

    Args:
        layout: where each parameter lies.
        activation: a name in `ACTIVATIONS`; applied after every layer but the last.
        theta: the weights, ``slots x layout.size``.
        gradient: receives their gradient, the same shape.
        groups: the slots that share a minibatch, as consecutive slices of at least two slots.
        layers: what techniques make of the inputs (number 0) and of each hidden layer's activations (from 1).
        compute: the type of activations and products; the weights' own, or a smaller one.
    """

    def __init__(
        self,
        layout: Layout,
        activation: str,
        theta: Tensor,
        gradient: Tensor,
        groups: Sequence[slice],
        layers: Sequence[Callable[[Tensor, int], Tensor]] = (),
        compute: torch.dtype = torch.float32,
    ) -> None:
        self._theta = theta
        # The very weights where their type is that of the products.
        self._computed = theta.to(compute)
        activations = [ACTIVATIONS[activation]] * (layout.layers - 1) + [None]
        scratch = self._computed.new_empty(
            len(theta) * max(layout.weight(layer).size for layer in range(layout.layers))
        )
        self._layers = [
            _Layer(layout, index, self._computed, gradient, one, scratch) for index, one in enumerate(activations)
        ]
        self._stretches = [[layer] for layer in self._layers] if layers else [self._layers]
        self._groups = tuple(groups)
        self._changes = tuple(layers)
        self._first: tuple[Tensor, Tensor] | None = None
        # Autograd records a function only if one of its inputs needs a gradient; the data do not.
        self._anchor = torch.zeros((), dtype=theta.dtype, device=theta.device, requires_grad=True)

    @property
    def slots(self) -> int:
        """How many sets of weights there are."""
        return len(self._layers[0].bias)

    @property
    def groups(self) -> int:
        """How many minibatches the slots share."""
        return len(self._groups)

    def begin(self) -> None:
        """What follows sees the present weights, and its first backward pass overwrites the gradient of the last."""
        self._first = None
        if self._computed is not self._theta:
            self._computed.copy_(self._theta)
        for layer in self._layers:
            layer.written = False

    def __call__(self, x: Tensor) -> Tensor:
        """Inputs ``groups x batch x features`` (shared) or ``slots x batch x features`` to ``slots x batch x outputs``.

        Widths are the padded ones of the layout.
        """
        x = self._first_stretch(self._changed(x, 0))
        for number, stretch in enumerate(self._stretches[1:], 1):
            x = self._through(self._changed(x, number), stretch)
        return x.to(self._theta.dtype)

    def _first_stretch(self, x: Tensor) -> Tensor:
        """In training, passes of one step over the same inputs share it."""
        if not torch.is_grad_enabled():
            return self._through(x, self._stretches[0])
        if self._first is None or self._first[0] is not x:
            self._first = x, self._through(x, self._stretches[0])
        return self._first[1]

    def _through(self, x: Tensor, stretch: Sequence[_Layer]) -> Tensor:
        groups: Sequence[slice] | None = self._groups if len(x) < self.slots else None
        if groups is not None and len(groups) == 1:
            x, groups = x.expand(self.slots, -1, -1), None
        x = x.to(self._computed.dtype)
        out: Tensor = _Stretch.apply(x, self._anchor, stretch, groups, torch.is_grad_enabled())  # type: ignore[no-untyped-call]
        return out

    def _changed(self, x: Tensor, number: int) -> Tensor:
        for change in self._changes:
            # Techniques see the weights' type, so that statistics and noise are as exact as they were written.
            x = change(x.to(self._theta.dtype), number)
        return x
