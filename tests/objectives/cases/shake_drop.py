"""ShakeDrop against the paper's equations, in residual blocks of plain torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reference import Draws
from support.contract import Case
from support.residual import ShakeDrop, with_skips
from torch import nn


def plain(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    layers = len(values["hidden"].split("x"))

    def modules(number: int, _width: int) -> list[nn.Module]:
        return [] if number == 1 else [ShakeDrop(number, values["shake_drop"] * number / layers, draws)]

    return {"modules": modules, "build": with_skips}


SLOTS = [{"shake_drop": 0.7}, {"shake_drop": 0.2}, {"shake_drop": 0.0}]

CASES = [
    Case(data, slots=SLOTS, plain=plain, structure=structure, techniques=("skip", "shake_drop"), data=data)
    for data, structure in (
        ("table", {"hidden": "16x16x16", "skip": True}),
        ("regression", {"hidden": "20x20", "skip": True, "activation": "tanh"}),
    )
]
