"""Compiled forms of `layer` hooks agree with the hooks; hooks without one train through autograd."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from reference import train
from support.packs import TrainedPack, adam, agree, close, make_pack, train_pack, with_engine
from support.processes import environment
from torch import Tensor, nn

from search.data import Data
from search.recipe.discovery import discover
from search.technique import Loops, Numeric, Technique, Values
from search.train.changes import Change
from search.train.direct import serves
from search.train.network import products_of
from search.train.values import make_values

MakeData = Callable[..., Data]


@pytest.mark.parametrize("rows", [3, 32, 300])
@pytest.mark.parametrize("number", [1, 2])
def test_batch_norm_is_its_hook_under_autograd(make_data: MakeData, rows: int, number: int) -> None:
    """Values, the gradients of activations and parameters, and the running estimates, twice in a row."""
    technique = discover()["batch_norm"]
    slots = [adam(bn_alpha=alpha) for alpha in (0.1, 0.5, 1.0)]
    pack = make_pack(
        make_data(40, 13, 3), slots, techniques=[technique], replicates=(0, 1), dtype=torch.float64,
        hidden="12x40", batch_norm=True,
    )  # fmt: skip
    _, (values,) = make_values(pack.program, pack.batches, pack.state, [0, 0, 0, 1, 1, 1])
    width = pack.program.layout.bias(number - 1).stored[0]
    generator = torch.Generator().manual_seed(0)
    h, slope, weight, bias = (
        torch.randn(*shape, generator=generator, dtype=torch.float64)
        for shape in ((6, rows, width), (6, rows, width), (6, width), (6, width))
    )
    h *= torch.logspace(-3, 2, width, dtype=torch.float64)
    h[..., -1] = 0  # as padding is
    values.parameters = {(number, "weight"): weight.requires_grad_(), (number, "bias"): bias.requires_grad_()}
    assert technique.start is not None
    assert technique.layer is not None
    expected_state, state = technique.start(values), technique.start(values)
    gradient = torch.zeros_like(pack.state["theta"])
    network = products_of(pack.program, pack.batches, pack.state["theta"], gradient, values.groups)
    change = Change(technique, values, network)  # type: ignore[arg-type]
    for _ in range(2):
        leaf = h.clone().requires_grad_()
        values.state = expected_state
        expected = technique.layer(leaf, number, values)
        found = torch.autograd.grad((expected * slope).sum(), [leaf, weight, bias])
        values.state = state
        # The gradients of parameters are views into the flat buffer, with those of other parameters between.
        flat = torch.full((6, 3 * width), torch.nan, dtype=torch.float64)
        own = {(number, "weight"): flat[:, :width], (number, "bias"): flat[:, width : 2 * width]}
        values.parameter_gradients = own
        pair = change.at(number, h)
        assert pair is not None
        ours, back = h.clone(), slope.clone()
        pair[0](ours)
        assert close(ours, expected.detach())
        pair[1](back)
        for one, other in zip((back, own[number, "weight"], own[number, "bias"]), found, strict=True):
            assert close(one, other)
        assert flat[:, 2 * width :].isnan().all()
        for name, estimate in expected_state.items():
            assert close(state[name], estimate), name
    assert change.at(0, h) is None


def in_every_form(data: Data, technique: Technique, slots: Sequence[dict[str, float]], **options: Any) -> TrainedPack:
    """Train slots in float64 with the compiled engine, and check that torch's engine agrees; return the former."""
    pack = make_pack(data, slots, techniques=[technique], dtype=torch.float64, **options)
    in_torch = train_pack(with_engine(pack, "torch"))
    compiled = train_pack(pack)
    assert close(compiled.pack.state["theta"], in_torch.pack.state["theta"], 1e-9)
    for a, b in zip(compiled.curves, in_torch.curves, strict=True):
        assert all(torch.allclose(a[name], b[name], rtol=1e-9, atol=1e-12) for name in a | b)
    return compiled


def squash(h: Tensor, number: int, values: Values) -> Tensor:
    return h if number == 0 else h / (1 + values["squash"][:, None, None] * h.square())


SQUASH = Technique(name="squash", hyperparameters={"squash": Numeric(low=0.1, high=1.0)}, layer=squash)


def test_a_hook_without_a_compiled_form_trains_through_autograd(make_data: MakeData) -> None:
    class Squash(nn.Module):
        def __init__(self, strength: float) -> None:
            super().__init__()
            self.strength = strength

        def forward(self, h: Tensor) -> Tensor:
            return h / (1 + self.strength * h.square())

    data = make_data(100, 13, 3)
    slots = [adam(squash=0.5), adam(3e-3, squash=2.0)]
    assert not serves([SQUASH])
    pack = in_every_form(data, SQUASH, slots, hidden="12x20", activation="gelu")
    for slot, values in enumerate(slots):
        model, curves = train(
            data,
            widths=(13, 12, 20, 3),
            epochs=3,
            batch_size=32,
            activation="gelu",
            modules=lambda _number, _width, strength=values["squash"]: [Squash(strength)],
            optimiser=lambda parameters, lr=values["lr"]: torch.optim.Adam(parameters, lr=lr),
        )
        agree(pack, slot, model, curves)


@pytest.mark.parametrize("names", [("dropout",), ("dropout", "input_dropout"), ("batch_norm",)])
def test_forms_beside_a_hook_without_one(make_data: MakeData, names: tuple[str, ...]) -> None:
    """Autograd takes the gates of the other techniques, and the hooks of those that have loops."""
    rates = {"dropout": 0.3, "input_dropout": 0.2, "bn_alpha": 0.2}
    own = {n: v for n, v in rates.items() if n in names or (n == "bn_alpha" and "batch_norm" in names)}
    slots = [adam(squash=0.5, **own), adam(3e-3, squash=2.0, **own)]
    techniques = [*(discover()[name] for name in names), SQUASH]
    pack = make_pack(
        make_data(100, 13, 3), slots, techniques=techniques, dtype=torch.float64, replicates=(0, 2),
        batch_norm="batch_norm" in names,
    )  # fmt: skip
    compiled, in_torch = train_pack(pack), train_pack(with_engine(pack, "torch"))
    assert close(compiled.pack.state["theta"], in_torch.pack.state["theta"], 1e-9)


def test_two_gates_at_one_place_are_applied_in_turn(make_data: MakeData) -> None:
    dropout = discover()["dropout"]
    second = replace(dropout, name="second")
    slots = [adam(dropout=0.3), adam(dropout=0.6)]
    for activation in ("tanh", "leaky_relu"):
        pack = make_pack(
            make_data(100, 13, 3), slots, techniques=[dropout, second], dtype=torch.float64, activation=activation
        )
        assert len(pack.program.techniques) == 2
        compiled, in_torch = train_pack(pack), train_pack(with_engine(pack, "torch"))
        assert close(compiled.pack.state["theta"], in_torch.pack.state["theta"], 1e-9)


def scaled(h: Tensor, number: int, values: Values) -> Tensor:
    """Return each slot's inputs and activations times a number of its own, less a part of their squares."""
    factor = values["factor"][:, None, None]
    h = values.per_slot(h) if number == 0 else h
    return h * factor - 0.1 * h.square()


def given(_number: int, h: Tensor, values: Values) -> tuple[Tensor, Tensor]:
    return values["factor"], torch.empty_like(h)


def scale_forward(h, factor, before):
    for slot in range(len(h)):
        for row in range(h.shape[1]):
            for unit in range(h.shape[2]):
                before[slot, row, unit] = h[slot, row, unit]
                h[slot, row, unit] = before[slot, row, unit] * (factor[slot] - 0.1 * before[slot, row, unit])


def scale_backward(gradient, factor, before):
    for slot in range(len(gradient)):
        for row in range(gradient.shape[1]):
            for unit in range(gradient.shape[2]):
                gradient[slot, row, unit] *= factor[slot] - 0.2 * before[slot, row, unit]


SCALED = Technique(
    name="scaled",
    hyperparameters={"factor": Numeric(low=0.5, high=2.0)},
    layer=scaled,
    loops=Loops(given, scale_forward, scale_backward),
)


@pytest.mark.parametrize("replicates", [(0,), (0, 3), (0, 1, 2)])
def test_loops_of_the_inputs(make_data: MakeData, replicates: tuple[int, ...]) -> None:
    """The slots of a replicate share their minibatch, but each has activations of its own to change."""
    assert serves([SCALED])
    slots = [adam(factor=factor) for factor in (0.5, 1.0, 1.5)]
    data = make_data(100, 13, 3)
    x = data.x_train.clone()
    in_every_form(data, SCALED, slots, replicates=replicates, hidden="12x20")
    assert torch.equal(data.x_train, x)


def test_a_penalty_beside_gates_and_loops(make_data: MakeData) -> None:
    """Penalties in kernels and in torch are the same."""
    stated = [discover()[name] for name in ("l1", "l2")]
    found = []
    for techniques in (stated, [replace(one, powers={}) for one in stated]):
        pack = make_pack(
            make_data(100, 13, 3), [adam(l1=1e-3, l2=1e-2, dropout=0.2), adam(l1=1e-2, l2=0.0, dropout=0.5)],
            techniques=[*techniques, discover()["dropout"]], dtype=torch.float64,
        )  # fmt: skip
        found += [train_pack(pack), train_pack(with_engine(pack, "torch"))]
    for other in found[1:]:
        assert close(found[0].pack.state["theta"], other.pack.state["theta"], 1e-9)
        for a, b in zip(found[0].curves, other.curves, strict=True):
            assert all(torch.allclose(a[name], b[name], rtol=1e-9, atol=1e-12) for name in a | b)


FROM_NO_FILE = """
import torch
from search.technique import Loops, Numeric, Technique
from support.data import random_data
from support.packs import adam, make_pack, train_pack

def double(h):
    for slot in range(len(h)):
        for row in range(h.shape[1]):
            for unit in range(h.shape[2]):
                h[slot, row, unit] *= 2

technique = Technique(
    name="double",
    hyperparameters={"on": Numeric(low=0.5, high=2.0)},
    layer=lambda h, number, values: h if number == 0 else 2 * h,
    loops=Loops(lambda number, h, values: None if number == 0 else (), double, double),
)
pack = make_pack(random_data(40, 5, 3), [adam(on=1.0)], techniques=[technique])
assert pack.program.engine == "compiled"
print(train_pack(pack, 1).curves[0]["train_loss"].item())
"""


def test_loops_that_are_in_no_file(make_data: MakeData) -> None:
    """Their source is a Python prompt or `python -c`, so that numba has nowhere to keep the compiled code."""
    done = subprocess.run([sys.executable, "-c", FROM_NO_FILE], capture_output=True, text=True, env=environment())
    assert not done.returncode, done.stderr
    double = Technique(
        name="double",
        hyperparameters={"on": Numeric(low=0.5, high=2.0)},
        layer=lambda h, number, _values: h if number == 0 else 2 * h,
    )
    expected = train_pack(make_pack(make_data(40, 5, 3), [adam(on=1.0)], techniques=[double]), 1)
    assert float(done.stdout) == pytest.approx(expected.curves[0]["train_loss"].item(), rel=1e-6)
