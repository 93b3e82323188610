"""Skip connections against residual blocks in plain torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reference import Draws
from support.contract import Case
from support.residual import with_skips
from torch import nn


def plain(_values: Mapping[str, Any], _draws: Draws) -> dict[str, Any]:
    return {"build": with_skips}


def with_batch_norm(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    def modules(_number: int, width: int) -> list[nn.Module]:
        return [nn.BatchNorm1d(width, momentum=values["bn_alpha"], dtype=draws.dtype)]

    return {"modules": modules, **plain(values, draws)}


SLOTS: list[Mapping[str, float]] = [{"lr": 2e-3}, {"lr": 1e-2}]

CASES = [
    Case("two layers", slots=SLOTS, plain=plain, structure={"hidden": "12x12", "skip": True}),
    Case(
        "three, gelu, regression",
        slots=SLOTS,
        plain=plain,
        structure={"hidden": "20x20x20", "skip": True, "activation": "gelu"},
        data="regression",
    ),
    Case(
        "batch norm",
        slots=[{"bn_alpha": 0.1, **slot} for slot in SLOTS],
        plain=with_batch_norm,
        structure={"hidden": "12x12x12", "skip": True, "batch_norm": True},
        techniques=("batch_norm", "skip"),
    ),
]
