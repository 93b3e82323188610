"""The steps of the torch engine read what differs from tables; they can be replayed as a graph, without Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from support.benches import some_benches
from support.contract import Bench
from support.data import random_data
from support.packs import TrainedPack, adam, make_pack, train_pack, with_engine
from support.tape import Tape
from torch import Tensor

from search.technique import Technique, Values
from search.train import graphs, streams, trainer

# The first one computes on the host, the next two read the epoch and the step, and the last two give parameters rates
# of their own, which are too many for a table.
EAGER = {"mixup", "grad_noise", "adaptive_clip", "fine_tune", "feature_gate"}
EVALUATION = 1
"""The evaluation after an epoch is recorded too."""


class HostLoop:
    """Takes steps as the host would name them: without tables, one after the other."""

    def __init__(self, moment: Any, _techniques: Any, size: int, step: Any, *, repeats: bool) -> None:
        del repeats
        self._moment, self._size, self._step = moment, size, step

    def __call__(self, orders: Sequence[Tensor]) -> None:
        for step in range(self._moment.steps):
            self._moment.step, self._moment.forward = step, 0
            self._step([order[step * self._size : (step + 1) * self._size] for order in orders])


def trained(one: Bench, epochs: int = 4) -> TrainedPack:
    return train_pack(with_engine(one.pack([*one.slots, *one.slots], replicates=(0, 2)), "torch"), epochs)


def assert_same(one: TrainedPack, other: TrainedPack) -> None:
    for mine, its in zip(one.curves, other.curves, strict=True):
        for name in mine:
            assert torch.equal(mine[name].nan_to_num(7.0), its[name].nan_to_num(7.0)), name
    for name, value in one.pack.state.items():
        assert torch.equal(value, other.pack.state[name]), name


@pytest.fixture
def tapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Record steps on the CPU; draws are torch's operations, which a tape sees, with the same bits."""
    monkeypatch.setattr(graphs, "recorder", lambda _device: Tape)
    monkeypatch.setattr(streams, "_compiled", lambda _device: None)
    monkeypatch.setattr(Tape, "recorded", 0)


@pytest.mark.parametrize("one", some_benches())
def test_steps_by_tables_and_replayed_are_those_that_the_host_would_take(
    one: Bench, request: pytest.FixtureRequest
) -> None:
    by_tables = trained(one)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(trainer, "StepLoop", HostLoop)
        assert_same(by_tables, trained(one))
    request.getfixturevalue("tapes")
    assert_same(trained(one), by_tables)
    assert (Tape.recorded <= EVALUATION) == bool(EAGER.intersection(technique.name for technique in one.techniques))


def counting(tensors: bool) -> Technique:
    """Return a technique with a state that every step changes, in place or by a new tensor."""

    def start(values: Values) -> dict[str, Tensor]:
        return {"steps": torch.zeros(values.slots, 1, dtype=values.dtype)}

    def gradient(gradient: Tensor, _weights: Tensor, values: Values) -> None:
        if tensors:
            values.state["steps"] = values.state["steps"] + 1
        else:
            values.state["steps"].add_(1)
        gradient.mul_(1 / values.state["steps"])

    return Technique(name="counting", start=start, gradient=gradient)


@pytest.mark.parametrize("tensors", [True, False])
def test_a_state_whose_tensor_is_replaced_is_never_frozen(tensors: bool, request: pytest.FixtureRequest) -> None:
    def packed() -> TrainedPack:
        data = random_data(100, 13, 3)
        return train_pack(with_engine(make_pack(data, [adam(), adam(0.1)], techniques=[counting(tensors)]), "torch"), 4)

    eager = packed()
    request.getfixturevalue("tapes")
    assert_same(packed(), eager)
    assert eager.pack.state["technique:counting/steps"].flatten().tolist() == [16, 16]
    assert (Tape.recorded <= EVALUATION) == tensors


def remembering() -> Technique:
    """Return a technique that keeps the loss of the epoch before, and notes by how much it has changed."""

    def start(values: Values) -> dict[str, Tensor]:
        return {name: torch.zeros(values.slots, dtype=torch.float64) for name in ("before", "change")}

    def after_epoch(metrics: Mapping[str, Tensor], values: Values) -> None:
        values.state["change"] = metrics["val_loss"] - values.state["before"]
        values.state["before"] = metrics["val_loss"]

    return Technique(name="remembering", start=start, after_epoch=after_epoch)


def test_metrics_that_a_hook_keeps_are_not_overwritten_by_a_replay(request: pytest.FixtureRequest) -> None:
    def packed() -> TrainedPack:
        data = random_data(100, 13, 3)
        return train_pack(with_engine(make_pack(data, [adam()], techniques=[remembering()]), "torch"), 5)

    eager = packed()
    request.getfixturevalue("tapes")
    assert_same(packed(), eager)
    assert Tape.recorded > EVALUATION
    assert (eager.pack.state["technique:remembering/change"] != 0).all()
