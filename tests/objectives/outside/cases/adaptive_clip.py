"""Adaptive clipping against clipping by hand of the gradients that autograd left in the modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from reference import Draws
from support.contract import Case
from torch import nn


def plain(values: Mapping[str, Any], _draws: Draws) -> dict[str, Any]:
    mean: list[float] = []

    def clip(model: nn.Sequential) -> None:
        flat = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        euclidean = values["clip_norm"] == "euclidean"
        size = (flat.norm() if euclidean else flat.abs().max()).item()
        if not mean:
            mean.append(size)
        for p in model.parameters():
            assert p.grad is not None
            p.grad *= min(1.0, values["clip"] * mean[0] / size)
        if euclidean:
            mean[0] = values["clip_decay"] * mean[0] + (1 - values["clip_decay"]) * size

    return {"after_backward": clip, "after_epoch": lambda metrics: metrics["train_loss"] < values["clip_stop"]}


CASES = [
    Case(
        "euclidean",
        plain=plain,
        structure={"clip_norm": "euclidean"},
        slots=[
            {"clip": 0.5, "clip_decay": 0.9, "clip_stop": 0.0},
            {"clip": 0.9, "clip_decay": 0.5, "clip_stop": 1.1},
        ],
    ),
    Case(
        "largest",
        plain=plain,
        structure={"clip_norm": "largest"},
        slots=[{"clip": 0.2, "clip_stop": 0.0}, {"clip": 0.9, "clip_stop": 0.0}],
    ),
]
