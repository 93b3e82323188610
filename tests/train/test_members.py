"""Networks that share weights: their weights, and the gradients of what they share, against autograd."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.packs import needs_kernels
from torch import Tensor

from search.technique.layout import Layout
from search.train.batches import Targets
from search.train.member_buffers import Buffers
from search.train.members import TorchWeights, member_weights, repeated

LAYOUT = Layout((5, 20, 3), ((0, "batch_norm", "weight"),), members=4)
PLAIN = replace(LAYOUT, vectors=(), members=1)


def padded_random(layout: Layout, slots: int) -> Tensor:
    """Return random numbers ``slots x size`` with zeros where widths are padded."""
    buffer = torch.zeros(slots, layout.size, dtype=torch.float64)
    for field in layout.fields:
        own = layout.view(buffer, field)[field.inner]
        own.copy_(torch.randn(own.shape, generator=torch.Generator().manual_seed(field.offset), dtype=torch.float64))
    return buffer


@pytest.mark.parametrize("engine", ["torch", pytest.param("compiled", marks=needs_kernels)])
def test_gradients_are_those_of_autograd(engine: str) -> None:
    slots = 3
    theta = padded_random(LAYOUT, slots).requires_grad_()
    slopes = padded_random(PLAIN, slots * LAYOUT.members)
    total = torch.zeros((), dtype=torch.float64)
    expected = []
    for layer in range(LAYOUT.layers):
        weights, biases = member_weights(LAYOUT, theta, layer)
        fields = PLAIN.weight(layer), PLAIN.bias(layer)
        of_weights, of_biases = (PLAIN.view(slopes, field) for field in fields)
        total = total + (weights.flatten(0, 1) * of_weights).sum() + (biases.flatten(0, 1) * of_biases).sum()
        expected.append((weights, biases))
    total.backward()

    gradient = torch.full((slots, LAYOUT.size), torch.nan, dtype=torch.float64)
    networks = torch.zeros_like(slopes)
    buffers = Buffers(LAYOUT, PLAIN, theta.detach(), gradient, networks, slopes)
    if engine == "torch":
        each = TorchWeights(buffers)
        each.spread()
        each.fold()
    else:
        from search.train.compiled.members import CompiledWeights

        compiled = CompiledWeights(buffers)
        compiled.spread()
        compiled.fold()
    for layer, (weights, biases) in enumerate(expected):
        torch.testing.assert_close(PLAIN.view(networks, PLAIN.weight(layer)), weights.detach().flatten(0, 1))
        torch.testing.assert_close(PLAIN.view(networks, PLAIN.bias(layer)), biases.detach().flatten(0, 1))
    assert theta.grad is not None
    for field in LAYOUT.fields:
        if "batch_norm" not in field.name:
            torch.testing.assert_close(LAYOUT.view(gradient, field), LAYOUT.view(theta.grad, field))


def test_targets_are_those_of_each_network() -> None:
    y = Targets(torch.arange(12.0).view(2, 3, 2), torch.arange(6.0).view(2, 3))
    groups = [0, 0, 1]
    values, weights = repeated(y, 2, lambda grouped: grouped[groups])
    assert weights is not None
    assert values.shape == (3, 6, 2)
    for slot, group in enumerate(groups):
        for member in (0, 1):
            rows = slice(3 * member, 3 * member + 3)
            assert torch.equal(values[slot, rows], y.values[group])
            assert torch.equal(weights[slot, rows], y.weights[group])  # type: ignore[index]


def test_the_number_of_networks_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="must be >= 1, got 0"):
        Layout((5, 3), members=0)
