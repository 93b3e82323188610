"""Build and train packs for tests, and compare them with plain torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from search.data import Data
from search.technique import Hyperparameter, Structural, Technique, Value
from search.train.batches import Batches
from search.train.compiled import toolchain
from search.train.engine import Engine
from search.train.pack import Pack, Slot
from search.train.program import Program
from support.data import random_data

STRUCTURE: Mapping[str, Value] = {
    "hidden": "12",
    "activation": "leaky_relu",
    "batch_size": 32,
    "epochs": 3,
    "optimizer": "adam",
    "nesterov": False,
    "centered": False,
}
TOLERANCE = 1e-9
needs_kernels = pytest.mark.skipif(toolchain.unavailable() is not None, reason=str(toolchain.unavailable()))


@dataclass(frozen=True)
class Fixed:
    """A study in which every hyperparameter has one value, as techniques see it."""

    data: Data
    values: Mapping[str, Value]
    techniques: Sequence[str]
    loss: str

    def possible(self, name: str) -> list[Value]:
        return [self.values[name]]

    @property
    def hyperparameters(self) -> Mapping[str, Hyperparameter]:
        return {}

    @property
    def train_rows(self) -> Sequence[int]:
        return [len(self.data.x_train)]


def make_pack(
    data: Data,
    slots: Sequence[Mapping[str, float]],
    *,
    techniques: Sequence[Technique] = (),
    replicates: Sequence[int] = (0,),
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    loss: str = "cross_entropy",
    seed: int = 0,
    **structure: Value,
) -> Pack:
    """Build a pack with one slot for each pair of values and replicate; trials are numbered in the order given.

    Structural hyperparameters that are not given are at their defaults.
    """
    values = {**STRUCTURE, **_defaults(techniques), **structure}
    for technique in techniques:
        if technique.prepare is not None:
            data = technique.prepare(data, Fixed(data, values, [one.name for one in techniques], loss))
    batches = Batches(data, device, dtype)
    program = Program.build(values, tuple(slots[0]), techniques, batches, loss=loss, seed=seed)
    return Pack(program, batches, [Slot(t, r, values) for r in replicates for t, values in enumerate(slots)])


def _defaults(techniques: Sequence[Technique]) -> dict[str, Value]:
    own = [(name, one) for technique in techniques for name, one in technique.hyperparameters.items()]
    return {name: one.default for name, one in own if isinstance(one, Structural)}


def with_engine(pack: Pack, engine: Engine) -> Pack:
    """Return a new pack of the same slots that another engine trains."""
    return Pack(replace(pack.program, engine=engine), pack.batches, pack.slots)


@dataclass(frozen=True)
class TrainedPack:
    """A pack after some epochs.

    Attributes:
        pack: the pack itself.
        curves: the metrics of each epoch by name, each ``(slots,)``.
        stopped: the indices of the slots that had stopped by the end of each epoch.
    """

    pack: Pack
    curves: list[dict[str, Tensor]]
    stopped: list[list[int]]

    @property
    def slots(self) -> Sequence[Slot]:
        return self.pack.slots

    def weights(self, index: int) -> dict[str, Tensor]:
        return self.pack.weights(index)


def train_pack(pack: Pack, epochs: int = 3) -> TrainedPack:
    """Train a pack, and keep what it measures."""
    curves, stopped = [], []
    for _ in range(epochs):
        curves.append(pack.run_epoch())
        stopped.append([pack.slots.index(slot) for slot in pack.stopped])
    return TrainedPack(pack, curves, stopped)


def warm_up() -> None:
    """Train a pack in float64, for which numba loads or compiles kernels."""
    train_pack(make_pack(random_data(100, 13, 3), [adam()], dtype=torch.float64), 1)


def adam(lr: float = 1e-3, **values: float) -> dict[str, float]:
    """Return the numeric hyperparameters of Adam at torch's defaults, with these changed or added."""
    return {"lr": lr, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8} | values


def agree_on_curves(pack: TrainedPack, slot: int, curves: Sequence[Mapping[str, float]]) -> None:
    """Assert that a slot's metrics are the expected ones, to 1e-9 relative, for as many epochs as are expected."""
    for epoch, (measured, expected) in enumerate(zip(pack.curves[: len(curves)], curves, strict=True)):
        assert set(measured) == set(expected)
        for name, value in expected.items():
            assert measured[name][slot].item() == pytest.approx(value, rel=TOLERANCE, abs=1e-12), (epoch, name)


def agree(pack: TrainedPack, slot: int, model: torch.nn.Sequential, curves: Sequence[Mapping[str, float]]) -> None:
    """Assert that a slot has the model's weights and the expected metrics of every epoch, to 1e-9 relative."""
    assert len(curves) == len(pack.curves)
    agree_on_curves(pack, slot, curves)
    ours = sorted(pack.weights(slot).items(), key=_place)
    theirs = sorted(model.named_parameters(), key=_place)
    for (name, weight), (_, expected_weight) in zip(ours, theirs, strict=True):
        error = (weight - expected_weight).norm() / max(expected_weight.norm().item(), 1e-12)
        assert error <= TOLERANCE, (name, error)


def _place(named: tuple[str, Tensor]) -> tuple[int, str]:
    """Return a key that sorts parameters by layer; only torch's numbers count modules without parameters."""
    number, _, name = named[0].partition(".")
    return int(number), name


def packed(data: Data, slots: Sequence[Mapping[str, float]], **options: Any) -> TrainedPack:
    """Train a pack in float64 for three epochs; `options` are those of `make_pack`."""
    return train_pack(make_pack(data, slots, dtype=torch.float64, **options))


def close(found: Tensor, expected: Tensor, relative: float = 1e-12) -> bool:
    """Return whether two tensors are the same, relative to the size of each slot's numbers."""
    error = (found - expected).reshape(len(found), -1).norm(dim=1)
    return bool((error <= relative * expected.reshape(len(found), -1).norm(dim=1)).all())
