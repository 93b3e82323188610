"""Training in bfloat16 over float32 weights agrees with torch's own mixed precision; tf32 is for GPUs only."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support.packs import STRUCTURE, adam
from torch import nn
from torch.nn import functional as F

from search import RequestError, Study
from search.data import Data
from search.train import streams
from search.train.batches import Batches
from search.train.pack import Pack, Slot
from search.train.precision import products
from search.train.program import Program

MakeData = Callable[..., Data]
SLOTS = [adam(lr) for lr in (1e-3, 3e-3, 1e-2)]


def pack(data: Data, precision: str, **structure: object) -> Pack:
    batches = Batches(data)
    program = Program.build(
        {**STRUCTURE, "hidden": "20x20", **structure},
        tuple(SLOTS[0]),
        (),
        batches,
        loss="cross_entropy",
        seed=0,
        precision=precision,  # type: ignore[arg-type]
    )
    return Pack(program, batches, [Slot(trial, 0, values) for trial, values in enumerate(SLOTS)])


def autocast(data: Data, weights: dict[str, torch.Tensor], lr: float, epochs: int) -> list[float]:
    """Return the validation losses of one network in torch's mixed precision, from the same weights and batches."""
    model = nn.Sequential(nn.Linear(8, 20), nn.LeakyReLU(), nn.Linear(20, 20), nn.LeakyReLU(), nn.Linear(20, 3))
    model.load_state_dict(weights)
    optimiser = torch.optim.Adam(model.parameters(), lr=lr)
    losses = []
    for epoch in range(epochs):
        order = streams.permutation(streams.key(0, 0, "order", epoch), len(data.x_train))
        for chosen in order.split(32):
            optimiser.zero_grad()
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(data.x_train[chosen])
            F.cross_entropy(logits.float(), data.y_train[chosen]).backward()
            optimiser.step()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            losses.append(float(F.cross_entropy(model(data.x_val).float(), data.y_val)))
    return losses


def test_bf16_trains_as_torchs_mixed_precision_does(make_data: MakeData) -> None:
    data = make_data(150, 8, 3)
    small, full = pack(data, "bf16"), pack(data, "fp32")
    starts = [small.weights(slot) for slot in range(len(SLOTS))]
    losses = torch.stack([small.run_epoch()["val_loss"] for _ in range(4)])
    exact = torch.stack([full.run_epoch()["val_loss"] for _ in range(4)])
    for slot, values in enumerate(SLOTS):
        theirs = torch.tensor(autocast(data, starts[slot], values["lr"], 4), dtype=torch.float64)
        # bfloat16 has 8 bits, and the two round their sums in different places.
        assert torch.allclose(losses[:, slot], theirs, rtol=0.02)
    assert not torch.equal(losses, exact)
    assert torch.allclose(losses, exact, rtol=0.05)
    # The weights are float32: they have values that bfloat16 does not.
    theta = small.state["theta"]
    assert theta.dtype == torch.float32
    assert not torch.equal(theta, theta.bfloat16().float())


def test_bf16_evaluates_the_last_weights(make_data: MakeData) -> None:
    data = make_data(150, 8, 3)
    one = pack(data, "bf16")
    measured = one.run_epoch()["val_loss"]
    again, _ = one.score(one.batches.x_val, one.batches.validation)
    assert torch.equal(measured, again[: len(SLOTS)])


def test_techniques_work_on_bf16_activations() -> None:
    params = {"batch_norm": True, "bn_alpha": 0.1, "dropout": 0.2, "consistency": 0.5, "sigma": 0.1, "l2": 1e-3}
    losses = {}
    for precision in ("fp32", "bf16"):
        study = Study(
            "batch_norm+dropout+consistency+l2",
            dataset="wine",
            set={"epochs": 20, "hidden": "16"},
            precision=precision,
            device="cpu",
            tracking_uri=None,
        )
        values = study.space.complete(params)
        assert values is not None
        numbers = study.numeric(values)
        trained = Pack(study.program(values), study.batches, [Slot(0, 0, numbers), Slot(1, 0, numbers)])
        losses[precision] = [float(trained.run_epoch()["val_loss"][0]) for _ in range(20)]
    assert losses["bf16"][-1] < 0.8 * losses["bf16"][0]
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)


def test_tf32_is_a_gpus() -> None:
    with pytest.raises(RequestError, match="precision tf32 takes a CUDA device, got cpu"):
        Study("l2", precision="tf32", device="cpu", tracking_uri=None)
    with pytest.raises(RequestError, match="precision"):
        Study("l2", precision="fp8", device="cpu", tracking_uri=None)


def test_a_gpus_products_are_as_asked_for_and_the_callers_afterwards() -> None:
    torch.set_float32_matmul_precision("high")
    try:
        for precision, expected in (("fp32", "highest"), ("tf32", "high"), ("bf16", "highest")):
            with products(precision, torch.device("cuda")):  # type: ignore[arg-type]
                assert torch.get_float32_matmul_precision() == expected
            assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
