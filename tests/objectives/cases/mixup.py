"""Mixup against torchvision's transform, for each example and its partner; lam by closed forms of the Beta quantile."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from reference import Draws
from support.contract import Case
from torch import Tensor
from torchvision.transforms import v2

QUANTILES: dict[float, Callable[[float], float]] = {
    0.5: lambda u: math.sin(math.pi * u / 2) ** 2,  # the arcsine distribution
    1.0: lambda u: u,
    2.0: lambda u: 0.5 - math.sin(math.asin(1 - 2 * u) / 3),  # the root of 3 x^2 - 2 x^3 = u in [0, 1]
}


def plain(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    def mixed(rows: Tensor) -> Tensor:
        if values["mixup"] == 0:
            return rows
        lam = QUANTILES[values["mixup"]](draws.uniform("mixup", "lam", 1).item() + 2**-25)
        drawn = draws.uniform("mixup", "partners", len(rows)).tolist()
        partners = sorted(range(len(rows)), key=drawn.__getitem__)
        # torchvision mixes an image with the one before it in the batch; of two, that is the other one.
        pairs = [rows[[row, partner]][:, None, None] for row, partner in enumerate(partners)]
        given = {"lam": lam, "batch_size": 2, "labels": None}
        return torch.stack([v2.MixUp().transform(pair, given)[0, 0, 0] for pair in pairs])

    return {"inputs": mixed, "targets": mixed}


SLOTS = [{"mixup": 1.0}, {"mixup": 0.5}, {"mixup": 2.0}, {"mixup": 0.0}]

CASES = [Case(data, slots=SLOTS, plain=plain, data=data) for data in ("table", "regression")]
