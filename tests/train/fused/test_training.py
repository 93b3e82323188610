"""Packs whose optimiser has kernels for a GPU train as those whose optimiser is in torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from support.benches import BENCHES
from support.contract import Bench
from support.data import random_data
from support.packs import TrainedPack, adam, close, make_pack, train_pack, with_engine
from torch import Tensor

from search.recipe.discovery import discover
from search.train.fused import toolchain
from search.train.fused.projections import NormsInPlace
from search.train.pack import Pack
from search.train.torch_products import TorchProducts

# What is special about each: penalties of stated form, alone, together and with other hooks that need the gradient;
# hyperparameters that change; a rate for each weight; weights that others change; weights that networks share.
SOME = ("l1", "max_norm", "momentum", "weight_decay", "fine_tune", "grad_clip", "sam", "weight_sharing")


def cases() -> list[Any]:
    """Return all benches, marked as slow but for the first one of each technique in `SOME`."""
    fast, found = list(SOME), []
    for bench in BENCHES:
        technique = str(bench.id).partition(":")[0]
        if technique in fast:
            fast.remove(technique)
            found.append(bench)
        else:
            found.append(pytest.param(*bench.values, id=bench.id, marks=pytest.mark.slow))
    assert not fast
    return found


def trained(pack: Pack, monkeypatch: pytest.MonkeyPatch, epochs: int, *, fused: bool) -> TrainedPack:
    """Train a pack in torch, with kernels or without, and assert that they are called where there are any."""
    from search.train.fused.optimisers import FusedOptimiser

    steps, step, projected, project = [], FusedOptimiser.step, [], NormsInPlace.__call__
    with monkeypatch.context() as patch:
        patch.setattr(FusedOptimiser, "step", lambda self, lr: (steps.append(lr), step(self, lr)))
        patch.setattr(NormsInPlace, "__call__", lambda self, theta: (projected.append(theta), project(self, theta)))
        if not fused:
            patch.setattr(toolchain, "unavailable", lambda _device: "this test does without")
        result = train_pack(with_engine(pack, "torch"), epochs)
    assert (len(steps) >= epochs) == (fused and pack.program.structure["optimizer"] in ("adam", "adamw"))
    assert bool(projected) == (fused and any(one.name == "max_norm" for one in pack.program.techniques))
    return result


def agree(one: TrainedPack, other: TrainedPack, limit: float) -> None:
    for epoch, (a, b) in enumerate(zip(one.curves, other.curves, strict=True)):
        assert a.keys() == b.keys()
        for name in a:
            assert torch.allclose(a[name], b[name], rtol=limit, atol=1e-12, equal_nan=True), (epoch, name)
    assert close(one.pack.state["theta"], other.pack.state["theta"], limit)
    assert one.stopped == other.stopped


@pytest.mark.filterwarnings("ignore:(divide by zero|invalid value):RuntimeWarning")
@pytest.mark.parametrize("one", cases())
def test_every_technique_trains_the_same(one: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64, because in float32 a last bit may put a unit on the other side of the kink of its activation."""
    pack = one.pack(dtype=torch.float64, batch_size=64, replicates=(0, 3))
    with_kernels, without = (trained(pack, monkeypatch, 2, fused=fused) for fused in (True, False))
    agree(with_kernels, without, 1e-9)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_float32_trains_the_same_too(optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an activation that has no kink."""
    slots = [adam(1e-3 * (1 + slot), l1=1e-4 * slot, l2=1e-3, weight_decay=1e-2 * slot) for slot in range(3)]
    techniques = [discover()[name] for name in ("l1", "l2")]
    pack = make_pack(
        random_data(100, 13, 3), slots, techniques=techniques, optimizer=optimizer, activation="tanh", batch_size=64
    )
    with_kernels, without = (trained(pack, monkeypatch, 3, fused=fused) for fused in (True, False))
    agree(with_kernels, without, 1e-6)


NUMBERS = {"l2": {"l2": 1e-2}, "max_norm": {"max_norm": 1.0}, "ema": {"ema": 0.9}, "sam": {"sam": 0.05}}


def in_bfloat16(techniques: Sequence[str]) -> Pack:
    values = {name: value for technique in techniques for name, value in NUMBERS[technique].items()}
    pack = make_pack(
        random_data(100, 13, 3),
        [adam(1e-2, **values), adam(1e-3, **values)],
        techniques=[discover()[name] for name in techniques],
        batch_size=64,
    )
    return Pack(replace(pack.program, precision="bf16", engine="torch"), pack.batches, pack.slots)


@pytest.mark.parametrize(("technique", "alone"), [("l2", True), ("max_norm", False), ("ema", False), ("sam", False)])
def test_in_bfloat16_steps_write_the_copy_of_the_weights_if_nothing_else_changes_them(
    technique: str, alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interpreter cuts bits off where a GPU rounds, so the curves agree roughly."""
    copies, follow = [], TorchProducts.follow

    def followed(self: TorchProducts) -> Tensor | None:
        copies.append(follow(self))
        return copies[-1]

    monkeypatch.setattr(TorchProducts, "follow", followed)
    pack = in_bfloat16([technique])
    with_kernels, without = (trained(pack, monkeypatch, 3, fused=fused) for fused in (True, False))
    assert len(copies) == alone
    for a, b in zip(with_kernels.curves, without.curves, strict=True):
        assert torch.allclose(a["val_loss"], b["val_loss"], rtol=0.02)
    theta = with_kernels.pack.state["theta"]
    for low in copies:
        assert ((low - theta).abs() <= 2**-7 * theta.abs()).all()
