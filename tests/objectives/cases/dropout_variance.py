"""Dropout variance against `torch.var` over passes of `torch.nn.Dropout` (its mask from the named draws)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from reference import Draws, Dropout
from support.contract import Case
from torch import Tensor


def plain(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    def variance(forward: Callable[[Tensor], Tensor], x: Tensor, predictions: Tensor) -> Tensor:
        passes = torch.stack([predictions, *(forward(x) for _ in range(values["dropout_variance_passes"] - 1))])
        if predictions.shape[1] == 3:
            passes = passes.softmax(-1)
        return values["dropout_variance"] * passes.var(0).mean()

    return {
        "modules": lambda number, _width: [Dropout(f"layer {number}", values["dropout"], draws)],
        "extra_loss": variance,
    }


SLOTS = [
    {"dropout": 0.5, "dropout_variance": 10.0},
    {"dropout": 0.2, "dropout_variance": 0.1},
    {"dropout": 0.0, "dropout_variance": 1.0},
]
CASES = [
    Case(
        "classes, 2 passes",
        slots=SLOTS,
        plain=plain,
        techniques=("dropout", "dropout_variance"),
        structure={"dropout_variance_passes": 2, "hidden": "12x20"},
    ),
    Case(
        "regression, 3 passes",
        slots=SLOTS,
        plain=plain,
        techniques=("dropout", "dropout_variance"),
        structure={"dropout_variance_passes": 3},
        data="regression",
    ),
]
