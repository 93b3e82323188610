"""The multilayer perceptron of a pack, for autograd: every slot has its own weights.

For slot s, layer l:  h_l = a(h_{l-1} W_l + b_l),  W_l: ``slots x inputs x outputs``,  b_l: ``slots x 1 x outputs``.

The weights are views of the pack's flat buffer, and the backward pass writes each layer's gradient straight into the
flat gradient buffer. Autograd carries only the activations. So a technique's own terms (a penalty, a second forward
pass, a layer) are ordinary differentiable code around the network.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from search.technique.layout import Layout
from search.train.batched_products import BatchedProducts
from search.train.batches import Batches, Targets
from search.train.fused import toolchain
from search.train.members import MemberProducts
from search.train.precision import compute_type
from search.train.program import Program
from search.train.torch_products import TorchProducts

if TYPE_CHECKING:
    from search.train.compiled.network import CompiledNetwork
    from search.train.compiled.optimisers import CompiledOptimiser
    from search.train.fused.optimisers import FusedOptimiser
    from search.train.mixing import Mixing


class Products(Protocol):
    """The products, activations and losses of a pack: `TorchProducts`, `CompiledNetwork` or `MemberProducts`.

    Attributes:
        slots: the number of slots.
        dtype: the type of activations.
        joins: whether stretches of several layers add what `Technique.residual` says to activations.
    """

    slots: int
    joins: bool
    dtype: torch.dtype

    def begin(self) -> None: ...

    def finish(self) -> None: ...

    def predict(self, first: int, last: int, x: Tensor) -> Tensor: ...

    def forward(self, first: int, last: int, x: Tensor) -> tuple[Tensor, Sequence[Tensor]]: ...

    def backward(
        self, first: int, last: int, x: Tensor, kept: Sequence[Tensor], gradient: Tensor, needs_input: bool
    ) -> Tensor | None: ...

    def back(self, first: int, last: int, x: Tensor, kept: Sequence[Tensor], gradient: Tensor) -> Tensor: ...

    def measure(self, predictions: Tensor, y: Targets, scale: Tensor | None, total: Tensor, read: Tensor) -> None: ...

    def sizes(self, least: float) -> tuple[Tensor, Tensor]: ...


class _Stretch(torch.autograd.Function):
    """Layers in a row, with nothing between them that techniques change, or a branch of a layer."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, _anchor: Tensor, network: Network, first: int, last: int) -> Tensor:
        out, kept = network.products.forward(first, last, x)
        ctx.network, ctx.first, ctx.last = network, first, last
        ctx.save_for_backward(x, *kept)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, None, None, None]:
        x, *kept = ctx.saved_tensors
        needed, products = ctx.needs_input_grad[0], ctx.network.products
        if ctx.network.learns:
            gradient = products.backward(ctx.first, ctx.last, x, kept, gradients[0], needed)
        else:
            # A technique differentiates by itself, as for an adversarial example: that is no gradient of the weights.
            gradient = products.back(ctx.first, ctx.last, x, kept, gradients[0]) if needed else None
        return gradient, None, None, None, None


class Network:
    """The forward pass of a pack.

    Args:
        products: what computes the layers.
        layers: the number of layers.
        like: a tensor with the type and device of the weights.
        changes: the techniques' `layer` hooks, for the inputs (number 0) and each hidden layer's activations (from 1).
        expand: the function that expands ``groups x ...`` to ``slots x ...``.
        joined: the numbers of the hidden layers to whose activations what entered them is added.
        mixings: what becomes of the branches of hidden layers, by the layer's number.
        waves: the function that adds waves to the features (`search.train.waves`); None if there are none.

    Attributes:
        products: what computes the layers.
        learns: whether backward passes write the gradients of the weights (`learning`).
    """

    def __init__(
        self,
        products: Products,
        layers: int,
        like: Tensor,
        changes: Sequence[Callable[[Tensor, int], Tensor]],
        expand: Callable[[Tensor], Tensor],
        joined: Collection[int] = (),
        mixings: Mapping[int, Mixing] = MappingProxyType({}),
        waves: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.products, self.learns, self._waves = products, False, waves
        self._joined, self._mixings = frozenset(joined), mixings
        self._dtype, self._changes, self._expand = like.dtype, tuple(changes), expand
        self._stretches = [(0, layers)]
        if changes or mixings or (joined and not products.joins):
            self._stretches = [(layer, layer + 1) for layer in range(layers)]
        self._first: tuple[Tensor, list[Tensor]] | None = None
        # Autograd records a function only if one of its inputs needs a gradient; the data do not.
        self._anchor = torch.zeros((), dtype=like.dtype, device=like.device, requires_grad=True)

    def begin(self) -> None:
        """Begin a step: use the present weights, and overwrite the old gradient in the first backward pass."""
        self._first = None
        self.products.begin()

    @contextmanager
    def learning(self) -> Iterator[None]:
        """Let backward passes write the gradients of the weights, which are complete afterwards."""
        self.learns = True
        try:
            yield
        finally:
            self.learns = False
        self.products.finish()

    def __call__(self, x: Tensor) -> Tensor:
        """Return predictions ``slots x batch x outputs``; widths are the padded ones of the layout.

        Args:
            x: the inputs, ``groups x batch x features`` (shared within a group) or ``slots x batch x features``.
        """
        x = self._changed(x, 0)
        if self._waves is not None:
            x = self._waves(x.to(self._dtype))
        branches = self._first_stretch(x)
        for number, stretch in enumerate(self._stretches[1:], 1):
            h = self._changed(self._mixed(branches, number), number)
            x = h + self._expand(_cast(x, h.dtype)) if number in self._joined else h
            branches = self._branches(x, stretch)
        return branches[0].to(self._dtype)

    def _first_stretch(self, x: Tensor) -> list[Tensor]:
        """Compute the first stretch; in training, the passes of a step over the same inputs share the result."""
        if not torch.is_grad_enabled():
            return self._branches(x, self._stretches[0])
        if self._first is None or self._first[0] is not x:
            self._first = x, self._branches(x, self._stretches[0])
        return self._first[1]

    def _branches(self, x: Tensor, stretch: tuple[int, int]) -> list[Tensor]:
        """Return a stretch's activations; of a layer with branches, those of each."""
        mixing = self._mixings.get(stretch[1])
        stretches = [stretch] if mixing is None else [(at, at + 1) for at in mixing.linears]
        return [self._through(x, one) for one in stretches]

    def _mixed(self, branches: Sequence[Tensor], number: int) -> Tensor:
        if (mixing := self._mixings.get(number)) is None:
            return branches[0]
        return mixing([branch.to(self._dtype) for branch in branches])

    def _through(self, x: Tensor, stretch: tuple[int, int]) -> Tensor:
        x = _cast(x, self.products.dtype)
        if not torch.is_grad_enabled():
            return self.products.predict(*stretch, x)
        if x.requires_grad:
            x = self._expand(x)
        out: Tensor = _Stretch.apply(x, self._anchor, self, *stretch)  # type: ignore[no-untyped-call]
        return out

    def _changed(self, x: Tensor, number: int) -> Tensor:
        for change in self._changes:
            # Techniques see the weights' type, so that their statistics and noise are not rounded further.
            x = change(x.to(self._dtype), number)
        return x


def _cast(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Return activations in another type; those that are expanded without a copy are cast once, and stay so."""
    if x.dtype == dtype or len(x) == 1 or x.stride(0) != 0:
        return x.to(dtype)
    return x[:1].to(dtype).expand(len(x), *x.shape[1:])


def products_of(
    program: Program, batches: Batches, theta: Tensor, gradient: Tensor, groups: Sequence[slice]
) -> TorchProducts | CompiledNetwork | MemberProducts:
    """Return what computes a pack's layers with the engine of its program.

    Args:
        program: the program of all slots.
        batches: the data on the device.
        theta, gradient: the weights and a buffer for their gradient, ``slots x size``.
        groups: the consecutive slots that share a minibatch.
    """

    def make(
        layout: Layout, theta: Tensor, gradient: Tensor, groups: Sequence[slice]
    ) -> TorchProducts | CompiledNetwork:
        given = layout, program.activation, program.loss, batches.outputs, theta, gradient, groups
        if program.engine == "torch":
            of_device = TorchProducts if theta.device.type == "cpu" else BatchedProducts
            return of_device(*given, compute_type(program.precision, theta.dtype))
        from search.train.compiled.network import CompiledNetwork  # it takes numba

        gated = any(technique.gate is not None for technique in program.techniques)
        return CompiledNetwork(*given, gated, program.joined)

    products = make if program.layout.members == 1 else partial(MemberProducts, make)
    return products(program.layout, theta, gradient, groups)


def optimiser_of(
    program: Program, theta: Tensor, gradient: Tensor, state: dict[str, Tensor], values: Mapping[str, Tensor]
) -> CompiledOptimiser | None:
    """Return the compiled form of the program's optimiser, if its engine is compiled and there is one.

    Args:
        program: the program of all slots.
        theta, gradient: the weights and their gradient, ``slots x size``.
        state, values: as for `Optimiser.update`.
    """
    if program.engine == "torch":
        return None
    from search.train.compiled import optimisers  # it takes numba

    if not optimisers.has_form(program.optimiser):
        return None
    return optimisers.CompiledOptimiser(program.optimiser, theta, gradient, state, values)


def fused_optimiser_of(
    program: Program,
    products: Products,
    theta: Tensor,
    gradient: Tensor,
    state: dict[str, Tensor],
    values: Mapping[str, Tensor],
) -> FusedOptimiser | None:
    """Return the program's optimiser in kernels for a GPU, if its engine is torch, they work, and it has this form.

    Args:
        program: the program of all slots.
        products: what computes its layers. The optimiser keeps the copy of the weights in their type up to date, if
            nothing else changes the weights.
        theta, gradient: the weights and their gradient, ``slots x size``.
        state, values: as for `Optimiser.update`.
    """
    if not toolchain.used(program.engine, theta.device.type):
        return None
    from search.train.fused import optimisers  # it takes Triton

    if not optimisers.has_form(program.optimiser):
        return None
    changing = ("project", "perturb_weights", "average")
    alone = not any(getattr(technique, hook) for technique in program.techniques for hook in changing)
    low = products.follow() if alone and isinstance(products, TorchProducts) else None
    return optimisers.FusedOptimiser(program.optimiser, theta, gradient, state, values, low)
