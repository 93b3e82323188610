"""The waves of features in plain torch, with torch's own cosine."""

from __future__ import annotations

import math

import torch
from reference import Draws
from torch import Tensor, nn

from search.train import streams


class Waves(nn.Module):
    def __init__(self, features: int, count: int, sigma: float, draws: Draws) -> None:
        super().__init__()
        # A vector of waves is drawn as any parameter, by its name and length.
        drawn = [draws.unit(f"-2.periodic_embedding.{name}", features * count) for name in ("frequency", "phase")]
        self.frequency = nn.Parameter(streams.quantile(drawn[0]) * sigma)
        self.phase = nn.Parameter(drawn[1].clone())
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        turns = x[:, :, None] * self.frequency.view(-1, self.count) + self.phase.view(-1, self.count)
        return torch.cat([x, torch.cos(2 * math.pi * turns).flatten(1)], 1)
