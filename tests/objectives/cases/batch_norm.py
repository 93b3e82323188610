"""Batch normalisation against `torch.nn.BatchNorm1d` after the activation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reference import Draws
from support.contract import Case
from torch import nn


def plain(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    return {"modules": lambda _number, width: [nn.BatchNorm1d(width, momentum=values["bn_alpha"], dtype=draws.dtype)]}


CASES = [
    Case(
        "two layers",
        slots=[{"bn_alpha": 0.1}, {"bn_alpha": 0.5}],
        plain=plain,
        structure={"hidden": "12x20", "batch_norm": True},
    ),
]
