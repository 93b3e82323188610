"""The feature gate as a module of plain torch with a learning rate of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from reference import Draws
from support.contract import Case
from torch import Tensor, nn


class Gate(nn.Module):
    def __init__(self, features: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(features, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


def plain(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    def build(model: nn.Sequential) -> nn.Sequential:
        first = model[0]
        assert isinstance(first, nn.Linear)
        return nn.Sequential(Gate(first.in_features, draws.dtype), *model)

    def optimiser(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        gate, *others = parameters
        groups = [{"params": others}, {"params": [gate], "lr": values["lr"] * values["gate_lr"]}]
        return torch.optim.Adam(groups, lr=values["lr"], betas=(values["beta1"], values["beta2"]), eps=values["eps"])

    return {"build": build, "optimiser": optimiser, "rate": lambda _step: 1.0}


SLOTS = [{"gate_lr": 6.0}, {"gate_lr": 1.0}]

CASES = [
    Case(data, slots=SLOTS, plain=plain, structure={"feature_gate": True, "hidden": hidden}, data=data)
    for data, hidden in (("table", "12x20"), ("regression", "0"))
]
