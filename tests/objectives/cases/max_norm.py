"""Max-norm against a plain loop over the neurons of every `torch.nn.Linear`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf
from typing import Any

from reference import Draws
from support.contract import Case
from torch import Tensor, nn


def neurons(model: nn.Sequential) -> Iterator[Tensor]:
    for module in model:
        if isinstance(module, nn.Linear):
            yield from module.weight


def plain(values: Mapping[str, Any], _draws: Draws) -> dict[str, Any]:
    bound = values["max_norm"]

    def after_step(model: nn.Sequential) -> None:
        for incoming in neurons(model):
            if incoming.norm() > bound:
                incoming.mul_(bound / incoming.norm())

    def metrics(model: nn.Sequential) -> dict[str, float]:
        at_bound = [bool(incoming.norm() >= bound * (1 - 1e-5)) for incoming in neurons(model)]
        return {"max_norm_share": sum(at_bound) / len(at_bound)}

    return {"after_step": after_step, "metrics": metrics}


CASES = [
    Case(
        "some neurons at the bound",
        slots=[{"max_norm": 0.6}, {"max_norm": 0.3}, {"max_norm": inf}],
        plain=plain,
        structure={"hidden": "12x20"},
    ),
    Case(
        "linear, regression",
        slots=[{"max_norm": 0.5}, {"max_norm": 4.0}],
        plain=plain,
        structure={"hidden": "0"},
        data="regression",
    ),
]
