"""The engine trains on a GPU as on the CPU (contract C3, docs/design.md); skipped if there is no GPU.

These tests need torch, numpy and pytest only. On a machine that has no more than these:

    python -m pytest -o addopts= --import-mode=importlib tests/train/test_cuda.py
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch
from support.contract import CASES, Bench, bench, load_cases
from support.packs import STRUCTURE, adam, train_pack
from torch import Tensor

from search.data import Data
from search.recipe.discovery import discover
from search.train import streams
from search.train.batches import Batches
from search.train.cohort import Cohort
from search.train.fused import toolchain
from search.train.member import Member
from search.train.pack import Pack, Slot
from search.train.precision import Precision
from search.train.program import Program

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

MakeData = Callable[..., Data]


def test_integers_are_the_same() -> None:
    assert torch.equal(streams.bits(7, 1000), streams.bits(7, 1000, "cuda").cpu())
    assert torch.equal(streams.permutation(7, 1000), streams.permutation(7, 1000, "cuda").cpu())


@pytest.mark.parametrize("width", [1, 7])
def test_three_epochs_agree_with_the_cpu(make_data: MakeData, width: int) -> None:
    data, slots = make_data(233, 64, 10), [adam(1e-3 * (slot + 1), l2=1e-4) for slot in range(width)]
    curves = {}
    for device in ("cpu", "cuda"):
        batches = Batches(data, device)
        techniques = [discover()["l2"]]
        program = Program.build(STRUCTURE, tuple(slots[0]), techniques, batches, loss="cross_entropy", seed=0)
        pack = Pack(program, batches, [Slot(trial, 0, values) for trial, values in enumerate(slots)])
        curves[device] = torch.stack([pack.run_epoch()["val_loss"] for _ in range(3)])
    assert torch.allclose(curves["cpu"], curves["cuda"], rtol=1e-4)


def trained(one: Bench, device: str, precision: Precision) -> Tensor:
    """Return the validation losses of two epochs of a case, ``epochs x slots``."""
    pack = one.pack(device=device)
    pack = Pack(replace(pack.program, precision=precision), pack.batches, pack.slots)
    return torch.stack([curves["val_loss"] for curves in train_pack(pack, 2).curves])


@pytest.mark.parametrize("name", discover())
def test_each_technique_agrees_with_the_cpu(name: str) -> None:
    """No technique needs a wider tolerance: on the CPU, none of the cases differs by more than 1e-5 from float64.

    In bf16 those of RMSprop differ by up to 6% from fp32 there, and all others by up to 0.5%.
    """
    if name == "fine_tune" and None in map(find_spec, ("pydantic", "safetensors")):
        pytest.skip("a model file takes pydantic and safetensors")
    for case in load_cases(CASES / f"{name}.py"):
        one = bench(discover()[name], case)
        expected = trained(one, "cpu", "fp32")
        for precision, tolerance in (("fp32", 1e-4), ("bf16", 0.1)):
            found = trained(one, "cuda", precision)
            words = f"{case.name}, {precision}: {found.tolist()} on CUDA, {expected.tolist()} on the CPU"
            assert torch.allclose(found, expected, rtol=tolerance, equal_nan=True), words


def test_a_pack_for_which_there_is_no_room_is_split(make_data: MakeData, capsys: pytest.CaptureFixture[str]) -> None:
    """With less memory than a cohort has taken, it trains in narrower packs, and the curves stay what they were."""
    data = make_data(256, 64, 10)
    structure = STRUCTURE | {"hidden": "512x512", "batch_size": 64}

    def cohort() -> Cohort:
        batches = Batches(data, "cuda")
        program = Program.build(structure, tuple(adam()), (), batches, loss="cross_entropy", seed=0)
        return Cohort([Member(n, program, adam(1e-4 * (1 + n)), 1) for n in range(32)], batches, 32)

    def losses(one: Cohort) -> Tensor:
        for _ in one.advance(2):
            pass
        return torch.tensor([member.curves["val_loss"][:, 0].tolist() for member in one.members.values()])

    def emptied() -> int:
        """Return the bytes that are in use after all that can be freed was."""
        gc.collect()
        torch.cuda.empty_cache()
        return torch.cuda.memory_reserved()

    before = emptied()
    torch.cuda.reset_peak_memory_stats()
    expected = losses(cohort())
    peak = torch.cuda.max_memory_reserved()
    assert peak > emptied(), "the cohort was to take memory of the device"
    room = before + (peak - before) * 0.7
    torch.cuda.set_per_process_memory_fraction(room / torch.cuda.get_device_properties(0).total_memory)
    try:
        whole = cohort()
        found = losses(whole)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "out of memory: training continues in packs of at most" in capsys.readouterr().err
    assert whole.width < 32
    assert torch.allclose(found, expected, rtol=1e-4)


@pytest.mark.skipif(toolchain.unavailable("cuda") is not None, reason=str(toolchain.unavailable("cuda")))
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_kernels_train_as_torch_does(
    make_data: Callable[..., Data], monkeypatch: pytest.MonkeyPatch, optimizer: str, precision: str
) -> None:
    slots = [adam(1e-3 * (slot + 1), l1=1e-5, l2=1e-4 * slot, weight_decay=1e-3) for slot in range(3)]
    batches = Batches(make_data(233, 64, 10), "cuda")
    program = Program.build(
        {**STRUCTURE, "optimizer": optimizer},
        tuple(slots[0]),
        [discover()["l1"], discover()["l2"]],
        batches,
        loss="cross_entropy",
        seed=0,
        precision=precision,  # type: ignore[arg-type]
    )
    curves = []
    for reason in (None, "this test does without"):
        monkeypatch.setattr(toolchain, "unavailable", lambda _device, reason=reason: reason)
        pack = Pack(program, batches, [Slot(trial, 0, values) for trial, values in enumerate(slots)])
        measured = [pack.run_epoch() for _ in range(3)]
        curves.append(torch.stack([epoch[name] for epoch in measured for name in ("val_loss", "train_objective")]))
    assert torch.allclose(*curves, rtol=1e-4 if precision == "fp32" else 1e-2)
