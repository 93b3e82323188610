"""Sharpness-aware minimisation against the paper's algorithm, written for one network; alone, and with a penalty."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from reference import Draws, Dropout
from support.contract import Case
from torch import Tensor, nn


def plain(values: Mapping[str, Any], _draws: Draws) -> dict[str, Any]:
    def again(model: nn.Sequential, features: Tensor, objective: Callable[[Tensor], Tensor]) -> None:
        weights = list(model.parameters())
        slopes = [weight.grad for weight in weights]
        norm = torch.cat([slope.flatten() for slope in slopes if slope is not None]).norm()
        before = [weight.detach().clone() for weight in weights]
        with torch.no_grad():
            for weight, slope in zip(weights, slopes, strict=True):
                assert slope is not None
                weight += values["sam"] * slope / norm
        model.zero_grad()
        objective(features.detach()).backward()
        with torch.no_grad():
            for weight, old in zip(weights, before, strict=True):
                weight.copy_(old)

    return {"again": again}


def with_others(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    def penalty(weights: list[nn.Parameter]) -> Tensor:
        squares: Tensor = sum(weight.square().sum() for weight in weights)  # type: ignore[assignment]
        return values["l2"] * squares

    def modules(number: int, _width: int) -> list[nn.Module]:
        return [Dropout(f"layer {number}", values["dropout"], draws)]

    return {"penalty": penalty, "modules": modules, **plain(values, draws)}


SLOTS = [{"sam": 0.05}, {"sam": 0.5}, {"sam": 0.0}]

CASES = [
    Case("two layers", slots=SLOTS, plain=plain, structure={"hidden": "12x20"}),
    Case("linear, regression", slots=SLOTS, plain=plain, structure={"hidden": "0"}, data="regression"),
    Case(
        "penalty and dropout",
        slots=[{"l2": 0.01, "dropout": 0.3, **slot} for slot in SLOTS[:2]],
        plain=with_others,
        techniques=("l2", "dropout", "sam"),
    ),
]
