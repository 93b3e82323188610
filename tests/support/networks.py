"""A compiled network with random weights, and its losses and gradients by torch's autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from search.technique.layout import Layout, padded
from search.train.batches import Targets
from search.train.compiled.network import CompiledNetwork
from search.train.compiled.plan import Gates
from search.train.losses import CLASSIFICATION, REGRESSION, LossFunction

LOSSES: dict[str, LossFunction] = {**CLASSIFICATION, **REGRESSION}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "leaky_relu": F.leaky_relu,
    "relu": F.relu,
    "tanh": torch.tanh,
    "gelu": F.gelu,
}
_MEAN: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": F.cross_entropy,
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "huber": F.huber_loss,
}
Multiply = Callable[[int, int, Tensor], Tensor]
"""A function of a slot, the number of the activations and the activations, which a test puts between layers."""


@dataclass
class Case:
    """A network and a minibatch.

    Args:
        widths: the widths of the inputs, each hidden layer and the outputs.
        sizes: the number of slots of each group.
        rows: the rows of the minibatch.
        per_slot: whether each slot has inputs of its own.
        joined: the numbers of the hidden layers to whose activations what entered them is added.
    """

    widths: tuple[int, ...] = (13, 12, 20, 3)
    activation: str = "leaky_relu"
    loss: str = "cross_entropy"
    sizes: Sequence[int] = (2, 1)
    rows: int = 37
    per_slot: bool = False
    gated: bool = False
    joined: Sequence[int] = ()
    dtype: torch.dtype = torch.float64

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(0)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64).to(self.dtype)

        self.layout, self.slots = Layout(self.widths), sum(self.sizes)
        self.theta = torch.zeros(self.slots, self.layout.size, dtype=self.dtype)
        for field in self.layout.fields:
            self.layout.view(self.theta, field)[field.inner] = draw(self.slots, *field.shape) / field.shape[0] ** 0.5
        ends = [sum(self.sizes[: i + 1]) for i in range(len(self.sizes))]
        self.groups = [slice(end - size, end) for size, end in zip(self.sizes, ends, strict=True)]
        self.group_of = torch.repeat_interleave(torch.arange(len(self.sizes)), torch.tensor(list(self.sizes)))
        features, outputs = self.widths[0], self.widths[-1]
        minibatches = self.slots if self.per_slot else len(self.sizes)
        self.x = torch.zeros(minibatches, self.rows, padded(features), dtype=self.dtype)
        self.x[..., :features] = draw(minibatches, self.rows, features)
        self.y = torch.zeros(len(self.sizes), self.rows, padded(outputs), dtype=self.dtype)
        targets = draw(len(self.sizes), self.rows, outputs)
        # As with label smoothing, classes have probabilities; those of the last group do not sum to 1.
        self.y[..., :outputs] = targets.softmax(-1) if self.loss == "cross_entropy" else 2 * targets
        if self.loss == "cross_entropy":
            self.y[-1] *= 0.75
        self.gradient = torch.full_like(self.theta, torch.nan)

    def network(self, slots: slice = slice(None), gradient: Tensor | None = None) -> CompiledNetwork:
        """Return the network of some slots; a part of the slots is one group."""
        given = self.layout, self.activation, LOSSES[self.loss], self.widths[-1]
        theta = self.theta[slots].clone()
        groups = self.groups if len(theta) == self.slots else [slice(0, len(theta))]
        return CompiledNetwork(
            *given, theta, self.gradient if gradient is None else gradient, groups, self.gated, self.joined
        )

    def learned(self, gates: Gates | None = None) -> tuple[Tensor, Tensor]:
        """Return every slot's gradient and sum of losses by `learn`."""
        network, total = self.network(), torch.zeros(self.slots, dtype=torch.float64)
        network.begin()
        network.learn(self.x, Targets(self.y), total, gates or network.no_gates())
        return self.gradient, total

    def expected(self, between: Multiply | None = None) -> tuple[Tensor, Tensor]:
        """Return the same by autograd, from matrices without padding."""
        gradient, total = torch.zeros_like(self.theta), torch.zeros(self.slots, dtype=torch.float64)
        for slot in range(self.slots):
            group = int(self.group_of[slot])
            leaf = self.theta[slot : slot + 1].clone().requires_grad_()
            h = self.x[slot if self.per_slot else group][:, : self.widths[0]]
            if between is not None:
                h = between(slot, 0, h)
            for layer in range(self.layout.layers):
                weight, bias = self.layout.weight(layer), self.layout.bias(layer)
                w, b = (self.layout.view(leaf, field)[field.inner][0] for field in (weight, bias))
                entered, h = h, h @ w + b
                if layer < self.layout.layers - 1:
                    h = ACTIVATIONS[self.activation](h)
                    if between is not None:
                        h = between(slot, layer + 1, h)
                if layer + 1 in self.joined:
                    h = h + entered
            loss = _MEAN[self.loss](h, self.y[group][:, : self.widths[-1]])
            loss.backward()  # type: ignore[no-untyped-call]
            assert leaf.grad is not None
            gradient[slot], total[slot] = leaf.grad[0], loss.detach() * self.rows
        return gradient, total
