"""Dropout against torch's own module with its mask replaced by the named draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reference import Draws, stored
from support.contract import Case
from torch import Tensor, nn


class Dropout(nn.Module):
    """`torch.nn.Dropout` whose mask is given by draws: a unit is dropped where its draw is below p."""

    def __init__(self, name: str, p: float, draws: Draws) -> None:
        super().__init__()
        self.name, self.p, self.draws = name, p, draws

    def forward(self, h: Tensor) -> Tensor:
        if not self.training:
            return h
        draws = self.draws.uniform("dropout", self.name, len(h), stored(h.shape[1]))[:, : h.shape[1]]
        return h * (draws >= self.p) / (1 - self.p)


def plain(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    return {"modules": lambda number, _width: [Dropout(f"layer {number}", values["dropout"], draws)]}


CASES = [
    Case("two layers", slots=[{"dropout": 0.5}, {"dropout": 0.1}, {"dropout": 0.0}], plain=plain,
         structure={"hidden": "12x20"}),
    Case("relu", slots=[{"dropout": 0.3}, {"dropout": 0.7}], plain=plain, structure={"activation": "relu"}),
]  # fmt: skip
