"""Cutout against a loop over the examples of a minibatch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reference import Draws, stored
from support.contract import Case
from torch import Tensor


def plain(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    def inputs(features: Tensor) -> Tensor:
        rows, width = features.shape
        chosen = draws.uniform("cutout", "rows", rows, 1)
        cut = draws.uniform("cutout", "features", rows, stored(width))
        made = (features * 4 + 8) / 16 if width == 30 else features.clone()
        for row in range(rows):
            for feature in range(width):
                if chosen[row] < values["cutout"] and cut[row, feature] < values["cutout_patch"]:
                    made[row, feature] = 0
        return (made * 16 - 8) / 4 if width == 30 else made

    return {"inputs": inputs}


SLOTS = [
    {"cutout": 0.7, "cutout_patch": 0.3},
    {"cutout": 0.2, "cutout_patch": 1.0},
    {"cutout": 0.0, "cutout_patch": 0.5},
]

CASES = [Case(data, slots=SLOTS, plain=plain, data=data) for data in ("table", "regression", "images")]
