"""One step of a tiny network, for which numba loads or compiles the kernels that most programs use."""

from __future__ import annotations

import numpy as np
import torch

from search.technique.layout import Layout
from search.train.batches import Targets
from search.train.compiled import draws
from search.train.compiled.network import CompiledNetwork
from search.train.compiled.optimisers import CompiledOptimiser
from search.train.losses import cross_entropy
from search.train.optimisers import OPTIMISERS


def call_each_kernel() -> None:
    """Train a network of one slot for a step, and measure it."""
    layout, slots = Layout((16, 16, 16)), 1
    theta = torch.zeros(slots, layout.size)
    gradient = torch.zeros_like(theta)
    network = CompiledNetwork(layout, "leaky_relu", cross_entropy, 16, theta, gradient, [slice(0, slots)])
    x, y = torch.zeros(1, 2, 16), torch.eye(2, 16)[None]
    total = torch.zeros(slots, dtype=torch.float64)
    penalties, values = total.clone(), {name: torch.full((slots,), value) for name, value in _VALUES.items()}
    adam = OPTIMISERS["adam"]({})
    optimiser = CompiledOptimiser(adam, theta, gradient, adam.init(theta, values), values)
    network.train(
        x,
        Targets(y),
        total,
        network.no_gates(),
        batch=2,
        strengths=np.zeros((2, 0), np.float32),
        penalties=penalties,
        rates=np.zeros((1, slots), np.float32),
        update=optimiser.begin(),
    )
    optimiser.step(values["lr"])
    network.begin()
    network.measure(network.predict(0, layout.layers, x), Targets(y[0]), None, total, total.clone())
    network.sizes(0.0)
    draws.bits(np.uint64(0), np.empty(2, np.int64))


_VALUES = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
