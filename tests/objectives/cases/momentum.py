"""Momentum against `torch.optim.SGD`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from reference import Draws
from support.contract import Case


def plain(values: Mapping[str, Any], _draws: Draws) -> dict[str, Any]:
    given = {name: values[name] for name in ("lr", "momentum", "dampening", "nesterov") if name in values}
    return {"optimiser": lambda parameters: torch.optim.SGD(parameters, **given)}


CASES = [
    Case(
        "classical",
        slots=[{"momentum": 0.9}, {"momentum": 0.0}, {"momentum": 0.99, "lr": 0.01}],
        plain=plain,
        structure={"optimizer": "sgd", "hidden": "12x20"},
    ),
    Case(
        "nesterov",
        slots=[{"momentum": 0.9}, {"momentum": 0.5}],
        plain=plain,
        structure={"optimizer": "sgd", "nesterov": True},
    ),
    Case(
        "dampened",
        slots=[{"momentum": 0.9, "dampening": 0.5}, {"momentum": 0.5, "dampening": 0.0}],
        plain=plain,
        structure={"optimizer": "sgd"},
    ),
]
