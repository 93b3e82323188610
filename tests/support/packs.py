"""Packs for tests: short to write, with neighbours that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from search.data import Data
from search.technique import Technique, Value
from search.train.batches import Batches
from search.train.pack import Pack, Slot
from search.train.program import Program

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


@dataclass(frozen=True)
class Fixed:
    """The setting of a study in which every hyperparameter has one value."""

    data: Data
    values: Mapping[str, Value]
    techniques: Sequence[str]

    def possible(self, name: str) -> list[Value]:
        return [self.values[name]]


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
    """A pack of one slot per (values, replicate); trials are numbered in the order given."""
    for technique in techniques:
        if technique.prepare is not None:
            data = technique.prepare(data, Fixed(data, STRUCTURE | structure, [one.name for one in techniques]))
    batches = Batches(data, device, dtype)
    program = Program.build(STRUCTURE | structure, tuple(slots[0]), techniques, batches, loss=loss, seed=seed)
    return Pack(program, batches, [Slot(t, r, values) for r in replicates for t, values in enumerate(slots)])


def adam(lr: float = 1e-3, **values: float) -> dict[str, float]:
    return {"lr": lr, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8} | values


def agree_on_curves(pack: Any, slot: int, curves: list[Any]) -> None:
    """Every metric of these epochs, to 1e-9 relative."""
    for epoch, (measured, expected) in enumerate(zip(pack.curves, curves, strict=False)):
        assert set(measured) == set(expected)
        for name, value in expected.items():
            assert measured[name][slot].item() == pytest.approx(value, rel=TOLERANCE, abs=1e-12), (epoch, name)


def agree(pack: Any, slot: int, model: torch.nn.Sequential, curves: list[Any]) -> None:
    """Every weight and every metric of every epoch, to 1e-9 relative."""
    assert len(curves) == len(pack.curves)
    agree_on_curves(pack, slot, curves)
    ours = sorted(pack.weights(slot).items(), key=_place)
    theirs = sorted(model.named_parameters(), key=_place)
    for (name, weight), (_, expected_weight) in zip(ours, theirs, strict=True):
        error = (weight - expected_weight).norm() / max(expected_weight.norm().item(), 1e-12)
        assert error <= TOLERANCE, (name, error)


def _place(named: tuple[str, Any]) -> tuple[int, str]:
    """By position in the network: modules without parameters count in torch's numbers, not in the pack's."""
    number, _, name = named[0].partition(".")
    return int(number), name


def packed(data: Data, slots: list[dict[str, float]], **options: Any) -> Any:
    pack = make_pack(data, slots, dtype=torch.float64, **options)
    pack.curves = [pack.run_epoch() for _ in range(3)]  # type: ignore[attr-defined]
    return pack
