"""Initialisation against the bounds and standard deviations of `torch.nn.init`, on the named draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reference import Draws
from support.contract import Case
from torch import nn

from search.train import streams


def plain(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    scheme, activation = values["initialization"], values["activation"]

    def init(model: nn.Sequential) -> None:
        # torch has no gain for gelu, so it is that of a linear unit.
        gain = nn.init.calculate_gain("linear" if activation == "gelu" else activation, 0.01)
        for number, layer in enumerate(m for m in model if isinstance(m, nn.Linear)):
            inputs, outputs = layer.in_features, layer.out_features
            if scheme == "default":
                layer.weight *= values["gain"]
                continue
            layer.bias.zero_()
            unit = draws.unit(f"{number}.weight", inputs, outputs).T
            # The variance that torch documents for xavier_*, and for kaiming_* with mode fan_in.
            variance = 2 / (inputs + outputs) if scheme.startswith("xavier") else gain**2 / inputs
            standard = streams.quantile(unit) if scheme.endswith("normal") else (2 * unit - 1) * 3**0.5
            layer.weight.copy_(values["gain"] * variance**0.5 * standard)

    return {"init": init}


SLOTS = [{"gain": 1.0}, {"gain": 0.3}, {"gain": 3.0}]

CASES = [
    Case(
        f"{scheme} {activation}",
        slots=SLOTS,
        plain=plain,
        structure={"initialization": scheme, "activation": activation, "hidden": "12x20"},
    )
    for scheme, activation in (
        ("default", "tanh"),
        ("xavier_uniform", "relu"),
        ("xavier_normal", "leaky_relu"),
        ("kaiming_uniform", "leaky_relu"),
        ("kaiming_normal", "tanh"),
        ("kaiming_normal", "gelu"),
    )
]
