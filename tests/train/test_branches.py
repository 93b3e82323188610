"""Hidden layers with branches: a technique of one's own trains them as plain torch does, in every engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from reference import Draws, Dropout, train
from support.packs import TrainedPack, adam, agree, close, make_pack, needs_kernels, train_pack, with_engine
from support.residual import with_branches
from torch import Tensor, nn

from search.data import Data
from search.errors import RequestError
from search.recipe.discovery import discover
from search.technique import Array, Batch, Loops, Numeric, Technique, Value, Values
from search.technique.layout import Layout
from search.train.direct import serves
from search.train.model_meta import Meta

MakeData = Callable[..., Data]
WIDTHS = (13, 12, 20, 3)


def three(_number: int, _structure: Mapping[str, Value]) -> int:
    return 3


def noisy_sum(h: Tensor, number: int, values: Values) -> Tensor:
    """Return the mean of the branches with noise on the first, for each example."""
    noise = values.uniform(f"layer {number}", h.shape[2])[..., None]
    return h.mean(0) + values["noise"][:, None, None] * noise * h[0]


def given(number: int, h: Tensor, values: Values) -> Sequence[Tensor]:
    noise = values.per_slot(values.draws(f"layer {number}", h.shape[2]))
    return [values["noise"][:, None] * noise]


def forward(h: Array, noise: Array) -> None:
    branches, slots, rows, width = h.shape
    for slot in range(slots):
        for row in range(rows):
            for unit in range(width):
                total = h[0, slot, row, unit]
                for branch in range(1, branches):
                    total += h[branch, slot, row, unit]
                h[0, slot, row, unit] = total / branches + noise[slot, row] * h[0, slot, row, unit]


def backward(gradient: Array, noise: Array) -> None:
    branches, slots, rows, width = gradient.shape
    for slot in range(slots):
        for row in range(rows):
            for unit in range(width):
                one = gradient[0, slot, row, unit]
                for branch in range(branches):
                    gradient[branch, slot, row, unit] = one / branches
                gradient[0, slot, row, unit] += noise[slot, row] * one


NOISY = Technique(name="noisy", hyperparameters={"noise": Numeric(low=0.1, high=1.0)}, branches=three, mix=noisy_sum)
LOOPED = replace(NOISY, mix_loops=Loops(given, forward, backward))
SLOTS = [adam(noise=0.5), adam(3e-3, noise=2.0)]


def plain(values: Mapping[str, float], draws: Draws) -> dict[str, Any]:
    def mix(number: int, each: list[Tensor]) -> Tensor:
        noise = draws.uniform("noisy", f"layer {number}", len(each[0]))[:, None]
        return torch.stack(each).mean(0) + values["noise"] * noise * each[0]

    return {
        "widths": WIDTHS,
        "epochs": 3,
        "batch_size": 32,
        "draws": draws,
        "build": lambda model: with_branches(model, draws, 3, mix),
        "optimiser": lambda parameters: torch.optim.Adam(parameters, lr=values["lr"]),
    }


def in_every_form(
    data: Data, techniques: Sequence[Technique], slots: Any = SLOTS, *, hidden: str = "12x20", **options: Any
) -> TrainedPack:
    """Train slots in float64 with compiled kernels, and check that torch agrees; return the former."""
    pack = make_pack(data, slots, techniques=techniques, dtype=torch.float64, hidden=hidden, **options)
    in_torch = train_pack(with_engine(pack, "torch"))
    trained = train_pack(pack)
    assert close(trained.pack.state["theta"], in_torch.pack.state["theta"], 1e-9)
    for a, b in zip(trained.curves, in_torch.curves, strict=True):
        assert all(torch.allclose(a[name], b[name], rtol=1e-9, atol=1e-12) for name in a | b)
    return trained


@pytest.mark.parametrize("technique", [NOISY, LOOPED], ids=["by autograd", "by loops"])
def test_branches_of_every_layer_are_those_of_plain_torch(technique: Technique, make_data: MakeData) -> None:
    """Layers need not be residual blocks, the first one may have branches, and dropout comes after them."""
    data = make_data(100, 13, 3)
    assert serves([technique]) == (technique is LOOPED)
    dropout = discover()["dropout"]
    slots = [{**slot, "dropout": 0.3} for slot in SLOTS]
    trained = in_every_form(data, [dropout, technique], slots, dropout_shape="brick")
    for slot, values in enumerate(slots):
        draws = Draws(0, 0, torch.float64)

        def modules(number: int, _width: int, draws: Draws = draws) -> list[nn.Module]:
            return [Dropout(f"layer {number}", 0.3, draws)]

        agree(trained, slot, *train(data, modules=modules, **plain(values, draws)))


@needs_kernels
def test_the_loops_of_shake_shake_are_its_hook(make_data: MakeData) -> None:
    known, on = discover(), {"skip": True, "shake_shake": True}
    techniques = [known[name] for name in ("skip", "shake_shake")]
    slots = [adam(2e-3), adam(1e-2)]
    in_every_form(make_data(100, 13, 3), techniques, slots, hidden="12x12x12", replicates=(0, 4), **on)


@needs_kernels
@pytest.mark.parametrize("other", ["adversarial", "sam"])
def test_gradients_in_inputs_and_at_other_weights_pass_through_branches(other: str, make_data: MakeData) -> None:
    strength = {"adversarial": {"adversarial": 0.1}, "sam": {"sam": 0.05}}[other]
    slots = [{**slot, **strength} for slot in SLOTS]
    in_every_form(make_data(60, 13, 3), [discover()[other], LOOPED], slots)


def test_each_pass_of_a_step_mixes_anew(make_data: MakeData) -> None:
    """A second pass over the same inputs has the products of the first, and draws of its own."""

    def again(batch: Batch, values: Values) -> Tensor:
        difference = (batch.forward(batch.x) - batch.predictions)[..., : batch.outputs]
        return values["noise"] * difference.square().mean((1, 2))

    data = make_data(100, 13, 3)
    trained = in_every_form(data, [replace(NOISY, loss=again)])
    for slot, values in enumerate(SLOTS):

        def extra(forward: Any, features: Tensor, out: Tensor, noise: float = values["noise"]) -> Tensor:
            term: Tensor = noise * (forward(features) - out).square().mean()
            return term

        agree(trained, slot, *train(data, extra_loss=extra, **plain(values, Draws(0, 0, torch.float64))))


def test_each_branch_counts() -> None:
    layout = Layout(WIDTHS, ((0, "own", "scale"),), branches=(3, 1))
    assert layout.trainable == 3 * (13 * 12 + 12) + (12 * 20 + 20) + (20 * 3 + 3) + 12
    assert [layout.linears_of(layer) for layer in range(3)] == [[0, 3, 4], [1], [2]]
    further = [field for field in layout.fields if field.branch]
    assert [(field.name, field.layer, field.kind) for field in further] == [
        (f"0.branches.{branch}.{kind}", 0, kind) for branch in (1, 2) for kind in ("weight", "bias")
    ]
    row = torch.arange(1.0, layout.size + 1)
    found = layout.unpack(row)
    assert list(found) == [
        *("0.branches.0.weight", "0.branches.0.bias", "3.weight", "3.bias", "5.weight", "5.bias"),
        *(f"0.branches.{branch}.{kind}" for branch in (1, 2) for kind in ("weight", "bias")),
        "2.scale",
    ]
    assert torch.equal(found["0.branches.2.bias"], row[layout.bias(4).offset :][:12])
    assert len(torch.cat([value.flatten() for value in found.values()]).unique()) == layout.trainable


def test_the_first_branch_starts_as_the_layer_would_alone(make_data: MakeData) -> None:
    data = make_data(40, 13, 3)
    with_it = make_pack(data, SLOTS, techniques=[NOISY], hidden="12x20").weights(0)
    without = make_pack(data, [adam()], hidden="12x20").weights(0)
    for place in ("0", "2"):
        for kind in ("weight", "bias"):
            assert torch.equal(with_it[f"{place}.branches.0.{kind}"], without[f"{place}.{kind}"])
            assert not torch.equal(with_it[f"{place}.branches.1.{kind}"], without[f"{place}.{kind}"])


def test_what_is_no_number_of_branches_is_refused(make_data: MakeData) -> None:
    data = make_data(40, 13, 3)
    for wrong in (0, 2.0, 65):
        said = rf"'noisy' gives hidden layer 1 {wrong!r} branches, where a whole number from 1 to 64 is right"
        with pytest.raises(RequestError, match=said):
            make_pack(data, SLOTS, techniques=[replace(NOISY, branches=lambda _n, _s, wrong=wrong: wrong)])
    other = replace(NOISY, name="other", branches=lambda number, _structure: number)
    with pytest.raises(RequestError, match="'noisy' and 'other' both give hidden layer 2 branches: use one of them"):
        make_pack(data, SLOTS, techniques=[NOISY, other], hidden="12x20")


def test_branches_and_their_mixture_come_together() -> None:
    for hooks in ({"branches": three}, {"mix": noisy_sum}, {"mix_loops": LOOPED.mix_loops}):
        with pytest.raises(RequestError, match="'one': the hooks 'branches' and 'mix' come together"):
            Technique(name="one", **hooks)  # type: ignore[arg-type]


def test_a_description_states_the_branches_of_each_hidden_layer() -> None:
    fields = {"widths": WIDTHS, "activation": "relu", "task": "classification", "dataset": "x"}
    assert Meta.parse({**fields, "branches": [1, 2]}, "it").branches == (1, 2)
    for wrong, said in (([2], "branches should be given for 2 hidden layers, got 1"), ([1, 65], "branches")):
        with pytest.raises(RequestError, match=said):
            Meta.parse({**fields, "branches": wrong}, "it")
