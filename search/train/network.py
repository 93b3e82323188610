"""The batched multilayer perceptron: every slot has its own weights, and all slots share one product per layer.

For slot s, layer l:  h_l = a(h_{l-1} W_l + b_l),  W_l: ``slots x inputs x outputs``,  b_l: ``slots x 1 x outputs``.

The weights are views of the pack's flat buffer, and the backward pass writes each layer's gradient straight into the
flat gradient buffer. Autograd carries only the activations. So a technique's own terms (a penalty, a second forward
pass, a layer) are ordinary differentiable code around the network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from search.technique.layout import Layout
from search.train.activations import ACTIVATIONS, Activation


class _Layer:
    """One layer's views into the flat buffers.

    Attributes:
        activation: the layer's activation, None in the last layer.
        written: whether this step has already written the layer's gradient.
        scratch: a buffer of the size of the layer's weights, shared by all layers.
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
        """Return ``x W + b``; `x` has each slot's own inputs if `groups` is None, otherwise one minibatch per group."""
        if groups is None:
            return torch.baddbmm(self.bias, x, self.weight)
        out = x.new_empty(len(self.weight), x.shape[1], self.weight.shape[2])
        for g, rows in enumerate(groups):
            torch.baddbmm(self.bias[rows], _expanded(x, g, rows), self.weight[rows], out=out[rows])
        return out

    def add_gradient(self, x: Tensor, gradient: Tensor, groups: Sequence[slice] | None) -> None:
        """Overwrite the gradient in the first backward pass of a step, which saves clearing it; add in later ones."""
        # The product goes into `scratch` and is then copied: batched products are fast only into contiguous memory,
        # which a view of the flat buffer is not.
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
    """A run of layers with no technique between them; the backward pass writes their weights' gradients.

    It is one function because autograd's bookkeeping for a small layer would take as long as computing the layer.
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
        # The gradient from autograd must not be overwritten; those computed here may be.
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
    """Return a group's minibatch, expanded to its slots without a copy."""
    return x[group].expand(rows.stop - rows.start, -1, -1)


class Network:
    """The forward pass of a pack.

    Args:
        layout: the place of each parameter.
        activation: the name, in `ACTIVATIONS`, of the function after every layer but the last.
        theta: the weights, ``slots x layout.size``.
        gradient: a buffer of the same shape for their gradient.
        groups: the slots that share a minibatch, as consecutive slices of at least two slots.
        layers: the techniques' `layer` hooks, for the inputs (number 0) and each hidden layer's activations (from 1).
        compute: the type of activations and products: the type of the weights, or a smaller one.
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
        # This is theta itself if its type is that of the products.
        self._computed = theta.to(compute)
        activations = [ACTIVATIONS[activation]] * (layout.layers - 1) + [None]
        scratch = self._computed.new_empty(
            len(theta) * max(layout.weight(layer).size for layer in range(layout.layers))
        )
        self._layers = [
            _Layer(layout, index, self._computed, gradient, function, scratch)
            for index, function in enumerate(activations)
        ]
        self._stretches = [[layer] for layer in self._layers] if layers else [self._layers]
        self._groups = tuple(groups)
        self._changes = tuple(layers)
        self._first: tuple[Tensor, Tensor] | None = None
        # Autograd records a function only if one of its inputs needs a gradient; the data do not.
        self._anchor = torch.zeros((), dtype=theta.dtype, device=theta.device, requires_grad=True)

    @property
    def slots(self) -> int:
        """The number of slots."""
        return len(self._layers[0].bias)

    @property
    def groups(self) -> int:
        """The number of minibatches that the slots share."""
        return len(self._groups)

    def begin(self) -> None:
        """Begin a step: use the present weights, and overwrite the old gradient in the first backward pass."""
        self._first = None
        if self._computed is not self._theta:
            self._computed.copy_(self._theta)
        for layer in self._layers:
            layer.written = False

    def __call__(self, x: Tensor) -> Tensor:
        """Return predictions ``slots x batch x outputs``; widths are the padded ones of the layout.

        Args:
            x: the inputs, ``groups x batch x features`` (shared within a group) or ``slots x batch x features``.
        """
        x = self._first_stretch(self._changed(x, 0))
        for number, stretch in enumerate(self._stretches[1:], 1):
            x = self._through(self._changed(x, number), stretch)
        return x.to(self._theta.dtype)

    def _first_stretch(self, x: Tensor) -> Tensor:
        """Compute the first stretch; in training, the passes of a step over the same inputs share the result."""
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
            # Techniques see the weights' type, so that their statistics and noise are not rounded further.
            x = change(x.to(self._theta.dtype), number)
        return x
