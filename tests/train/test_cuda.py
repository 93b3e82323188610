"""The same code trains on a GPU (contract C3, docs/design.md); skipped if there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.packs import STRUCTURE, adam
from support.small_studies import Quiet, small

from search import Study
from search.data import Data
from search.recipe.discovery import discover
from search.train import streams
from search.train.batches import Batches
from search.train.fused import toolchain
from search.train.pack import Pack, Slot
from search.train.program import Program

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def test_integers_are_the_same() -> None:
    assert torch.equal(streams.bits(7, 1000), streams.bits(7, 1000, "cuda").cpu())
    assert torch.equal(streams.permutation(7, 1000), streams.permutation(7, 1000, "cuda").cpu())


@pytest.mark.parametrize("width", [1, 7])
def test_three_epochs_agree_with_the_cpu(make_data: Callable[..., Data], width: int) -> None:
    data, slots = make_data(233, 64, 10), [adam(1e-3 * (slot + 1), l2=1e-4) for slot in range(width)]
    curves = {}
    for device in ("cpu", "cuda"):
        batches = Batches(data, device)
        techniques = [discover()["l2"]]
        program = Program.build(STRUCTURE, tuple(slots[0]), techniques, batches, loss="cross_entropy", seed=0)
        pack = Pack(program, batches, [Slot(trial, 0, values) for trial, values in enumerate(slots)])
        curves[device] = torch.stack([pack.run_epoch()["val_loss"] for _ in range(3)])
    assert torch.allclose(curves["cpu"], curves["cuda"], rtol=1e-4)


def test_a_study_runs_prunes_and_compacts(tmp_path: Path) -> None:
    recipe = small(tmp_path).recipe
    study = Study(recipe, storage=f"sqlite:///{tmp_path}/cuda.db", tracking_uri=None, device="cuda")
    states = {trial.state.name for trial in study.run(observers=[Quiet()]).optuna_study.trials}
    assert states == {"COMPLETE", "PRUNED"}


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
