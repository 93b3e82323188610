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
from torch.nn import functional as F

from search.train.layout import Layout

# Element-wise functions whose vectorised and scalar paths agree to the bit on the CPU, so that a slot's result does
# not depend on where its numbers fall within a vector register. Sigmoid, SiLU, ELU and softplus do not pass this test.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "leaky_relu": lambda z: F.leaky_relu(z, inplace=True),
    "relu": lambda z: F.relu(z, inplace=True),
    "tanh": torch.tanh,
    "gelu": F.gelu,
}


class _Layer:
    """One layer's views into the flat buffers, and whether this step has already written its gradient."""

    def __init__(self, layout: Layout, index: int, theta: Tensor, gradient: Tensor) -> None:
        weight, bias = layout.weight(index), layout.bias(index)
        self.weight = layout.view(theta, weight)
        self.weight_transposed = self.weight.transpose(1, 2)
        self.bias = layout.view(theta, bias).unsqueeze(1)
        self.weight_grad = layout.view(gradient, weight)
        self.bias_grad = layout.view(gradient, bias)
        self.written = False

    def add_gradient(self, weight: Tensor, bias: Tensor) -> None:
        """The first backward pass of a step overwrites (which spares clearing the buffer), later ones add."""
        if self.written:
            self.weight_grad.add_(weight)
            self.bias_grad.add_(bias)
        else:
            self.weight_grad.copy_(weight)
            self.bias_grad.copy_(bias)
        self.written = True


class _Linear(torch.autograd.Function):
    """``out = x W + b`` for every slot; its backward writes the weights' gradient into the flat buffer.

    `x` has every slot's own inputs, or one minibatch for all slots where `groups` is None (expanded, not copied), or
    one for each group.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, _anchor: Tensor, layer: _Layer, groups: Sequence[slice] | None) -> Tensor:
        ctx.save_for_backward(x)
        ctx.layer, ctx.groups = layer, groups
        if groups is None:
            return torch.baddbmm(layer.bias, x, layer.weight)
        parts = [
            torch.baddbmm(layer.bias[rows], _expanded(x, g, rows), layer.weight[rows]) for g, rows in enumerate(groups)
        ]
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, None, None]:
        (gradient,) = gradients
        (x,) = ctx.saved_tensors
        layer, groups = ctx.layer, ctx.groups
        # A product of its own and then a copy: batched products are fast only into contiguous memory, which a view of
        # the flat buffer is not.
        if groups is None:
            weight = torch.bmm(x.transpose(1, 2), gradient)
        else:
            parts = [_expanded(x, g, rows).transpose(1, 2) for g, rows in enumerate(groups)]
            weight = torch.cat([torch.bmm(part, gradient[rows]) for part, rows in zip(parts, groups, strict=True)])
        layer.add_gradient(weight, gradient.sum(1))
        needed = torch.bmm(gradient, layer.weight_transposed) if ctx.needs_input_grad[0] else None
        return needed, None, None, None


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
    """

    def __init__(
        self,
        layout: Layout,
        activation: str,
        theta: Tensor,
        gradient: Tensor,
        groups: Sequence[slice],
        layers: Sequence[Callable[[Tensor, int], Tensor]] = (),
    ) -> None:
        self._layers = [_Layer(layout, index, theta, gradient) for index in range(layout.layers)]
        self._activation = ACTIVATIONS[activation]
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

    def begin_step(self) -> None:
        """The next backward pass overwrites the gradient of the last step."""
        self._first = None
        for layer in self._layers:
            layer.written = False

    def __call__(self, x: Tensor) -> Tensor:
        """Inputs ``groups x batch x features`` (shared) or ``slots x batch x features`` to ``slots x batch x outputs``.

        Widths are the padded ones of the layout.
        """
        x = self._changed(x, 0)
        hidden, last = self._layers[:-1], self._layers[-1]
        for number, layer in enumerate(hidden, 1):
            activated = self._first_activated(x) if number == 1 else self._activation(self._linear(x, layer))
            x = self._changed(activated, number)
        return self._linear(x, last)

    def _first_activated(self, x: Tensor) -> Tensor:
        """The first hidden layer's activations; in training, passes of one step over the same inputs share them."""
        if not torch.is_grad_enabled():
            return self._activation(self._linear(x, self._layers[0]))
        if self._first is None or self._first[0] is not x:
            self._first = x, self._activation(self._linear(x, self._layers[0]))
        return self._first[1]

    def _changed(self, x: Tensor, number: int) -> Tensor:
        for change in self._changes:
            x = change(x, number)
        return x

    def _linear(self, x: Tensor, layer: _Layer) -> Tensor:
        groups: Sequence[slice] | None = self._groups if len(x) < self.slots else None
        if groups is not None and len(groups) == 1:
            x, groups = x.expand(self.slots, -1, -1), None
        out: Tensor = _Linear.apply(x, self._anchor, layer, groups)  # type: ignore[no-untyped-call]
        return out
