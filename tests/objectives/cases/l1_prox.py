"""Soft thresholding against `torch.nn.functional.softshrink` of every parameter after the step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from reference import Draws
from support.contract import Case
from torch import nn
from torch.nn import functional as F


def plain(values: Mapping[str, Any], _draws: Draws) -> dict[str, Any]:
    scale = values["lr"] if values["l1_prox_step"] == "lr*lambda" else 1.0

    def after_step(model: nn.Sequential) -> None:
        for parameter in model.parameters():
            parameter.copy_(F.softshrink(parameter, values["l1_prox"] * scale))

    return {"after_step": after_step}


def with_sgd(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    return plain(values, draws) | {"optimiser": lambda parameters: torch.optim.SGD(parameters, lr=values["lr"])}


CASES = [
    Case(
        "lambda",
        slots=[{"l1_prox": 1e-4}, {"l1_prox": 1e-3}, {"l1_prox": 0.0}],
        plain=plain,
        structure={"hidden": "12x20", "l1_prox_step": "lambda"},
    ),
    Case(
        "lr*lambda",
        slots=[{"l1_prox": 0.1}, {"l1_prox": 0.5, "lr": 3e-3}, {"l1_prox": 0.0}],
        plain=plain,
        structure={"l1_prox_step": "lr*lambda"},
    ),
    Case(
        "lr*lambda, sgd, regression",
        slots=[{"l1_prox": 1e-3}, {"l1_prox": 0.03, "lr": 0.1}],
        plain=with_sgd,
        structure={"optimizer": "sgd", "l1_prox_step": "lr*lambda"},
        data="regression",
    ),
]
