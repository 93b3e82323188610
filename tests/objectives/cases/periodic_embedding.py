"""The waves as a module before a network of plain torch, with torch's own cosine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from reference import Draws, sequential
from support.contract import Case
from support.periodic import Waves
from support.residual import with_skips
from support.shared_weights import sharing
from torch import Tensor, nn


class Gate(nn.Module):
    def __init__(self, features: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(features, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


def network(values: Mapping[str, Any], draws: Draws) -> tuple[Waves, nn.Sequential]:
    """Return the waves and the layers that follow them."""
    hidden = [int(width) for width in values["hidden"].split("x") if width != "0"]
    widths = (13 * (1 + values["waves"]), *hidden, 3 if hidden else 2)
    return Waves(13, values["waves"], values["wave_sigma"], draws), sequential(widths, values["activation"], draws)


def plain(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    waves, layers = network(values, draws)
    return {"build": lambda _model: nn.Sequential(waves, *layers)}


def after_a_gate(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    waves, layers = network(values, draws)

    def optimiser(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        gate, *others = parameters
        groups = [{"params": others}, {"params": [gate], "lr": values["lr"] * values["gate_lr"]}]
        return torch.optim.Adam(groups, lr=values["lr"], betas=(values["beta1"], values["beta2"]), eps=values["eps"])

    return {
        "build": lambda _model: nn.Sequential(Gate(13, draws.dtype), waves, *layers),
        "optimiser": optimiser,
        "rate": lambda _step: 1.0,
    }


def of_networks(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    """Networks that share their weights share the waves."""
    waves, layers = network(values, draws)
    whole, members = sharing(nn.Sequential(waves, *layers), values["members"], draws), values["members"]
    return {
        "build": lambda _model: whole,
        "targets": lambda y: y.repeat(members, 1),
        "evaluated": lambda _model: [whole.one(member) for member in range(members)],
    }


def before_blocks(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    waves, layers = network(values, draws)
    return {"build": lambda _model: nn.Sequential(waves, *with_skips(layers))}


SLOTS = [{"wave_sigma": 0.1}, {"wave_sigma": 2.0}]

CASES = [
    # With 30 rows, a minibatch's waves of a slot end within a vector register.
    Case("table", slots=SLOTS, plain=plain, structure={"waves": 4, "hidden": "12x20", "batch_size": 30}),
    Case("regression", slots=SLOTS, plain=plain, structure={"waves": 8, "hidden": "0"}, data="regression"),
    Case(
        "after a gate",
        slots=[{**slot, "gate_lr": 6.0} for slot in SLOTS],
        plain=after_a_gate,
        structure={"waves": 4, "feature_gate": True},
        techniques=["periodic_embedding", "feature_gate"],
    ),
    Case(
        "networks that share weights",
        slots=SLOTS,
        plain=of_networks,
        structure={"waves": 4, "members": 3, "hidden": "12x20"},
        techniques=["periodic_embedding", "weight_sharing"],
    ),
    Case(
        "before residual blocks",
        slots=SLOTS,
        plain=before_blocks,
        structure={"waves": 4, "skip": True, "hidden": "12x12x12"},
        techniques=["periodic_embedding", "skip"],
    ),
]
