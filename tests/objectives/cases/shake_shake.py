"""Shake-shake against the paper's equations, in residual blocks of plain torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from reference import Draws
from support.contract import Case
from support.residual import ShakeDrop, with_branches, with_skips
from torch import Tensor, nn


class Shake(torch.autograd.Function):
    """``alpha a_1 + (1 - alpha) a_2`` forwards, beta in the place of alpha backwards."""

    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        ctx.beta = beta
        return alpha * first + (1 - alpha) * second

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        return ctx.beta * gradients[0], (1 - ctx.beta) * gradients[0], None, None


def plain(_values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    def mix(number: int, each: list[Tensor]) -> Tensor:
        names = (f"layer {number} alpha", f"layer {number} beta")
        alpha, beta = (draws.uniform("shake_shake", name, len(each[0]))[:, None] for name in names)
        mixed: Tensor = Shake.apply(*each, alpha, beta)  # type: ignore[no-untyped-call]
        return mixed

    def build(model: nn.Sequential) -> nn.Sequential:
        return with_skips(with_branches(model, draws, 2, mix, lambda number: number > 1))

    return {"build": build}


def with_batch_norm(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    def modules(_number: int, width: int) -> list[nn.Module]:
        return [nn.BatchNorm1d(width, momentum=values["bn_alpha"], dtype=draws.dtype)]

    return {"modules": modules, **plain(values, draws)}


def with_shake_drop(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    layers = len(values["hidden"].split("x"))

    def modules(number: int, _width: int) -> list[nn.Module]:
        return [] if number == 1 else [ShakeDrop(number, values["shake_drop"] * number / layers, draws)]

    return {"modules": modules, **plain(values, draws)}


SLOTS: list[Mapping[str, float]] = [{"lr": 2e-3}, {"lr": 1e-2}]
ON = {"skip": True, "shake_shake": True}

CASES = [
    Case("table", slots=SLOTS, plain=plain, structure={"hidden": "16x16x16", **ON}, techniques=("skip", "shake_shake")),
    Case(
        "regression",
        slots=SLOTS,
        plain=plain,
        structure={"hidden": "20x20", "activation": "tanh", **ON},
        techniques=("skip", "shake_shake"),
        data="regression",
    ),
    Case(
        "batch norm",
        slots=[{"bn_alpha": 0.1, **slot} for slot in SLOTS],
        plain=with_batch_norm,
        structure={"hidden": "12x12x12", "activation": "gelu", "batch_norm": True, **ON},
        techniques=("batch_norm", "skip", "shake_shake"),
    ),
    Case(
        "shake_drop",
        slots=[{"shake_drop": 0.7, "lr": 2e-3}, {"shake_drop": 0.2, "lr": 1e-2}],
        plain=with_shake_drop,
        structure={"hidden": "12x12x12", **ON},
        techniques=("skip", "shake_drop", "shake_shake"),
    ),
]
