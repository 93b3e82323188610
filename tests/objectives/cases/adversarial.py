"""Adversarial training against the fast gradient sign method, written for one network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from reference import Draws, Dropout
from support.contract import Case
from torch import Tensor, nn


def plain(values: Mapping[str, Any], _draws: Draws) -> dict[str, Any]:
    def again(model: nn.Sequential, features: Tensor, objective: Callable[[Tensor], Tensor]) -> None:
        assert features.grad is not None
        x, step = features.detach(), values["adversarial"] * features.grad.sign()
        # The images, 0 to 16, are scaled by mean 8 and SD 4.
        other = (torch.clamp((x * 4 + 8) / 16 + step, 0, 1) * 16 - 8) / 4 if x.shape[1] == 30 else x + step
        # The gradients of both passes add up in the parameters.
        objective(other).backward()
        for weight in model.parameters():
            assert weight.grad is not None
            weight.grad /= 2

    return {"again": again}


def with_dropout(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    def modules(number: int, _width: int) -> list[nn.Module]:
        return [Dropout(f"layer {number}", values["dropout"], draws)]

    return {"modules": modules, **plain(values, draws)}


SLOTS = [{"adversarial": 0.1}, {"adversarial": 0.01}, {"adversarial": 0.0}]

CASES = [
    *(Case(data, slots=SLOTS, plain=plain, data=data) for data in ("table", "images", "regression")),
    Case(
        "dropout",
        slots=[{"dropout": 0.3, **slot} for slot in SLOTS[:2]],
        plain=with_dropout,
        structure={"hidden": "12x20"},
        techniques=("dropout", "adversarial"),
    ),
]
