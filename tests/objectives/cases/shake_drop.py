"""ShakeDrop against the paper's equations, in residual blocks of plain torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from reference import Draws
from support.contract import Case
from support.residual import with_skips
from torch import Tensor, nn


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


def plain(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    layers = len(values["hidden"].split("x"))

    def modules(number: int, _width: int) -> list[nn.Module]:
        return [] if number == 1 else [ShakeDrop(number, values["shake_drop"] * number / layers, draws)]

    return {"modules": modules, "build": with_skips}


SLOTS = [{"shake_drop": 0.7}, {"shake_drop": 0.2}, {"shake_drop": 0.0}]

CASES = [
    Case(data, slots=SLOTS, plain=plain, structure=structure, techniques=("skip", "shake_drop"), data=data)
    for data, structure in (
        ("table", {"hidden": "16x16x16", "skip": True}),
        ("regression", {"hidden": "20x20", "skip": True, "activation": "tanh"}),
    )
]
