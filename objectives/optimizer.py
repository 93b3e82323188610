"""Optimizer searches the optimiser together with its learning rate and its own hyperparameters.

The space is a union of branches: `momentum` exists with SGD and RMSprop, `beta1` and `beta2` exist with Adam and AdamW,
and so on. It does not include weight decay, which is the technique `weight_decay`. The equation of each optimiser is in
`search.train.optimisers`.

Hyperparameters searched: `optimizer`, `lr`, and the hyperparameters of each optimiser in this file.

Source: Choi et al., "On empirical comparisons of optimizers for deep learning" (2019), who show that the best optimiser
depends on the space searched; `torch.optim`.
"""

from __future__ import annotations

from search.technique import Technique

technique = Technique(
    name="optimizer",
    space={
        "optimizer": {"choices": ["sgd", "adagrad", "rmsprop", "adam", "adamw"]},
        "lr": {"low": 1e-4, "high": 1.0, "log": True},
        "momentum": {"low": 0.0, "high": 0.99},
        "nesterov": {"choices": [False, True]},
        "initial_accumulator_value": {"low": 1e-4, "high": 1.0, "log": True},
        "alpha": {"low": 0.9, "high": 0.999},
        "centered": {"choices": [False, True]},
        "beta1": {"low": 0.5, "high": 0.99},
        "beta2": {"low": 0.9, "high": 0.9999},
    },
)
