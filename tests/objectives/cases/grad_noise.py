"""Gradient noise against the named draws, added to the gradients of a plain network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reference import Draws
from support.contract import Case
from torch import nn

STEPS = 4  # steps of an epoch: 100 rows in minibatches of 32


def plain(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    def after_backward(model: nn.Sequential) -> None:
        step = draws.epoch * STEPS + draws.step
        deviation = (values["grad_noise"] / (1 + step) ** 0.55) ** 0.5
        linear = [module for module in model if isinstance(module, nn.Linear)]
        for layer, module in enumerate(linear):
            assert module.weight.grad is not None
            assert module.bias.grad is not None
            # The package's weights are inputs x outputs.
            noise = draws.normal("grad_noise", f"{layer}.weight", module.in_features, module.out_features)
            module.weight.grad += deviation * noise.T
            module.bias.grad += deviation * draws.normal("grad_noise", f"{layer}.bias", module.out_features)

    return {"after_backward": after_backward}


SLOTS = [{"grad_noise": 0.3}, {"grad_noise": 0.01}, {"grad_noise": 0.0}]

CASES = [
    Case("two layers", slots=SLOTS, plain=plain, structure={"hidden": "12x20"}),
    Case("linear, regression", slots=SLOTS, plain=plain, structure={"hidden": "0"}, data="regression"),
]
