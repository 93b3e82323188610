"""Packs for tests: short to write, with neighbours that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
}


def make_pack(
    data: Data,
    slots: Sequence[Mapping[str, float]],
    *,
    techniques: Sequence[Technique] = (),
    replicates: Sequence[int] = (0,),
    dtype: torch.dtype = torch.float32,
    loss: str = "cross_entropy",
    seed: int = 0,
    **structure: Value,
) -> Pack:
    """A pack of one slot per (values, replicate); trials are numbered in the order given."""
    batches = Batches(data, dtype=dtype)
    program = Program.build(STRUCTURE | structure, tuple(slots[0]), techniques, batches, loss=loss, seed=seed)
    return Pack(program, batches, [Slot(t, r, values) for r in replicates for t, values in enumerate(slots)])


def adam(lr: float = 1e-3, **values: float) -> dict[str, float]:
    return {"lr": lr, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8} | values
