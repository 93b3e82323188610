"""Tests of the waves against torch's cosine and its gradients."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from reference import Draws, sequential, train
from support.data import random_data
from support.packs import adam, agree, make_pack, needs_kernels, train_pack
from support.periodic import Waves
from support.residual import with_branches
from torch import Tensor, nn

from search.recipe.discovery import discover
from search.technique import Technique
from search.technique.layout import Layout
from search.train import waves
from search.train.engine import Engine
from search.train.values import bind, make_values

EMBEDDING = discover()["periodic_embedding"]


def added(dtype: torch.dtype, engine: Engine, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the first layer's inputs, frequencies and phases of two slots of three features with four waves."""
    slots = [{**adam(), "wave_sigma": sigma} for sigma in (0.5, 20.0)]
    pack = make_pack(random_data(40, 3, 2), slots, techniques=[EMBEDDING], dtype=dtype, waves=4)
    layout = pack.program.layout
    _, techniques = make_values(pack.program, pack.batches, pack.state, [0, 0])
    bind(layout, techniques, pack.state, torch.zeros_like(pack.state["theta"]))
    add = waves.of(layout, techniques, engine)
    assert add is not None
    (values,) = techniques
    frequency, phase = (values.parameters[-1, name] for name in ("frequency", "phase"))
    return add(x), frequency, phase


@pytest.mark.parametrize("engine", ["torch", pytest.param("compiled", marks=needs_kernels)])
@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-15), (torch.float32, 2e-7)])
def test_they_and_their_gradients_are_those_of_torch(dtype: torch.dtype, error: float, engine: Engine) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.zeros(2, 9, 16, dtype=dtype)
    x[..., :3] = torch.randn(2, 9, 3, generator=generator, dtype=dtype)
    x.requires_grad_()
    found, frequency, phase = added(dtype, engine, x)
    assert found.shape == (2, 9, 16)
    assert not found[..., 15:].any()
    slope = torch.randn(found.shape, generator=generator, dtype=dtype)
    of_x, of_frequency, of_phase = torch.autograd.grad((found * slope).sum(), (x, frequency, phase))

    exact_x, *exact = (one.detach().double().requires_grad_() for one in (x, frequency, phase))
    turns = exact_x[:, :, :3, None] * exact[0][:, None, :12].unflatten(-1, (3, 4))
    turns = turns + exact[1][:, None, :12].unflatten(-1, (3, 4))
    expected = torch.cat([exact_x[..., :3], torch.cos(2 * math.pi * turns).flatten(-2)], -1)
    wanted = torch.autograd.grad((expected * slope[..., :15]).sum(), (exact_x, *exact))
    for slot in (0, 1):
        # The more turns an angle has, the less is known of it beyond whole turns.
        tolerance = error * (1 + 2 * math.pi * turns[slot].abs().max().item())
        torch.testing.assert_close(found[slot, :, :15].double(), expected[slot], rtol=0, atol=tolerance)
        for one, other in zip((of_x, of_frequency, of_phase), wanted, strict=True):
            size = 10 * other[slot].abs().max().item()
            torch.testing.assert_close(one[slot].double(), other[slot], rtol=0, atol=tolerance * size)


def test_a_layout_places_the_vectors_of_waves_after_those_of_features() -> None:
    layout = Layout(
        (15, 7, 2), ((-1, "gate", "scale"), (-2, "periodic", "frequency"), (-2, "periodic", "phase")), waves=4
    )
    assert layout.features == 3
    shapes = {name: tuple(value.shape) for name, value in layout.unpack(torch.zeros(layout.size)).items()}
    assert shapes == {
        "0.scale": (3,),
        "1.frequency": (12,),
        "1.phase": (12,),
        "2.weight": (7, 15),
        "2.bias": (7,),
        "4.weight": (2, 7),
        "4.bias": (2,),
    }


def test_at_first_frequencies_are_normal_and_phases_uniform() -> None:
    slots = [{**adam(), "wave_sigma": 3.0}]
    pack = make_pack(random_data(40, 60, 2), slots, techniques=[EMBEDDING], waves=32)
    frequency, phase = waves.parameters(pack.program.layout, pack.state["theta"])
    assert frequency.shape == phase.shape == (1, 60 * 32)
    assert frequency.std().item() == pytest.approx(3.0, rel=0.05)
    assert abs(frequency.mean().item()) < 0.2
    assert 0 <= phase.min() < 0.01
    assert 0.99 < phase.max() < 1


def test_every_branch_of_the_first_layer_takes_the_waves() -> None:
    data = random_data(100, 13, 3)
    averaged = Technique(name="averaged", branches=lambda _number, _structure: 3, mix=lambda h, _number, _: h.mean(0))
    slots = [{**adam(), "wave_sigma": sigma} for sigma in (0.1, 2.0)]
    made = make_pack(
        data, slots, techniques=[EMBEDDING, averaged], dtype=torch.float64, waves=4, hidden="12x20", replicates=(0, 2)
    )
    trained = train_pack(made)
    widths = (65, 12, 20, 3)
    for place, slot in enumerate(made.slots):
        draws, values = Draws(0, slot.replicate, torch.float64), slots[slot.trial]

        def build(_model: nn.Sequential, draws: Draws = draws, sigma: float = values["wave_sigma"]) -> nn.Sequential:
            layers = sequential(widths, "leaky_relu", draws)
            mixed = with_branches(layers, draws, 3, lambda _number, each: torch.stack(each).mean(0))
            return nn.Sequential(Waves(13, 4, sigma, draws), *mixed)

        def optimiser(parameters: list[nn.Parameter], lr: float = values["lr"]) -> torch.optim.Optimizer:
            return torch.optim.Adam(parameters, lr=lr)

        given: dict[str, Any] = {"widths": widths, "epochs": 3, "batch_size": 32, "draws": draws}
        agree(trained, place, *train(data, build=build, optimiser=optimiser, replicate=slot.replicate, **given))
