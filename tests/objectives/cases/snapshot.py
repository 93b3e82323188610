"""Snapshot ensembles against torch's scheduler and copies of a plain network."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from reference import Draws
from support.contract import Case
from torch import nn

EPOCHS, STEPS = 3, 4  # 100 rows in minibatches of 32


def plain(values: Mapping[str, Any], _draws: Draws) -> dict[str, Any]:
    cycles = values["snapshot"]
    length = -(-EPOCHS * STEPS // cycles)
    kept: list[nn.Sequential] = []
    steps = 0
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimiser, T_0=length)

    def rate(_step: int) -> float:
        factor = scheduler.get_last_lr()[0]
        optimiser.step()
        scheduler.step()
        return float(factor)

    def after_step(model: nn.Sequential) -> None:
        nonlocal steps
        steps += 1
        if steps % length == 0 or steps == EPOCHS * STEPS:
            kept.append(deepcopy(model))

    def evaluated(model: nn.Sequential) -> list[nn.Sequential]:
        return [*kept, *[model] * (cycles - len(kept))]

    return {"rate": rate, "after_step": after_step, "evaluated": evaluated}


SLOTS: list[Mapping[str, float]] = [{"lr": 2e-3}, {"lr": 1e-2}]

CASES = [
    Case("two cycles", slots=SLOTS, plain=plain, structure={"snapshot": 2}),
    Case("three, regression", slots=SLOTS, plain=plain, structure={"snapshot": 3, "hidden": "0"}, data="regression"),
    Case("within an epoch", slots=SLOTS, plain=plain, structure={"snapshot": 5, "epochs": 3}),
]
