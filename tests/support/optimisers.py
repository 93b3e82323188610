"""Cases of optimisers: slots with every hyperparameter, and the same optimiser in `torch.optim`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from search.technique import Value

NAMESAKES: Mapping[str, type[torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
}


@dataclass(frozen=True)
class Case:
    """Slots that share a pack; each of them is compared with torch."""

    optimizer: str
    slots: list[dict[str, float]]
    structure: dict[str, Value] = field(default_factory=dict)


def slots(lr: float, **values: tuple[float, float, float]) -> list[dict[str, float]]:
    """Return three slots, each with its own learning rate and values."""
    rates = (lr, lr / 3, lr / 10)
    return [{"lr": rate} | {name: each[slot] for name, each in values.items()} for slot, rate in enumerate(rates)]


BETAS = {"beta1": (0.9, 0.5, 0.0), "beta2": (0.999, 0.9, 0.99), "eps": (1e-8, 1e-4, 1e-2)}
ALPHA = {"alpha": (0.99, 0.9, 0.5), "eps": (1e-8, 1e-4, 1e-2)}
ADAGRAD = {"adagrad_eps": (1e-10, 1e-4, 1e-2)}
MOMENTUM = {"momentum": (0.9, 0.0, 0.5)}
DECAY = {"weight_decay": (0.02, 0.0, 0.1)}
# A name that no slot of a case has stands for one that a study fixed at its neutral value.
CASES: Mapping[str, Case] = {
    "sgd": Case("sgd", slots(0.3)),
    "sgd, momentum": Case("sgd", slots(0.1, **MOMENTUM)),
    "sgd, dampening": Case("sgd", slots(0.1, **MOMENTUM, dampening=(0.3, 0.3, 1.0))),
    "sgd, nesterov": Case("sgd", slots(0.1, **MOMENTUM, **DECAY), {"nesterov": True}),
    "sgd, weight decay": Case("sgd", slots(0.1, **MOMENTUM, **DECAY)),
    "adam": Case("adam", slots(0.03, **BETAS)),
    "adam, weight decay": Case("adam", slots(0.03, **BETAS, **DECAY)),
    "adamw": Case("adamw", slots(0.03, **BETAS)),
    "adamw, weight decay": Case("adamw", slots(0.03, **BETAS, **DECAY)),
    "adagrad": Case("adagrad", slots(0.1, **ADAGRAD)),
    "adagrad, rate decay": Case("adagrad", slots(0.1, **ADAGRAD, lr_decay=(0.1, 0.0, 1.0))),
    "adagrad, sum": Case("adagrad", slots(0.1, **ADAGRAD, initial_accumulator_value=(0.1, 0.0, 1.0))),
    "adagrad, weight decay": Case("adagrad", slots(0.1, **ADAGRAD, **DECAY)),
    "rmsprop": Case("rmsprop", slots(0.03, **ALPHA)),
    "rmsprop, momentum": Case("rmsprop", slots(0.01, **ALPHA, **MOMENTUM)),
    "rmsprop, momentum at 0": Case("rmsprop", slots(0.01, **ALPHA, momentum=(0.0, 0.0, 0.0))),
    "rmsprop, centred": Case("rmsprop", slots(0.01, **ALPHA), {"centered": True}),
    "rmsprop, everything": Case("rmsprop", slots(0.01, **ALPHA, **MOMENTUM, **DECAY), {"centered": True}),
}


def plain(case: Case, parameters: Iterable[Any], values: Mapping[str, float]) -> torch.optim.Optimizer:
    """Return one slot's optimiser in torch, without weight decay (torch's AdamW has it) unless the case has it."""
    options: dict[str, Any] = {"weight_decay": 0.0} | dict(values) | case.structure
    if "beta1" in options:
        options["betas"] = (options.pop("beta1"), options.pop("beta2"))
    if "adagrad_eps" in options:
        options["eps"] = options.pop("adagrad_eps")
    if options.get("nesterov") and not options["momentum"]:
        # torch refuses Nesterov without momentum, which does nothing.
        options["nesterov"] = False
    return NAMESAKES[case.optimizer](parameters, **options)
