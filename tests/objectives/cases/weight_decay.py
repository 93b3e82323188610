"""Weight decay against each optimiser of `torch.optim`: coupled, in AdamW decoupled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from reference import Draws
from support.contract import Case


def plain(values: Mapping[str, Any], _draws: Draws) -> dict[str, Any]:
    made = {
        "sgd": torch.optim.SGD,
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "adagrad": torch.optim.Adagrad,
        "rmsprop": torch.optim.RMSprop,
    }[values["optimizer"]]
    return {"optimiser": lambda parameters: made(parameters, lr=values["lr"], weight_decay=values["weight_decay"])}


REST = {"adagrad": {"adagrad_eps": 1e-10}, "rmsprop": {"alpha": 0.99, "eps": 1e-8}}
CASES = [
    Case(
        optimizer,
        slots=[{"weight_decay": decay, **REST.get(optimizer, {})} for decay in (0.1, 1e-3, 0.0)],
        plain=plain,
        structure={"optimizer": optimizer},
    )
    for optimizer in ("sgd", "adam", "adamw", "adagrad", "rmsprop")
]
