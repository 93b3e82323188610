"""Scheduled strengths against plain torch with other strengths in every step, as a tutorial would set them by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from reference import Draws, Dropout
from support.contract import Case
from torch import Tensor

STEPS = 4  # steps of an epoch: 100 rows in minibatches of 32
SHAPES: Mapping[str, Callable[[float], float]] = {
    "linear": lambda t: 1 - t,
    "cosine": lambda t: math.cos(t * math.pi) / 2 + 0.5,
    "flat_cosine": lambda t: math.cos((max(1, 2 * t) - 1) * math.pi) / 2 + 0.5,
    "coslog4": lambda t: 0.5 * (1 - math.cos(2 * math.pi * math.log2(1 + 15 * t))),
}


def plain(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    def now(name: str) -> float:
        """Return the strength of the present step, or the trial's own in evaluation."""
        strength = float(values.get(name, 0.0))
        if name not in values["scheduled"].split("+") or not torch.is_grad_enabled():
            return strength
        return strength * SHAPES[values["schedule"]]((draws.epoch * STEPS + draws.step) / (values["epochs"] * STEPS))

    class Fading(Dropout):
        def forward(self, h: Tensor) -> Tensor:
            self.p = now("dropout")
            return super().forward(h)

    optimisers: list[torch.optim.Optimizer] = []

    def optimiser(parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        made = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[values["optimizer"]]
        optimisers.append(made(parameters, lr=values["lr"]))
        return optimisers[0]

    def decay(_model: torch.nn.Sequential) -> None:
        optimisers[0].param_groups[0]["weight_decay"] = now("weight_decay")

    def smooth(y: Tensor) -> Tensor:
        return y * (1 - now("label_smoothing")) + now("label_smoothing") / y.shape[1]

    return {
        "optimiser": optimiser,
        "after_backward": decay,
        "modules": lambda number, _width: [Fading(f"layer {number}", 0.0, draws)],
        **({"targets": smooth} if "label_smoothing" in values else {}),
        **({"penalty": lambda ws: now("l2") * sum(w.norm() ** 2 for w in ws)} if "l2" in values else {}),
    }


CASES = [
    Case(
        "dropout",
        slots=[{"dropout": 0.5}, {"dropout": 0.1}, {"dropout": 0.0}],
        plain=plain,
        techniques=("dropout", "schedule"),
        structure={"schedule": "flat_cosine", "scheduled": "dropout", "hidden": "12x20"},
    ),
    Case(
        "penalty, dropout and decoupled decay",
        slots=[
            {"l2": 1e-2, "dropout": 0.5, "weight_decay": 3.0},
            {"l2": 1e-3, "dropout": 0.2, "weight_decay": 0.1},
            {"l2": 0.0, "dropout": 0.0, "weight_decay": 0.0},
        ],
        plain=plain,
        techniques=("l2", "dropout", "schedule"),
        structure={"schedule": "cosine", "scheduled": "l2+dropout+weight_decay", "optimizer": "adamw"},
    ),
    Case(
        "targets and coupled decay, beside a constant penalty",
        slots=[
            {"l2": 1e-2, "label_smoothing": 0.3, "weight_decay": 0.1},
            {"l2": 1e-3, "label_smoothing": 0.1, "weight_decay": 0.0},
        ],
        plain=plain,
        techniques=("l2", "label_smoothing", "schedule"),
        structure={"schedule": "coslog4", "scheduled": "label_smoothing+weight_decay", "optimizer": "sgd"},
    ),
]
