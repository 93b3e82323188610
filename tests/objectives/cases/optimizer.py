"""Each optimiser with the hyperparameters that the technique searches, against `torch.optim`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from reference import Draws
from support.contract import Case


def plain(values: Mapping[str, Any], _draws: Draws) -> dict[str, Any]:
    lr = values["lr"]
    if values["optimizer"] == "sgd":
        return {
            "optimiser": lambda w: torch.optim.SGD(w, lr=lr, momentum=values["momentum"], nesterov=values["nesterov"])
        }
    if values["optimizer"] == "adagrad":
        start = values["initial_accumulator_value"]
        return {"optimiser": lambda w: torch.optim.Adagrad(w, lr=lr, initial_accumulator_value=start)}
    if values["optimizer"] == "rmsprop":
        alpha, momentum, centred = values["alpha"], values["momentum"], values["centered"]
        return {"optimiser": lambda w: torch.optim.RMSprop(w, lr=lr, alpha=alpha, momentum=momentum, centered=centred)}
    betas = values["beta1"], values["beta2"]
    if values["optimizer"] == "adam":
        return {"optimiser": lambda w: torch.optim.Adam(w, lr=lr, betas=betas)}
    return {"optimiser": lambda w: torch.optim.AdamW(w, lr=lr, betas=betas, weight_decay=0.0)}


BETAS = [{"beta1": 0.5, "beta2": 0.9}, {"beta1": 0.99, "beta2": 0.9999}]
CASES = [
    Case(
        "sgd",
        slots=[{"momentum": 0.9}, {"momentum": 0.5}],
        plain=plain,
        structure={"optimizer": "sgd", "nesterov": True},
    ),
    Case(
        "adagrad",
        plain=plain,
        structure={"optimizer": "adagrad"},
        slots=[{"initial_accumulator_value": value, "adagrad_eps": 1e-10} for value in (1e-4, 1.0)],
    ),
    Case(
        "rmsprop",
        plain=plain,
        structure={"optimizer": "rmsprop", "centered": True},
        slots=[
            {"alpha": 0.9, "momentum": 0.9, "eps": 1e-8, "lr": 1e-3},
            {"alpha": 0.999, "momentum": 0.0, "eps": 1e-8, "lr": 1e-3},
        ],
    ),
    Case("adam", slots=BETAS, plain=plain),
    Case("adamw", slots=BETAS, plain=plain, structure={"optimizer": "adamw"}),
]
