"""Each optimiser agrees with its namesake in `torch.optim` for any neighbours (contract C4, docs/design.md)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from reference import train
from support.optimisers import CASES, NAMESAKES, Case, plain
from support.packs import TOLERANCE, adam, agree, packed
from torch import Tensor

from search.data import Data
from search.recipe.discovery import discover
from search.technique import Numeric
from search.train.optimisers import OPTIMISERS

MakeData = Callable[..., Data]


@pytest.mark.torch_engine
@pytest.mark.parametrize("case", CASES)
def test_packed_equals_torch(make_data: MakeData, case: str) -> None:
    c = CASES[case]
    data = make_data(100, 13, 3)
    pack = packed(data, c.slots, optimizer=c.optimizer, hidden="12x20", activation="tanh", **c.structure)
    for slot, values in enumerate(c.slots):
        model, curves = train(
            data,
            widths=(13, 12, 20, 3),
            epochs=3,
            batch_size=32,
            activation="tanh",
            optimiser=lambda p, v=values: plain(c, p, v),
        )
        agree(pack, slot, model, curves)


@pytest.mark.parametrize("optimizer", OPTIMISERS)
def test_every_hyperparameter_is_in_some_case(optimizer: str) -> None:
    """Each hyperparameter is tried at its neutral value, if it has one, and at another value."""
    cases = [case for case in CASES.values() if case.optimizer == optimizer]
    assert any(name == optimizer for name in CASES), "no case of its defaults"
    for name, declared in OPTIMISERS[optimizer].hyperparameters.items():
        used = {slot[name] for case in cases for slot in case.slots if name in slot}
        used |= {case.structure[name] for case in cases if name in case.structure}
        assert used - {declared.fixed}, f"{name} is in no case of {optimizer}"
        if isinstance(declared, Numeric) and declared.neutral is not None and name != "dampening":
            assert declared.neutral in used, f"{name} is nowhere {declared.neutral} beside slots where it is not"


def test_a_name_is_declared_once() -> None:
    seen: dict[str, object] = {}
    for made in OPTIMISERS.values():
        for name, declared in made.hyperparameters.items():
            assert seen.setdefault(name, declared) is declared, name


def test_defaults_are_those_of_torch() -> None:
    for optimizer, made in OPTIMISERS.items():
        weight = torch.zeros(1, requires_grad=True)
        theirs = NAMESAKES[optimizer]([weight]).defaults
        theirs |= dict(zip(("beta1", "beta2"), theirs.get("betas", ()), strict=False))
        theirs |= {"adagrad_eps": theirs.get("eps")}
        for name, declared in made.hyperparameters.items():
            # This is the only default that differs, on purpose.
            expected = 0.0 if (optimizer, name) == ("adamw", "weight_decay") else theirs[name]
            assert declared.fixed == expected, (optimizer, name)


def gradients(count: int, steps: int, size: int, dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(count, size, generator=generator, dtype=dtype) for _ in range(steps)]


def run(case: Case, lr: Tensor | None, dtype: torch.dtype, steps: int = 8, size: int = 37) -> Tensor:
    """Return the weights ``slots x size`` after steps of the optimiser alone on random gradients, at these rates."""
    values = {name: torch.tensor([slot[name] for slot in case.slots], dtype=dtype) for name in case.slots[0]}
    if lr is not None:
        values["lr"] = lr
    theta, *rest = gradients(len(case.slots), steps + 1, size, dtype)
    optimiser = OPTIMISERS[case.optimizer]({"nesterov": False, "centered": False} | case.structure)
    state = optimiser.init(theta, values)
    for gradient in rest:
        optimiser.update(theta, gradient, state, values)
    return theta


@pytest.mark.parametrize("case", CASES)
def test_a_rate_per_parameter_equals_param_groups(case: str) -> None:
    c = CASES[case]
    sizes = (20, 1, 16)
    factors = torch.tensor([1.0, 0.0, 0.1], dtype=torch.float64).repeat_interleave(torch.tensor(sizes))
    rates = torch.tensor([slot["lr"] for slot in c.slots], dtype=torch.float64)[:, None] * factors
    found = run(c, rates, torch.float64)
    start, *rest = gradients(len(c.slots), 9, 37, torch.float64)
    for slot, values in enumerate(c.slots):
        parts = [part.clone().requires_grad_() for part in start[slot].split(sizes)]
        groups = [
            {"params": [part], "lr": values["lr"] * scale} for part, scale in zip(parts, (1.0, 0.0, 0.1), strict=True)
        ]
        optimiser = plain(c, groups, values)
        for gradient in rest:
            for part, its in zip(parts, gradient[slot].split(sizes), strict=True):
                part.grad = its.clone()
            optimiser.step()
        expected = torch.cat(parts).detach()
        assert (found[slot] - expected).norm() <= TOLERANCE * expected.norm()
        assert torch.equal(found[slot, 20], start[slot, 20]), "a rate of 0 moves nothing"


@pytest.mark.parametrize("case", CASES)
def test_equal_rates_per_parameter_are_the_rate_per_slot_to_the_bit(case: str) -> None:
    c = CASES[case]
    rates = torch.tensor([slot["lr"] for slot in c.slots])[:, None].expand(-1, 37).contiguous()
    assert torch.equal(run(c, rates, torch.float32), run(c, None, torch.float32))


@pytest.mark.parametrize("case", CASES)
def test_a_slot_that_joins_later_steps_as_it_would_alone(case: str) -> None:
    c = CASES[case]
    values = {name: torch.tensor([slot[name] for slot in c.slots]) for name in c.slots[0]}
    optimiser = OPTIMISERS[c.optimizer]({"nesterov": False, "centered": False} | c.structure)
    theta, *rest = gradients(3, 7, 37, torch.float32)
    first, last = ({n: v[rows] for n, v in values.items()} for rows in (slice(0, 2), slice(2, 3)))
    early, late = theta[:2].clone(), theta[2:].clone()
    state = optimiser.init(early, first)
    for gradient in rest[:3]:
        optimiser.update(early, gradient[:2].clone(), state, first)
    fresh = optimiser.init(late, last)
    assert all(len(tensor) == 2 for tensor in state.values())
    joined = {name: torch.cat([tensor, fresh[name]])[[2, 0]] for name, tensor in state.items()}
    both, together = torch.cat([late, early[:1]]), {name: value[[2, 0]] for name, value in values.items()}
    for gradient in rest[3:]:
        optimiser.update(both, gradient[[2, 0]], joined, together)
        optimiser.update(late, gradient[2:].clone(), fresh, last)
        optimiser.update(early, gradient[:2].clone(), state, first)
    assert torch.equal(both, torch.cat([late, early[:1]]))


@pytest.mark.parametrize(
    ("optimizer", "rest", "same"),
    [
        ("sgd", {"lr": 0.1}, True),
        ("adam", adam(1e-2), True),
        ("adagrad", {"lr": 0.1, "adagrad_eps": 1e-10}, True),
        ("rmsprop", {"lr": 1e-3, "alpha": 0.99, "eps": 1e-8}, True),
        ("adamw", adam(1e-2), False),
    ],
)
def test_l2_is_coupled_weight_decay_of_twice_its_strength(
    make_data: MakeData, optimizer: str, rest: dict[str, float], same: bool
) -> None:
    data = make_data(100, 13, 3)
    term = packed(data, [rest | {"l2": 0.01}], optimizer=optimizer, techniques=[discover()["l2"]])
    decay = packed(data, [rest | {"weight_decay": 0.02}], optimizer=optimizer)
    agreement = [
        torch.allclose(a, b, rtol=1e-9, atol=1e-12)
        for a, b in zip(term.weights(0).values(), decay.weights(0).values(), strict=True)
    ]
    assert agreement == [same] * len(agreement)
