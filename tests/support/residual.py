"""Residual blocks and branches in plain torch, made of the layers of a sequential network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from reference import Draws
from torch import Tensor, nn


class Block(nn.Sequential):
    """Modules to whose result what enters them is added."""

    def forward(self, x: Tensor) -> Tensor:
        h = x
        for module in self:
            h = module(h)
        return h + x


def with_skips(model: nn.Sequential) -> nn.Sequential:
    """Return a network in which every hidden layer but the first, from its linear layer or branches on, is a block."""
    parts: list[list[nn.Module]] = []
    for module in model:
        if isinstance(module, nn.Linear | Branches):
            parts.append([])
        parts[-1].append(module)
    blocks = [nn.Sequential(*parts[0]), *(Block(*part) for part in parts[1:-1]), *parts[-1]]
    return nn.Sequential(*blocks)


class ShakeDrop(nn.Module):
    """``h * f`` forwards and ``dh * g`` backwards, written as ``h * g + stopped(h * (f - g))``."""

    def __init__(self, number: int, p: float, draws: Draws) -> None:
        super().__init__()
        self.number, self.p, self.draws = number, p, draws

    def forward(self, h: Tensor) -> Tensor:
        if not self.training:
            return h * (1 - self.p)
        name = f"layer {self.number}"
        b = (self.draws.uniform("shake_drop", f"{name} b", len(h)) >= self.p).to(h.dtype)
        alpha = 2 * self.draws.uniform("shake_drop", f"{name} alpha", len(h)) - 1
        beta = self.draws.uniform("shake_drop", f"{name} beta", len(h))
        forwards, backwards = b + alpha - b * alpha, b + beta - b * beta
        return h * backwards[:, None] + torch.detach(h * (forwards - backwards)[:, None])


def with_branches(
    model: nn.Sequential,
    draws: Draws,
    count: int,
    mix: Callable[[int, list[Tensor]], Tensor],
    only: Callable[[int], bool] = lambda _number: True,
) -> nn.Sequential:
    """Return a network whose hidden layers have branches: the linear layer that is there, and further ones beside it.

    Args:
        model: the network.
        draws: the draws of the further branches' initial weights.
        count: the number of branches.
        mix: a function of a layer's number, from 1, and the activations of its branches, which returns the layer's
            activations in training. In evaluation they are the mean.
        only: a function that tells by the layer's number which layers have branches.
    """
    modules: list[nn.Module] = []
    given, number = list(model), 0
    while given:
        linear = given.pop(0)
        if not isinstance(linear, nn.Linear) or not given:
            modules.append(linear)
            continue
        number += 1
        activation = given.pop(0)
        modules += [Branches(linear, activation, number, draws, count, mix)] if only(number) else [linear, activation]
    return nn.Sequential(*modules)


class Branches(nn.Module):
    """The branches of a hidden layer: linear layers of their own, and what becomes of their activations."""

    def __init__(
        self, first: nn.Linear, activation: nn.Module, number: int, draws: Draws, count: int, mix: Any
    ) -> None:
        super().__init__()
        self.branches, self.activation, self.number, self.mix = nn.ModuleList([first]), activation, number, mix
        inputs, outputs = first.in_features, first.out_features
        for branch in range(1, count):
            name, linear = f"{number - 1}.branches.{branch}", nn.Linear(inputs, outputs, dtype=draws.dtype)
            with torch.no_grad():
                linear.weight.copy_((2 * draws.unit(f"{name}.weight", inputs, outputs).T - 1) / inputs**0.5)
                linear.bias.copy_((2 * draws.unit(f"{name}.bias", outputs) - 1) / inputs**0.5)
            self.branches.append(linear)

    def forward(self, x: Tensor) -> Tensor:
        each = [self.activation(linear(x)) for linear in self.branches]
        mixed: Tensor = self.mix(self.number, each) if self.training else torch.stack(each).mean(0)
        return mixed
