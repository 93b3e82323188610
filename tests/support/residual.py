"""Residual blocks in plain torch, made of the layers of a sequential network."""

from __future__ import annotations

from torch import Tensor, nn


class Block(nn.Sequential):
    """Modules to whose result what enters them is added."""

    def forward(self, x: Tensor) -> Tensor:
        h = x
        for module in self:
            h = module(h)
        return h + x


def with_skips(model: nn.Sequential) -> nn.Sequential:
    """Return a network in which every hidden layer but the first, with what follows its linear layer, is a block."""
    parts: list[list[nn.Module]] = []
    for module in model:
        if isinstance(module, nn.Linear):
            parts.append([])
        parts[-1].append(module)
    blocks = [nn.Sequential(*parts[0]), *(Block(*part) for part in parts[1:-1]), *parts[-1]]
    return nn.Sequential(*blocks)
