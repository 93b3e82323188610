"""Gradient clipping against the norm of all gradients of a plain network together."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

import torch
from reference import Draws
from support.contract import Case
from torch import nn


def plain(values: Mapping[str, Any], _draws: Draws) -> dict[str, Any]:
    def after_backward(model: nn.Sequential) -> None:
        gradients = [one.grad for one in model.parameters() if one.grad is not None]
        norm = torch.cat([one.flatten() for one in gradients]).norm()
        if norm > values["grad_clip"]:
            for one in gradients:
                one.mul_(values["grad_clip"] / norm)

    return {"after_backward": after_backward}


SLOTS = [{"grad_clip": 0.05}, {"grad_clip": 0.5}, {"grad_clip": inf}]

CASES = [
    Case("adam", slots=SLOTS, plain=plain, structure={"hidden": "12x20"}),
    Case("regression", slots=SLOTS, plain=plain, data="regression"),
]
