"""The L2 penalty against a term of the loss by torch's own norm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from reference import Draws
from support.contract import Case


def plain(values: Mapping[str, Any], _draws: Draws) -> dict[str, Any]:
    return {"penalty": lambda weights: values["l2"] * sum(weight.norm() ** 2 for weight in weights)}


def with_sgd(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    return plain(values, draws) | {"optimiser": lambda parameters: torch.optim.SGD(parameters, lr=values["lr"])}


STRENGTHS = [{"l2": 1e-3}, {"l2": 0.1}, {"l2": 0.0}]
CASES = [
    Case("adam", slots=STRENGTHS, plain=plain, structure={"hidden": "12x20"}),
    Case("sgd, regression", slots=STRENGTHS, plain=with_sgd, structure={"optimizer": "sgd"}, data="regression"),
]
