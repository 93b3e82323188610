"""A batch ensemble as layers of plain torch, by the equation of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reference import Draws
from support.contract import Case
from support.shared_weights import Ensemble, sharing
from torch import nn


def plain(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    members = values["members"]

    def build(model: nn.Sequential) -> nn.Sequential:
        return sharing(model, members, draws)

    def evaluated(model: nn.Sequential) -> list[nn.Sequential]:
        assert isinstance(model, Ensemble)
        return [model.one(member) for member in range(members)]

    return {"build": build, "targets": lambda y: y.repeat(members, 1), "evaluated": evaluated}


SLOTS: list[Mapping[str, float]] = [{"lr": 2e-3}, {"lr": 1e-2}]

CASES = [
    Case("three networks", slots=SLOTS, plain=plain, structure={"members": 3, "hidden": "12x20"}),
    Case("two, regression", slots=SLOTS, plain=plain, structure={"members": 2, "hidden": "0"}, data="regression"),
]
