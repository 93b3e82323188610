"""Packed trials agree with plain torch.nn and torch.optim (contract C4, docs/design.md)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from reference import train
from support.packs import adam, agree, packed

from search.data import Data
from search.recipe.discovery import discover
from search.technique import Numeric, Technique

pytestmark = pytest.mark.torch_engine
MakeData = Callable[..., Data]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_l2(make_data: MakeData, optimizer: str) -> None:
    data = make_data(100, 13, 3)
    rest = adam(1e-2) if optimizer == "adam" else {"lr": 0.1}
    slots = [rest | {"l2": strength} for strength in (0.0, 1e-3, 0.1)]
    pack = packed(data, slots, optimizer=optimizer, techniques=[discover()["l2"]])
    make = torch.optim.Adam if optimizer == "adam" else torch.optim.SGD
    for slot, values in enumerate(slots):
        model, curves = train(
            data,
            widths=(13, 12, 3),
            epochs=3,
            batch_size=32,
            optimiser=lambda p: make(p, lr=rest["lr"]),
            penalty=lambda weights, strength=values["l2"]: strength * sum(w.square().sum() for w in weights),
        )
        agree(pack, slot, model, curves)


@pytest.mark.parametrize("loss", ["mse", "l1", "huber"])
def test_regression_losses(make_data: MakeData, loss: str) -> None:
    data = make_data(70, 5, 2, task="regression")
    pack = packed(data, [adam(1e-2), adam(3e-3)], loss=loss, activation="gelu")
    model, curves = train(
        data,
        widths=(5, 12, 2),
        epochs=3,
        batch_size=32,
        loss=loss,
        activation="gelu",
        optimiser=lambda p: torch.optim.Adam(p, lr=3e-3),
    )
    agree(pack, 1, model, curves)


@pytest.mark.parametrize("hidden", ["", "7", "130x3x40"])
def test_depths_and_widths(make_data: MakeData, hidden: str) -> None:
    data = make_data(50, 17, 11)
    pack = packed(
        data, [{"lr": 0.1}, {"lr": 0.01}], optimizer="sgd", hidden=hidden, activation="relu", replicates=(0, 3)
    )
    widths = (17, *(int(w) for w in hidden.split("x") if w), 11)
    for index, slot in enumerate(pack.slots):
        model, curves = train(
            data,
            widths=widths,
            epochs=3,
            batch_size=32,
            activation="relu",
            replicate=slot.replicate,
            optimiser=lambda p, lr=slot.values["lr"]: torch.optim.SGD(p, lr=lr),
        )
        agree(pack, index, model, curves)


def test_hooks_of_a_technique_from_outside(make_data: MakeData) -> None:
    """Two strengths, each with its own gradient clipping, weight clamp and decaying learning rate."""
    outside = Technique(
        name="clip",
        hyperparameters={"clip": Numeric(low=0.1, high=1.0), "decay": Numeric(low=0.0, high=0.1)},
        gradient=lambda g, _w, v: g.mul_(v["clip"][:, None] / g.norm(dim=1, keepdim=True)),
        project=lambda w, v: w.clamp_(-v["clip"][:, None], v["clip"][:, None]),
        rate=lambda step, _steps, v: 1 / (1 + v["decay"] * step),
    )
    data = make_data(100, 13, 3)
    slots = [{"lr": 0.2, "clip": 0.3, "decay": 0.1}, {"lr": 0.1, "clip": 0.15, "decay": 0.02}]
    pack = packed(data, slots, optimizer="sgd", techniques=[outside])

    def scale(model: torch.nn.Sequential, clip: float) -> None:
        norm = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).norm()
        for p in model.parameters():
            assert p.grad is not None
            p.grad *= clip / norm

    for slot, v in enumerate(slots):
        model, curves = train(
            data,
            widths=(13, 12, 3),
            epochs=3,
            batch_size=32,
            optimiser=lambda p, lr=v["lr"]: torch.optim.SGD(p, lr=lr),
            after_backward=lambda m, c=v["clip"]: scale(m, c),
            after_step=lambda m, c=v["clip"]: [p.clamp_(-c, c) for p in m.parameters()] and None,
            rate=lambda step, d=v["decay"]: 1 / (1 + d * step),
        )
        agree(pack, slot, model, curves)
