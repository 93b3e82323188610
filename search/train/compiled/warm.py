"""One step of a tiny network, for which numba loads or compiles the kernels that most programs use."""

from __future__ import annotations

import torch

from search.technique.layout import Layout
from search.train.compiled import optimisers
from search.train.compiled.network import CompiledNetwork
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
    network.begin()
    network.learn(x, y, total, network.no_gates)
    network.measure(network.predict(0, layout.layers, x), y[0], None, total, total.clone())
    values = {name: torch.full((slots,), value) for name, value in _VALUES.items()}
    adam = OPTIMISERS["adam"]({})
    step = optimisers.prepare(adam, optimisers.Flats(theta, gradient, adam.init(theta, values)), values)
    assert step is not None
    step(0, layout.size)


_VALUES = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
