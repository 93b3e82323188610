"""A row of weight 2 counts like two equal rows, in the loss, its gradient and every score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from support.packs import TrainedPack, adam, close, make_pack, needs_kernels, train_pack, with_engine
from torch import Tensor

from search.data import Data
from search.recipe.discovery import discover
from search.train.engine import Engine

MakeData = Callable[..., Data]
ENGINES = [pytest.param("torch", marks=pytest.mark.torch_engine), pytest.param("compiled", marks=needs_kernels)]


def weighted_and_repeated(data: Data) -> tuple[Data, Data]:
    """Return data whose rows have weights 0, 1 and 2, and the same with each row as often as its weight says."""
    parts: dict[str, Tensor] = {}
    weights: dict[str, Tensor] = {}
    counts = {
        part: torch.tensor([0, 1, 1, 2]).repeat(len(getattr(data, f"x_{part}")) // 4)
        for part in ("train", "val", "test")
    }
    for part, count in counts.items():
        for kind in "xy":
            parts[f"{kind}_{part}"] = torch.repeat_interleave(getattr(data, f"{kind}_{part}"), count, dim=0)
        weights[f"w_{part}"] = count.float()  # whose mean is 1
    return replace(data, **weights), replace(data, **parts)  # type: ignore[arg-type]


CASES: dict[str, dict[str, float]] = {
    "": {},
    "l2+dropout": {"l2": 1e-2, "dropout": 0.0},
    "label_smoothing": {"label_smoothing": 0.1},
    "consistency": {"consistency": 0.0, "sigma": 0.1},
}


@pytest.mark.parametrize("names", CASES)
@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "l1", "huber"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_weight_is_a_number_of_rows(make_data: MakeData, engine: Engine, loss: str, names: str) -> None:
    """All rows are one minibatch. At neutral values the techniques only choose the way in which it is trained."""
    task = "classification" if loss == "cross_entropy" else "regression"
    if names == "label_smoothing" and task == "regression":
        pytest.skip("label smoothing is for classes")
    both = weighted_and_repeated(make_data(60, 13, 3, task=task))
    slots = [adam(lr, **CASES[names]) for lr in (1e-3, 1e-2)]
    techniques = [discover()[name] for name in names.split("+") if name]
    found = [
        train_pack(
            with_engine(
                make_pack(
                    data, slots, techniques=techniques, dtype=torch.float64, replicates=(0, 1), loss=loss,
                    batch_size=1000, consistency_distance="mse",
                ),
                engine,
            )
        )
        for data in both
    ]  # fmt: skip
    assert_same(*found)


@needs_kernels
def test_weights_where_several_threads_share_a_slot(make_data: MakeData, monkeypatch: pytest.MonkeyPatch) -> None:
    both = weighted_and_repeated(make_data(60, 13, 3))
    monkeypatch.setattr("search.train.compiled.network.share", lambda: 3)
    monkeypatch.setattr("search.train.compiled.network._SHARED", 0)
    assert_same(
        *(train_pack(make_pack(data, [adam(), adam(1e-2)], dtype=torch.float64, batch_size=1000)) for data in both)
    )


def assert_same(one: TrainedPack, other: TrainedPack) -> None:
    assert close(one.pack.state["theta"], other.pack.state["theta"], 1e-9)
    for a, b in zip(one.curves, other.curves, strict=True):
        assert all(torch.allclose(a[name], b[name], rtol=1e-9, atol=1e-12) for name in a | b)
    batches = one.pack.batches, other.pack.batches
    scores = [trained.pack.score(each.x_test, each.test) for trained, each in zip((one, other), batches, strict=True)]
    for ours, theirs in zip(*scores, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-9)
