"""Stochastic depth against torchvision's formula, in residual blocks of plain torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reference import Draws
from support.contract import Case
from support.residual import with_skips
from torch import Tensor, nn


class StochasticDepth(nn.Module):
    """`torchvision.ops.StochasticDepth` with mode "row", whose mask comes from named draws."""

    def __init__(self, name: str, p: float, draws: Draws) -> None:
        super().__init__()
        self.name, self.p, self.draws = name, p, draws

    def forward(self, h: Tensor) -> Tensor:
        if not self.training:
            return h
        survives = self.draws.uniform("stochastic_depth", self.name, len(h)) >= self.p
        return h * (survives / (1 - self.p))[:, None]


def plain(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    layers = len(values["hidden"].split("x"))

    def modules(number: int, _width: int) -> list[nn.Module]:
        p = values["stochastic_depth"] * number / layers
        return [] if number == 1 else [StochasticDepth(f"layer {number}", p, draws)]

    return {"modules": modules, "build": with_skips}


SLOTS = [{"stochastic_depth": 0.6}, {"stochastic_depth": 0.2}, {"stochastic_depth": 0.0}]

CASES = [
    Case(data, slots=SLOTS, plain=plain, structure=structure, techniques=("skip", "stochastic_depth"), data=data)
    for data, structure in (
        ("table", {"hidden": "16x16x16", "skip": True}),
        ("regression", {"hidden": "20x20", "skip": True, "activation": "tanh"}),
    )
]
