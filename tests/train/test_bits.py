"""On the CPU a slot has the same weights and curves, to the bit, alone and packed (contract C3, docs/design.md)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support.packs import TrainedPack, adam, make_pack, train_pack

from search.data import Data
from search.recipe.discovery import discover
from search.technique import Numeric, Structural
from search.train.optimisers import OPTIMISERS
from search.train.pack import Pack, Slot

MakeData = Callable[..., Data]
BATCH = 128


def trained(data: Data, slots: list[dict[str, float]], epochs: int = 2, **structure: object) -> TrainedPack:
    pack = make_pack(data, slots, batch_size=BATCH, techniques=[discover()["l2"]], **structure)  # type: ignore[arg-type]
    return train_pack(pack, epochs)


def same(one: TrainedPack, i: int, other: TrainedPack, j: int) -> bool:
    curves = zip(one.curves, other.curves, strict=True)
    return all(torch.equal(a[name][i], b[name][j]) for a, b in curves for name in a) and all(
        torch.equal(a, b) for a, b in zip(one.weights(i).values(), other.weights(j).values(), strict=True)
    )


def values(count: int) -> list[dict[str, float]]:
    return [adam(1e-3 * (1 + slot), l2=1e-5 * slot) for slot in range(count)]


@pytest.mark.parametrize("hidden", ["12", "128"])
@pytest.mark.parametrize("inputs", [1, 13, 64, 784])
@pytest.mark.parametrize("last", [1, 5, 105, 113])
def test_every_slot_of_every_width_equals_it_alone(make_data: MakeData, inputs: int, hidden: str, last: int) -> None:
    data = make_data(BATCH + last, inputs, 10)
    slots = values(33)
    wide = trained(data, slots, hidden=hidden)
    many = inputs == 784  # this takes long, so only some of the slots and one other width are tried
    for slot in range(0, 33, 4 if many else 1):
        assert same(wide, slot, trained(data, [slots[slot]], hidden=hidden), 0), (
            f"slot {slot} of 33 differs from it alone"
        )
    for width in (7,) if many else (2, 7):
        for start in range(0, 33, width):
            some = trained(data, slots[start : start + width], hidden=hidden)
            for index in range(len(some.slots)):
                assert same(wide, start + index, some, index), f"slot {index} of {width} differs"


def spread(optimizer: str, slot: int) -> dict[str, float]:
    """Return each hyperparameter of an optimiser: its default in every seventh slot, in between values of its range."""
    numeric = {n: d for n, d in OPTIMISERS[optimizer].hyperparameters.items() if isinstance(d, Numeric)}
    values = {"lr": (0.1 if optimizer == "sgd" else 3e-3) / (slot + 1), "l2": 1e-4}
    for name, d in numeric.items():
        assert d.low is not None
        assert d.high is not None
        assert d.fixed is not None
        values[name] = d.low + (d.high - d.low) * (slot % 7) / 7 if slot % 7 else float(d.fixed)
    return values


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("optimizer", OPTIMISERS)
@pytest.mark.parametrize(("activation", "flag"), [("relu", False), ("tanh", True), ("gelu", False)])
def test_threads_optimisers_and_activations(
    make_data: MakeData, threads: int, optimizer: str, activation: str, flag: bool
) -> None:
    data = make_data(BATCH + 5, 13, 3)
    base = [spread(optimizer, slot) for slot in range(7)]
    structure = {"optimizer": optimizer, "activation": activation, "hidden": "12x20"}
    structure |= {n: flag for n, d in OPTIMISERS[optimizer].hyperparameters.items() if isinstance(d, Structural)}
    wide = trained(data, base, **structure)
    assert all(weight.isfinite().all() for slot in range(7) for weight in wide.weights(slot).values())
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for slot in range(7):
            assert same(wide, slot, trained(data, [base[slot]], **structure), 0)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("flag", [False, True])
@pytest.mark.parametrize("optimizer", OPTIMISERS)
def test_an_optimiser_rounds_the_same_at_any_place(optimizer: str, flag: bool) -> None:
    """At an odd size, a number may take the vectorised path in a pack and the scalar path alone."""
    made, slots, size = OPTIMISERS[optimizer], [spread(optimizer, slot) for slot in range(33)], 1003
    values = {name: torch.tensor([slot[name] for slot in slots]) for name in slots[0]}
    optimiser = made({n: flag for n, d in made.hyperparameters.items() if isinstance(d, Structural)})
    generator = torch.Generator().manual_seed(0)
    start, *gradients = (torch.randn(33, size, generator=generator) for _ in range(6))

    def stepped(rows: slice) -> torch.Tensor:
        theta, own = start[rows].clone(), {name: value[rows] for name, value in values.items()}
        state = optimiser.init(theta, own)
        for gradient in gradients:
            optimiser.update(theta, gradient[rows].clone(), state, own)
        return theta

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        wide = stepped(slice(0, 33))
        assert wide.isfinite().all()
        for slot in range(33):
            assert torch.equal(wide[slot], stepped(slice(slot, slot + 1))[0])
    finally:
        torch.set_num_threads(before)


def test_replicates_share_a_pack_without_touching_each_other(make_data: MakeData) -> None:
    data = make_data(BATCH + 105, 13, 10)
    slots = values(3)
    both = trained(data, slots, replicates=(0, 1, 5))
    for index, slot in enumerate(both.slots):
        alone = trained(data, [slots[slot.trial]], replicates=(slot.replicate,))
        assert same(both, index, alone, 0)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_compaction_and_merging_change_no_bit(make_data: MakeData, task: str) -> None:
    data = make_data(BATCH + 5, 64, 2, task=task)
    slots = values(7)
    # With five rows, 64 inputs and 128 units, torch computes the product of a single slot by another kernel.
    shape = {"loss": "cross_entropy" if task == "classification" else "huber", "hidden": "128"}
    whole = trained(data, slots, epochs=4, replicates=(0, 1), **shape)
    left = trained(data, slots[:4], replicates=(0, 1), **shape).pack
    others = [Slot(trial, replicate, values) for replicate in (0, 1) for trial, values in enumerate(slots[4:])]
    right = Pack(left.program, left.batches, others)
    for _ in range(2):
        right.run_epoch()
    keep = [(0, left.slots.index(s)) for s in left.slots if s.trial in (1, 3) and s.replicate == 0]
    keep += [(1, right.slots.index(s)) for s in right.slots if s.trial == 2 and s.replicate == 1]
    rest = Pack.gather([left, right], keep)
    later = [rest.run_epoch() for _ in range(2)]
    assert [slot.replicate for slot in rest.slots] == [0, 0, 1]
    for index, slot in enumerate(rest.slots):
        trial = slot.trial + 4 if slot.trial == 2 else slot.trial
        at = next(i for i, s in enumerate(whole.slots) if (s.trial, s.replicate) == (trial, slot.replicate))
        for epoch, measured in enumerate(later):
            for name, value in measured.items():
                assert torch.equal(value[index], whole.curves[2 + epoch][name][at])
        for name, weight in rest.weights(index).items():
            assert torch.equal(weight, whole.weights(at)[name])


def test_a_slot_that_diverges_leaves_its_neighbours_alone(make_data: MakeData) -> None:
    data = make_data(BATCH + 5, 13, 3)
    good = values(3)
    wild = adam(1e30)
    calm = trained(data, [*good, *good[:1]], epochs=3)
    mixed = trained(data, [*good, wild | {"l2": 1e30}], epochs=3)
    assert not torch.isfinite(mixed.curves[-1]["val_loss"][3])
    assert all(same(calm, slot, mixed, slot) for slot in range(3))
