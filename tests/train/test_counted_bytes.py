"""The bytes of a slot bound those of packs, counted tensor by tensor. A GPU's counters are simulated on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from support.benches import some_benches
from support.contract import Bench
from support.data import random_data
from support.live_bytes import LiveBytes
from support.marks import slow
from support.packs import adam, make_pack

from search.recipe.discovery import discover
from search.technique import Value
from search.train import footprint
from search.train.batches import Batches
from search.train.pack import Pack, Slot
from search.train.program import Program

# Of these the bytes differ most from those of a plain network; the others are slow tests.
USUAL = ("adversarial", "augmentation", "batch_norm", "dropout", "snapshot", "weight_sharing")


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> LiveBytes:
    """The counters of a GPU that is simulated: what is alive, and the most since they were reset."""
    live = LiveBytes()
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _device: live.now)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _device: live.most)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _device: live.reset())
    monkeypatch.setattr(footprint, "HOST", "another device")
    return live


def taken(program: Program, batches: Batches, values: Mapping[str, float], slots: int) -> int:
    """Return the most bytes that are alive while so many slots train."""
    with LiveBytes() as live:
        pack = Pack(program, batches, [Slot(number, 0, values) for number in range(slots)])
        for _ in range(2):
            pack.run_epoch()
    return live.most


@pytest.mark.parametrize("bench", some_benches(USUAL))
def test_a_slot_takes_at_most_its_bytes_and_nearly_half_at_least(bench: Bench, live: LiveBytes) -> None:
    made = bench.pack()
    program, values = replace(made.program, engine="torch"), made.slots[0].values
    with live:
        said = footprint.slot_bytes(program, values, made.batches)
    each = (taken(program, made.batches, values, 12) - taken(program, made.batches, values, 6)) / 6
    assert each <= said <= 2.2 * each


@pytest.mark.parametrize(
    ("names", "values", "structure"),
    [
        ((), {}, {}),
        *slow(
            (("adversarial", "dropout"), {"adversarial": 0.1, "dropout": 0.3}, {}),
            (("ema", "batch_norm"), {"ema": 0.9, "bn_alpha": 0.1}, {"batch_norm": True}),
            (("cutmix",), {"cutmix": 0.5}, {}),
        ),
    ],
)
def test_the_same_for_the_shapes_of_cifar(
    names: tuple[str, ...], values: dict[str, float], structure: dict[str, Value], live: LiveBytes
) -> None:
    data = random_data(1200, 3072, 10)
    techniques = [discover()[name] for name in names]
    made = make_pack(data, [adam(**values)], techniques=techniques, hidden="256x256", batch_size=256, **structure)
    program, given = replace(made.program, engine="torch"), made.slots[0].values
    with live:
        said = footprint.slot_bytes(program, given, made.batches)
    each = (taken(program, made.batches, given, 4) - taken(program, made.batches, given, 2)) / 2
    assert each <= said <= 2 * each
