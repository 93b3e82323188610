"""A slot has the same bits, however its gradient is computed: in one go, layer by layer, or by several threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from support.networks import ACTIVATIONS, LOSSES, Case
from support.packs import TrainedPack, adam, make_pack, train_pack
from torch import Tensor

from search.data import Data
from search.recipe.discovery import discover
from search.train import at_once
from search.train.at_once import StepsAtOnce
from search.train.batches import Targets
from search.train.compiled import network as compiled_network
from search.train.compiled import sharing
from search.train.compiled.kernels import BLOCK
from search.train.direct import DirectGradient

MakeData = Callable[..., Data]
ROWS = [1, 37, BLOCK + 1, 2 * BLOCK + 88]


def share_slots(monkeypatch: pytest.MonkeyPatch, threads: int) -> list[int]:
    """Let several threads share every slot, however small it is; return a list that gets the number of them."""
    seen: list[int] = []

    def together(work: Sequence[Callable[[], None]]) -> None:
        seen.append(len(work))
        really(work)

    really = sharing.together
    monkeypatch.setattr(compiled_network, "share", lambda: threads)
    monkeypatch.setattr(compiled_network, "_SHARED", 0)
    monkeypatch.setattr(sharing, "together", together)
    return seen


def by_stretches(case: Case, edges: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return gradient and losses, computed in stretches of layers that end at these edges."""
    network, total = case.network(), torch.zeros(case.slots, dtype=torch.float64)
    network.begin()
    stretches = list(zip((0, *edges), (*edges, case.layout.layers), strict=True))
    passed, x = [], case.x
    for first, last in stretches:
        out, kept = network.forward(first, last, x)
        assert torch.equal(out, network.predict(first, last, x))
        passed.append((first, last, x, kept))
        x = out
    gradient: Tensor | None = network.loss_gradient(x, Targets(case.y), total)
    for first, last, x, kept in reversed(passed):
        assert gradient is not None
        gradient = network.backward(first, last, x, kept, gradient, first > 0)
    assert gradient is None
    return case.gradient, total


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_way_has_the_same_bits(monkeypatch: pytest.MonkeyPatch, activation: str, loss: str, rows: int) -> None:
    case = Case((13, 12, 40, 3), activation, loss, (2, 1), rows, dtype=torch.float32)
    gradient, total = (each.clone() for each in case.learned())
    assert gradient.isfinite().all()
    for edges in ((1, 2), (1,), (2,), ()):
        found, losses = by_stretches(case, edges)
        assert torch.equal(found, gradient), edges
        assert torch.equal(losses, total)
    for threads in (2, 3):
        with monkeypatch.context() as patched:
            seen = share_slots(patched, threads)
            found, losses = case.learned()
        assert seen == [threads] * 2 * case.slots
        assert torch.equal(found, gradient), threads
        assert torch.equal(losses, total)


@pytest.mark.parametrize("rows", ROWS)
def test_alone_and_packed_have_the_same_bits(rows: int) -> None:
    case = Case((13, 12, 40, 3), "gelu", sizes=(2, 3), rows=rows, dtype=torch.float32)
    gradient, total = (each.clone() for each in case.learned())
    for slot in range(case.slots):
        group = int(case.group_of[slot])
        own, losses = torch.empty(1, case.layout.size), torch.zeros(1, dtype=torch.float64)
        alone = case.network(slice(slot, slot + 1), own)
        alone.begin()
        alone.learn(case.x[group : group + 1], Targets(case.y[group : group + 1]), losses, alone.no_gates())
        assert torch.equal(own[0], gradient[slot])
        assert losses[0] == total[slot]


def test_a_second_pass_adds_to_the_gradient_of_the_first() -> None:
    case = Case(dtype=torch.float32, rows=BLOCK + 3)
    once = case.learned()[0].clone()
    network = case.network()
    network.begin()
    for _ in range(2):
        _, kept = network.forward(0, 3, case.x)
        ones = torch.ones(case.slots, case.rows, 16)
        network.backward(0, 3, case.x, kept, ones, False)
    twice = case.gradient.clone()
    network.begin()
    _, kept = network.forward(0, 3, case.x)
    network.backward(0, 3, case.x, kept, ones, False)
    assert torch.allclose(twice, 2 * case.gradient, rtol=1e-5, atol=1e-5)
    assert not torch.equal(case.gradient, once)


def test_the_gradient_in_the_inputs() -> None:
    """`backward` returns it where a technique differentiates through the inputs of a stretch."""
    case = Case((13, 12, 20, 3), "tanh", "mse", per_slot=True, rows=BLOCK + 3)
    network, total = case.network(), torch.zeros(case.slots, dtype=torch.float64)
    network.begin()
    out, kept = network.forward(0, 3, case.x)
    found = network.backward(0, 3, case.x, kept, network.loss_gradient(out, Targets(case.y), total), True)
    assert found is not None
    leaf = case.x.clone().requires_grad_()
    case.x = leaf
    predictions = torch.stack([plain(case, slot) for slot in range(case.slots)])
    targets = case.y[case.group_of][..., :3]
    ((predictions - targets) ** 2).mean((1, 2)).sum().backward()
    assert torch.allclose(found, leaf.grad, rtol=1e-11, atol=1e-14)


def plain(case: Case, slot: int) -> Tensor:
    h = case.x[slot][:, : case.widths[0]]
    for layer in range(case.layout.layers):
        fields = case.layout.weight(layer), case.layout.bias(layer)
        w, b = (case.layout.view(case.theta, field)[field.inner][slot] for field in fields)
        h = h @ w + b
        if layer < case.layout.layers - 1:
            h = ACTIVATIONS[case.activation](h)
    return h


DROPS = [
    adam(dropout=0.5, input_dropout=0.2),
    adam(3e-3, dropout=0.1, input_dropout=0.4),
    adam(dropout=0.0, input_dropout=0.0),
]


def dropped(
    data: Data, slots: Sequence[dict[str, float]], activation: str, replicates: tuple[int, ...] = (0, 3)
) -> TrainedPack:
    names = [name for name in ("dropout", "input_dropout") if name in slots[0]]
    pack = make_pack(
        data, slots, techniques=[discover()[name] for name in names], replicates=replicates, batch_size=BLOCK + 44,
        hidden="12x40", activation=activation,
    )  # fmt: skip
    return train_pack(pack, 2)


def assert_same(one: TrainedPack, i: int, other: TrainedPack, j: int) -> None:
    for a, b in zip(one.curves, other.curves, strict=True):
        assert all(torch.equal(a[name][i], b[name][j]) for name in a)
    assert torch.equal(one.pack.state["theta"][i], other.pack.state["theta"][j])


@pytest.mark.parametrize("names", [("dropout",), ("input_dropout",), ("dropout", "input_dropout")])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gates_have_the_same_bits_in_every_way(
    make_data: MakeData, monkeypatch: pytest.MonkeyPatch, activation: str, names: tuple[str, ...]
) -> None:
    slots = [{n: v for n, v in slot.items() if "dropout" not in n or n in names} for slot in DROPS]
    data = make_data(2 * BLOCK + 77, 13, 3)
    fused = dropped(data, slots, activation)
    assert fused.pack.state["theta"].isfinite().all()
    with monkeypatch.context() as patched:
        patched.setattr(DirectGradient, "gates", lambda *_given: None)
        by_layer = dropped(data, slots, activation)
    with monkeypatch.context() as patched:
        seen = share_slots(patched, 3)
        shared = dropped(data, slots, activation)
    assert set(seen) == {3}
    for slot in range(len(fused.slots)):
        assert_same(fused, slot, by_layer, slot)
        assert_same(fused, slot, shared, slot)
    for index in (1, 3, 5):
        slot = fused.slots[index]
        alone = dropped(data, [slots[slot.trial]], activation, (slot.replicate,))
        assert_same(fused, index, alone, 0)


COSINE = {"warmup": 2.0, "eta_min_fraction": 0.1}
STEPWISE: dict[str, tuple[tuple[str, ...], dict[str, float]]] = {
    "nothing": ((), {}),
    "penalties": (("l1", "l2"), {"l1": 1e-3, "l2": 1e-2}),
    "schedule": (("lr_schedule",), COSINE),
    "all": (
        ("l2", "dropout", "input_dropout", "lr_schedule"),
        COSINE | {"l2": 1e-2, "dropout": 0.3, "input_dropout": 0.2},
    ),
}


@pytest.mark.parametrize("replicates", [(0,), (0, 3)])
@pytest.mark.parametrize("case", STEPWISE)
def test_steps_have_the_same_bits_at_once_and_one_by_one(
    make_data: MakeData, monkeypatch: pytest.MonkeyPatch, case: str, replicates: tuple[int, ...]
) -> None:
    names, values = STEPWISE[case]
    data = make_data(400, 13, 3)

    def trained() -> TrainedPack:
        slots = [adam(lr, **values) for lr in (1e-3, 1e-2, 3e-2)]
        techniques = [discover()[name] for name in names]
        pack = make_pack(data, slots, techniques=techniques, replicates=replicates, lr_schedule="cosine")
        return train_pack(pack, 3)

    calls: list[int] = []
    take = StepsAtOnce.__call__

    def counting(self: StepsAtOnce, chosen: Sequence[Tensor], *sums: Tensor) -> bool:
        calls.append(len(chosen[0]))
        return take(self, chosen, *sums)

    with monkeypatch.context() as patched:
        patched.setattr(StepsAtOnce, "__call__", counting)
        whole = trained()
        assert calls == [len(data.x_train)] * 3, "an epoch in one call"
        patched.setattr(at_once, "_NUMBERS", 2 * 32 * (16 + 16 + 16) * len(replicates))
        calls.clear()
        in_parts = trained()
        assert len(calls) > 3
        patched.setattr(StepsAtOnce, "__call__", lambda *_given: False)
        one_by_one = trained()
    for slot in range(len(whole.slots)):
        assert_same(whole, slot, in_parts, slot)
        assert_same(whole, slot, one_by_one, slot)
