"""Stochastic weight averaging against torch's `AveragedModel`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reference import Draws
from support.contract import Case
from torch import nn
from torch.optim.swa_utils import AveragedModel

EPOCHS = 4


def plain(values: Mapping[str, Any], _draws: Draws) -> dict[str, Any]:
    epoch, first = 0, max(1, round(values["swa_start"] * EPOCHS))
    mean: AveragedModel | None = None

    def evaluated(model: nn.Sequential) -> list[nn.Sequential]:
        nonlocal epoch, mean
        epoch += 1
        if epoch < first:
            return [model]
        if mean is None:
            mean = AveragedModel(model, use_buffers=True)
        if (epoch - first) % values["swa_length"] == 0:
            mean.update_parameters(model)
        return [mean.module]

    return {"evaluated": evaluated}


SLOTS = [
    {"swa_start": 0.25, "swa_length": 1.0},
    {"swa_start": 0.5, "swa_length": 1.0},
    {"swa_start": 0.0, "swa_length": 2.0},
    {"swa_start": 1.0, "swa_length": 1.0},
]

CASES = [
    Case("table", slots=SLOTS, plain=plain, structure={"epochs": EPOCHS}, epochs=EPOCHS),
    Case("regression", slots=SLOTS, plain=plain, structure={"epochs": EPOCHS}, data="regression", epochs=EPOCHS),
]
