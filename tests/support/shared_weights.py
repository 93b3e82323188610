"""Networks that share their weights, in plain torch, made of the layers of a sequential network."""

from __future__ import annotations

from copy import copy

import torch
from reference import Draws
from torch import Tensor, nn


class SharedLinear(nn.Module):
    """``((x * r_m) W^T) * s_m + b_m`` of the rows of all networks, one network after the other, or of one network."""

    def __init__(self, layer: int, linear: nn.Linear, members: int, draws: Draws) -> None:
        super().__init__()
        inputs, outputs = linear.in_features, linear.out_features
        self.member: int | None = None
        self.weight = linear.weight
        bias = (2 * draws.unit(f"{layer}.bias", members, outputs) - 1) / inputs**0.5
        signs = torch.where(draws.unit(f"{layer}.input_scale", members, inputs) < 0.5, -1.0, 1.0)
        self.bias = nn.Parameter(bias.to(draws.dtype))
        self.input_scale = nn.Parameter((signs if layer == 0 else torch.ones_like(signs)).to(draws.dtype))
        self.output_scale = nn.Parameter(torch.ones(members, outputs, dtype=draws.dtype))

    def forward(self, x: Tensor) -> Tensor:
        each = range(len(self.bias)) if self.member is None else [self.member]
        rows = x.chunk(len(each))
        return torch.cat(
            [
                ((part * self.input_scale[m]) @ self.weight.T) * self.output_scale[m] + self.bias[m]
                for m, part in zip(each, rows, strict=True)
            ]
        )


class Ensemble(nn.Sequential):
    """The networks, of which each gets the same minibatch."""

    members = 1

    def forward(self, x: Tensor) -> Tensor:
        first = next(module for module in self if isinstance(module, SharedLinear))
        for module in self:
            if module is first and first.member is None:
                x = x.repeat(self.members, 1)
            x = module(x)
        return x

    def one(self, member: int) -> Ensemble:
        """Return one of the networks, with the parameters of all."""
        other = copy(self)
        other._modules = {}
        for name, module in self._modules.items():
            mine = copy(module)
            if isinstance(mine, SharedLinear):
                mine.member = member
            other._modules[name] = mine
        return other


def sharing(model: nn.Sequential, members: int, draws: Draws) -> Ensemble:
    """Return networks with the weights of a network, whose biases and factors are drawn."""
    layers: list[nn.Module] = []
    count = 0
    for module in model:
        layers.append(SharedLinear(count, module, members, draws) if isinstance(module, nn.Linear) else module)
        count += isinstance(module, nn.Linear)
    whole = Ensemble(*layers)
    whole.members = members
    return whole
