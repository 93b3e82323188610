"""Every technique trains on a GPU as far as devices and types go, on a machine that has none (`support.fake_cuda`).

A tensor of the CPU that meets one of the GPU is refused, and so is code that reads a number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from support.benches import some_benches
from support.contract import Bench
from support.data import random_data
from support.fake_cuda import CUDA, FakeTensorMode, backward, fake_tensors, on_cuda
from support.marks import slow
from support.packs import adam, make_pack
from torch import Tensor

from objectives import mixup
from search.train.pack import Pack
from search.train.precision import Precision
from search.train.trainer import Trainer


@pytest.fixture(scope="module")
def mode() -> Iterator[FakeTensorMode]:
    with fake_tensors() as one:
        yield one


# In float32, and in the other cases of a technique, devices differ little; `test_device` too sees them.
@pytest.mark.parametrize("precision", ["bf16", *slow("fp32")])
@pytest.mark.parametrize("bench", some_benches())
def test_training_stays_on_the_device(
    bench: Bench, precision: Precision, mode: FakeTensorMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.autograd, "backward", backward)
    # The quantile of a Beta distribution is computed on the host, from numbers.
    monkeypatch.setattr(mixup, "quantile", lambda share, _alpha: torch.ones(share.shape, dtype=torch.float64))
    there = bench.pack(replicates=(0, 2), batch_size=64)
    program = replace(there.program, engine="torch", precision=precision, watch=("test", "weight_means"))
    with mode:
        batches = on_cuda(there.batches)
        pack = Pack(program, batches, there.slots)
        trainer = Trainer(program, batches, pack.state, [slot.replicate for slot in pack.slots], 0)
        for _ in range(2):
            for name, measured in trainer.run_epoch().items():
                assert (measured.device, measured.dtype) == (CUDA, torch.float64), name
                assert measured.shape == (len(pack.slots),)
        assert trainer.evaluator.predict(batches.x_test).device == CUDA
        assert trainer.evaluator.predict(batches.x_test, 1).device == CUDA
        state = {name: (one.shape[1:], one.dtype) for name, one in pack.state.items()}
        (regrouped,) = Pack.regroup([pack], [[(0, len(pack.slots) - 1), (0, 0)]])
        assert {name: (one.shape[1:], one.dtype) for name, one in regrouped.state.items()} == state
        assert {one.device for one in regrouped.state.values()} == {CUDA}


def test_packs_that_find_no_room_to_be_regrouped_leave_the_device(
    mode: FakeTensorMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = make_pack(random_data(70, 5, 3), [adam(), adam(), adam()])
    index_copy, room = Tensor.index_copy_, iter([True, True, False])

    def crowded(into: Tensor, *given: Any) -> Tensor:
        if not next(room, True):
            raise torch.OutOfMemoryError("no room")
        return index_copy(into, *given)

    with mode:
        pack = Pack(replace(there.program, engine="torch"), on_cuda(there.batches), there.slots)
        shapes = {name: (len(one), 1, *one.shape[1:]) for name, one in pack.state.items()}
        monkeypatch.setattr(Tensor, "index_copy_", crowded)
        for regrouped in Pack.regroup([pack], [[(0, 2)], [(0, 0)]]):
            assert {name: (3, *one.shape) for name, one in regrouped.state.items()} == shapes
            assert {one.device.type for one in regrouped.state.values()} == {"cpu"}
