"""Lookahead against the paper's algorithm, written for one network."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from reference import Draws
from support.contract import Case
from torch import nn


def plain(values: Mapping[str, Any], _draws: Draws) -> dict[str, Any]:
    slow: nn.Sequential | None = None
    steps = 0

    def init(model: nn.Sequential) -> None:
        nonlocal slow
        slow = deepcopy(model)

    def after_step(model: nn.Sequential) -> None:
        nonlocal steps
        assert slow is not None
        steps += 1
        if steps % values["lookahead_steps"] == 0:
            for behind, fast in zip(slow.parameters(), model.parameters(), strict=True):
                behind += values["lookahead"] * (fast - behind)
                fast.copy_(behind)

    def evaluated(model: nn.Sequential) -> list[nn.Sequential]:
        assert slow is not None
        return [model if values["lookahead"] == 1 else slow]

    return {"init": init, "after_step": after_step, "evaluated": evaluated}


SLOTS = [
    {"lookahead": 0.5, "lookahead_steps": 3.0},
    {"lookahead": 0.8, "lookahead_steps": 5.0},
    {"lookahead": 1.0, "lookahead_steps": 5.0},
]

CASES = [
    Case("two layers", slots=SLOTS, plain=plain, structure={"hidden": "12x20"}),
    Case("linear, regression", slots=SLOTS, plain=plain, structure={"hidden": "0"}, data="regression"),
]
