"""The exponential moving average against torch's `AveragedModel`, without and with batch normalisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reference import Draws
from support.contract import Case
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def plain(values: Mapping[str, Any], _draws: Draws) -> dict[str, Any]:
    mean: AveragedModel | None = None

    def after_step(model: nn.Sequential) -> None:
        nonlocal mean
        if mean is None:
            mean = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(values["ema"]), use_buffers=True)
        mean.update_parameters(model)

    def evaluated(_model: nn.Sequential) -> list[nn.Sequential]:
        assert mean is not None
        return [mean.module]

    return {"after_step": after_step, "evaluated": evaluated}


def with_batch_norm(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    def modules(_number: int, width: int) -> list[nn.Module]:
        return [nn.BatchNorm1d(width, momentum=values["bn_alpha"], dtype=draws.dtype)]

    return {"modules": modules, **plain(values, draws)}


SLOTS = [{"ema": 0.9}, {"ema": 0.5}, {"ema": 0.0}]

CASES = [
    Case("two layers", slots=SLOTS, plain=plain, structure={"hidden": "12x20"}),
    Case("regression", slots=SLOTS, plain=plain, data="regression"),
    Case(
        "batch norm",
        slots=[{"bn_alpha": 0.1, **slot} for slot in SLOTS],
        plain=with_batch_norm,
        structure={"batch_norm": True},
        techniques=("batch_norm", "ema"),
    ),
]
