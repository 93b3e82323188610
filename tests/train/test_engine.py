"""Both engines of the CPU train the same, and that of torch has the same bits for a slot alone and packed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support.benches import BENCHES
from support.contract import Bench
from support.optimisers import CASES
from support.packs import TrainedPack, adam, close, make_pack, needs_kernels, train_pack, with_engine

from search.data import Data
from search.recipe.discovery import discover
from search.train.engine import choose_engine, describe_engine

MakeData = Callable[..., Data]
BATCH = 48


def agree(one: TrainedPack, other: TrainedPack) -> None:
    for epoch, (a, b) in enumerate(zip(one.curves, other.curves, strict=True)):
        assert a.keys() == b.keys()
        for name in a:
            assert torch.allclose(a[name], b[name], rtol=1e-9, atol=1e-12, equal_nan=True), (epoch, name)
    assert close(one.pack.state["theta"], other.pack.state["theta"], 1e-9)
    assert one.stopped == other.stopped


@needs_kernels
@pytest.mark.parametrize("one", BENCHES)
def test_the_engines_agree_on_every_technique(one: Bench) -> None:
    pack = one.pack(dtype=torch.float64, replicates=(0, 3))
    assert pack.program.engine == "compiled"
    agree(train_pack(pack), train_pack(with_engine(pack, "torch")))


@needs_kernels
@pytest.mark.parametrize("case", CASES)
def test_the_engines_agree_on_every_optimiser(make_data: MakeData, case: str) -> None:
    c = CASES[case]
    pack = make_pack(make_data(100, 13, 3), c.slots, optimizer=c.optimizer, dtype=torch.float64, **c.structure)
    agree(train_pack(pack), train_pack(with_engine(pack, "torch")))


def trained_by_torch(data: Data, slots: list[dict[str, float]], epochs: int = 2, **options: object) -> TrainedPack:
    pack = make_pack(data, slots, batch_size=BATCH, **options)  # type: ignore[arg-type]
    return train_pack(with_engine(pack, "torch"), epochs)


def assert_same(one: TrainedPack, i: int, other: TrainedPack, j: int) -> None:
    for a, b in zip(one.curves, other.curves, strict=True):
        for name in a:
            assert torch.equal(a[name][i], b[name][j]), name
    for a, b in zip(one.weights(i).values(), other.weights(j).values(), strict=True):
        assert torch.equal(a, b)


# The rows of the last minibatch, the inputs and the hidden layers: each value of one with each of another.
SHAPES = [
    (last, inputs, ("", "12", "128x20")[(i + j) % 3])
    for i, last in enumerate((1, 5, 33))
    for j, inputs in enumerate((1, 13, 64))
]


@pytest.mark.parametrize(("last", "inputs", "hidden"), SHAPES)
def test_torch_has_the_same_bits_for_any_neighbours(make_data: MakeData, inputs: int, hidden: str, last: int) -> None:
    data = make_data(BATCH + last, inputs, 10)
    slots = [adam(1e-3 * (1 + slot), l2=1e-5 * slot) for slot in range(9)]
    options = {"hidden": hidden, "techniques": [discover()["l2"]]}
    wide = trained_by_torch(data, slots, **options)
    for slot in range(9):
        assert_same(wide, slot, trained_by_torch(data, [slots[slot]], **options), 0)
    some = trained_by_torch(data, slots[4:7], **options)
    for index in range(3):
        assert_same(wide, 4 + index, some, index)


@pytest.mark.parametrize("one", BENCHES)
def test_torch_has_the_same_bits_with_every_technique(one: Bench) -> None:
    """Alone, and in another place among other neighbours and a second replicate."""
    slots = one.slots
    whole = train_pack(with_engine(one.pack(), "torch"), 2)
    crowd = train_pack(with_engine(one.pack([*slots[1:], *slots], replicates=(0, 3)), "torch"), 2)
    for slot in range(len(slots)):
        alone = train_pack(with_engine(one.pack([slots[slot]]), "torch"), 2)
        assert_same(whole, slot, alone, 0)
        assert_same(whole, slot, crowd, len(slots) - 1 + slot)


@pytest.mark.torch_engine
@pytest.mark.parametrize("case", CASES)
def test_torch_has_the_same_bits_with_every_optimiser(make_data: MakeData, case: str) -> None:
    c = CASES[case]
    data, options = make_data(BATCH + 5, 13, 3), {"optimizer": c.optimizer, "activation": "gelu", **c.structure}
    whole = trained_by_torch(data, c.slots, **options)
    for slot in range(len(c.slots)):
        assert_same(whole, slot, trained_by_torch(data, [c.slots[slot]], **options), 0)


@pytest.mark.torch_engine
def test_the_engine_follows_from_device_and_precision() -> None:
    cpu = torch.device("cpu")
    assert choose_engine(torch.device("cuda"), "fp32") == "torch"
    assert choose_engine(torch.device("cuda"), "tf32") == "torch"
    assert choose_engine(cpu, "bf16") == "torch"
    assert describe_engine(cpu, "bf16") == "torch"


@needs_kernels
def test_the_engine_is_recorded_with_the_versions_on_which_its_bits_depend() -> None:
    import llvmlite
    import numba

    described = f"compiled (numba {numba.__version__}, llvmlite {llvmlite.__version__})"
    assert describe_engine(torch.device("cpu"), "fp32") == described
